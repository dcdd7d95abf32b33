//! Cross-origin requests (Fetch, "CORS protocol").

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ALLOW, HOST, ORIGIN, VARY,
};
use http::uri::Authority;
use http::{HeaderValue, Method};

use super::body::{Request, Response};
use crate::config::Origins;

/// The request headers that pages can set.
const HEADERS: &str = "accept, authorization, content-type, idempotency-key, if-none-match, \
    last-event-id, prefer, ce-specversion, ce-id, ce-source, ce-type, ce-time, ce-subject, \
    ce-datacontenttype, ce-dataschema";

/// The response headers that pages can read.
const EXPOSED: &str = "event-id, etag, link, preference-applied, retry-after, traceresponse";

/// The time that browsers can cache the response to a preflight: a day. They apply lower limits of
/// their own.
const MAX_AGE_SECONDS: &str = "86400";

/// Returns whether the request is a preflight.
pub(super) fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Returns whether the request comes from a page that can act on the user's behalf: a page of the
/// same host or of a listed origin. A wildcard lists no origin.
pub(super) fn is_trusted<B>(origins: &Origins, request: &http::Request<B>) -> bool {
    let Some(origin) = request.headers().get(ORIGIN) else {
        return false;
    };
    let host = origin.to_str().ok().and_then(|text| text.split_once("://"));
    let authority = request.uri().authority().map(Authority::as_str);
    let own = authority.or_else(|| request.headers().get(HOST)?.to_str().ok());
    let is_own = match (host, own) {
        (Some((_, host)), Some(own)) => host.eq_ignore_ascii_case(own),
        _ => false,
    };
    is_own || matches!(origins, Origins::Listed(listed) if listed.contains(origin))
}

/// Adds the headers that allow pages of `origin` to use the response. Credentials are allowed only
/// for listed origins, never for a wildcard.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_the_same_host_and_of_listed_origins_are_trusted() {
        let listed = Origins::Listed(vec![HeaderValue::from_static("https://a.example")]);
        let trusted = |origins: &Origins, origin: Option<&str>| {
            let mut request = http::Request::builder().uri("http://own.example:3000/x");
            if let Some(origin) = origin {
                request = request.header(ORIGIN, origin);
            }
            is_trusted(origins, &request.body(()).unwrap())
        };
        for origins in [&Origins::None, &Origins::Any, &listed] {
            assert!(trusted(origins, Some("http://own.example:3000")));
            // A proxy may terminate TLS, so the scheme is not compared.
            assert!(trusted(origins, Some("https://own.example:3000")));
            for origin in [
                None,
                Some(""),
                Some("null"),
                Some("http://own.example"),
                Some("http://own.example:3000.evil"),
                Some("http://x@own.example:3000"),
                Some("http://evil/http://own.example:3000"),
                Some("https://a.example.evil"),
                Some("http://a.example"),
            ] {
                assert!(!trusted(origins, origin), "{origin:?}");
            }
            let is_listed = matches!(origins, Origins::Listed(_));
            assert_eq!(trusted(origins, Some("https://a.example")), is_listed);
        }
    }
}
