//! Requests and responses.

use bytes::Bytes;
use futures::StreamExt;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use serde::Serialize;

pub use crate::platform::Body;
use crate::platform::Stall;

/// A request, with its body still to be read.
pub type Request = http::Request<crate::platform::RequestBody>;

/// A response.
pub type Response = http::Response<Body>;

/// Sets the length of a body that is known whole. A host that does not set TCP_NODELAY would otherwise
/// send the end of an empty body in a packet of its own, 40 ms later.
pub(super) fn set_content_length(response: &mut Response) {
    let Body::Full(bytes) = response.body() else {
        return;
    };
    let length = bytes.len();
    let without_content = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
    if !without_content.contains(&response.status()) {
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// Returns a response without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::Full(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// Returns a JSON response.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let mut response = Response::new(Body::Full(
        serde_json::to_vec(value).unwrap_or_default().into(),
    ));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Returns the head of a JSON response of unknown length.
pub(super) fn json_head() -> Response {
    let mut response = Response::new(of_unknown_length());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Returns the body of a response to `HEAD` whose counterpart to `GET` has no length beforehand.
pub(super) fn of_unknown_length() -> Body {
    Body::Stream(futures::stream::empty().boxed_local(), Stall::default())
}

/// Returns the response to `OPTIONS`.
pub(super) fn options(allowed: &[Method]) -> Response {
    let mut response = empty(StatusCode::NO_CONTENT);
    response.headers_mut().insert(ALLOW, allow(allowed));
    response
}

/// Returns the value of the header `allow`, which always includes `OPTIONS`.
pub(super) fn allow(allowed: &[Method]) -> HeaderValue {
    let names: Vec<_> = allowed
        .iter()
        .chain([&Method::OPTIONS])
        .map(Method::as_str)
        .collect();
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"))
}
