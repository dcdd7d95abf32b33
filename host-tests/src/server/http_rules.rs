//! Rules of HTTP/1.1 that hyper leaves to its user.

use http::header::{CONNECTION, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt as _, Full};
use thiserror::Error;

use crate::runtime::Body;

/// A request that is answered before it reaches the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Rejected {
    /// RFC 9112, 3.2. Spin uses the first one.
    #[error("the request has more than one host header")]
    RepeatedHost,
    /// RFC 9112, 3.2. Only if requests without a host are to be served at all.
    #[error("a request of HTTP/1.1 has a host header")]
    NoHost,
    /// RFC 9112, 6.1. hyper decodes the last coding, `chunked`, and would leave the others in the body.
    #[error("the only transfer coding of this server is chunked")]
    TransferCoding,
}

impl Rejected {
    pub(super) fn response(self) -> Response<Body> {
        let status = match self {
            Self::RepeatedHost | Self::NoHost => StatusCode::BAD_REQUEST,
            Self::TransferCoding => StatusCode::NOT_IMPLEMENTED,
        };
        let body = Full::from(format!("{self}\n"));
        let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
        headers.insert(CONTENT_TYPE, content_type);
        // The next bytes on the connection may not be where its sender begins the next request.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

/// Checks the head of a request.
pub(super) fn check(headers: &HeaderMap) -> Result<(), Rejected> {
    if headers.get_all(HOST).iter().count() > 1 {
        return Err(Rejected::RepeatedHost);
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().eq_ignore_ascii_case(b"chunked");
    match (codings.next().is_none_or(is_chunked), codings.next()) {
        (true, None) => Ok(()),
        _ => Err(Rejected::TransferCoding),
    }
}

/// Gives a request of HTTP/1.0 that names no host the host `localhost`.
///
/// # Errors
/// If a later version of HTTP requires a host.
pub(super) fn assume_host<B>(request: &mut Request<B>) -> Result<(), Rejected> {
    if request.uri().authority().is_some() || request.headers().contains_key(HOST) {
        return Ok(());
    }
    if request.version() > Version::HTTP_10 {
        return Err(Rejected::NoHost);
    }
    let host = HeaderValue::from_static("localhost");
    request.headers_mut().insert(HOST, host);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_a_single_chunked_transfer_coding_is_accepted() {
        for coding in ["chunked", "Chunked"] {
            assert_eq!(check(&headers(&[("transfer-encoding", coding)])), Ok(()));
        }
        for codings in [
            &["gzip, chunked"][..],
            &["identity, chunked"],
            &["chunked, chunked"],
            &["gzip", "chunked"],
            &["chunked", "chunked"],
            &["chunked;a=b"],
            &[""],
        ] {
            let lines: Vec<_> = codings
                .iter()
                .map(|coding| ("transfer-encoding", *coding))
                .collect();
            let result = check(&headers(&lines));
            assert_eq!(result, Err(Rejected::TransferCoding), "{codings:?}");
        }
    }

    #[test]
    fn a_second_host_header_is_rejected_even_if_it_is_the_same() {
        assert_eq!(check(&headers(&[("host", "a")])), Ok(()));
        let result = check(&headers(&[("host", "a"), ("host", "a")]));
        assert_eq!(result, Err(Rejected::RepeatedHost));
    }

    #[test]
    fn only_http_1_0_can_do_without_a_host() {
        let request = |version, host: Option<&str>| {
            let mut request = Request::get("/").version(version);
            if let Some(host) = host {
                request = request.header("host", host);
            }
            let mut request = request.body(()).unwrap();
            assume_host(&mut request).map(|()| request.headers()["host"].clone())
        };
        assert_eq!(request(Version::HTTP_10, None).unwrap(), "localhost");
        assert_eq!(request(Version::HTTP_10, Some("a")).unwrap(), "a");
        assert_eq!(request(Version::HTTP_11, Some("a")).unwrap(), "a");
        assert_eq!(request(Version::HTTP_11, None), Err(Rejected::NoHost));
    }
}
