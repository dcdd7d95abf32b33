//! Requests and responses as this component sees them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode};
use http_body::Frame;
use serde::Serialize;

/// A request, with its body still to be read.
pub type Request = http::Request<crate::platform::RequestBody>;

/// A response.
pub type Response = http::Response<Body>;

/// What a response carries. A stream is pulled by the host as the client takes it.
pub struct Body(Kind);

enum Kind {
    Full(Option<Bytes>),
    Stream(Pin<Box<dyn Stream<Item = Bytes>>>),
}

impl Body {
    /// No bytes.
    pub(super) fn empty() -> Self {
        Self(Kind::Full(None))
    }

    /// These bytes.
    pub(super) fn full(bytes: impl Into<Bytes>) -> Self {
        Self(Kind::Full(Some(bytes.into())))
    }

    /// The chunks of a stream, each written as one.
    pub(super) fn stream(chunks: impl Stream<Item = Bytes> + 'static) -> Self {
        Self(Kind::Stream(Box::pin(chunks)))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut self.0 {
            Kind::Full(bytes) => Poll::Ready(bytes.take()),
            Kind::Stream(chunks) => chunks.as_mut().poll_next(context),
        };
        bytes.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// States the length of a body that is known whole. A host that does not set TCP_NODELAY would
/// otherwise send the end of an empty body in a packet of its own, 40 ms later.
pub(super) fn state_length(response: &mut Response) {
    let length = match &response.body().0 {
        Kind::Full(bytes) => bytes.as_ref().map_or(0, Bytes::len),
        Kind::Stream(_) => return,
    };
    let has_none = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED];
    if !has_none.contains(&response.status()) {
        response
            .headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// A response without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A JSON response.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let mut response = Response::new(Body::full(serde_json::to_vec(value).unwrap_or_default()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The head of a JSON response of unknown length.
pub(super) fn json_head() -> Response {
    let mut response = Response::new(Body::stream(futures::stream::empty()));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The answer to `OPTIONS`.
pub(super) fn options(allowed: &[Method]) -> Response {
    let mut response = empty(StatusCode::NO_CONTENT);
    response.headers_mut().insert(ALLOW, allow(allowed));
    response
}

/// The value of an `allow` header; `OPTIONS` is always among them.
pub(super) fn allow(allowed: &[Method]) -> HeaderValue {
    let names: Vec<_> = allowed
        .iter()
        .chain([&Method::OPTIONS])
        .map(Method::as_str)
        .collect();
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static("OPTIONS"))
}
