//! Cross-origin requests (Fetch, "CORS protocol").

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ALLOW, VARY,
};
use http::{HeaderValue, Method};

use super::body::{Request, Response};
use crate::platform::config::Origins;

/// The request headers that a page may set.
const HEADERS: &str = "accept, authorization, content-type, idempotency-key, if-none-match, \
    last-event-id, prefer, ce-specversion, ce-id, ce-source, ce-type, ce-time, ce-subject, \
    ce-datacontenttype, ce-dataschema";

/// The response headers that a page may see.
const EXPOSED: &str = "event-id, etag, link, preference-applied, retry-after";

/// How long a browser may remember the answer to a preflight: a day (browsers make less of it).
const MAX_AGE_SECONDS: &str = "86400";

/// Whether a browser asks what a page may do.
pub(super) fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Says in the response what a page of `origin` may do. Credentials go only with origins that are
/// listed, never with a wildcard.
pub(super) fn allow_origin(
    origins: &Origins,
    origin: Option<HeaderValue>,
    is_preflight: bool,
    response: &mut Response,
) {
    let headers = response.headers_mut();
    match (origins, origin) {
        (Origins::None, _) => return,
        (Origins::Any, _) => {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        (Origins::Listed(listed), origin) => {
            headers.append(VARY, HeaderValue::from_static("origin"));
            let Some(origin) = origin.filter(|origin| listed.contains(origin)) else {
                return;
            };
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(
                ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            );
        }
    }
    if is_preflight {
        if let Some(methods) = headers.get(ALLOW).cloned() {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        headers.insert(
            ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static(HEADERS),
        );
        headers.insert(
            ACCESS_CONTROL_MAX_AGE,
            HeaderValue::from_static(MAX_AGE_SECONDS),
        );
    } else {
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(EXPOSED),
        );
    }
}
