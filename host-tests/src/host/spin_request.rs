//! The form in which Spin hands a request to a component.

use std::net::SocketAddr;

use http::header::{CONNECTION, HOST, InvalidHeaderValue, ToStrError};
use http::uri::{Authority, InvalidUri, InvalidUriParts, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Uri};
use thiserror::Error;

use crate::route_table::RouteMatch;

/// The domain of hosts that name a component of the application.
const SERVICE_CHAINING_DOMAIN: &str = "spin.internal";

/// A request to which Spin sends no response: it ends the connection, or on HTTP/2 the stream.
#[derive(Debug, Error)]
pub(crate) enum Unanswered {
    #[error("the request names no host")]
    NoHost,
    #[error("the host header has bytes that are not text: {0}")]
    HostBytes(ToStrError),
    #[error("the host header names no host: {0}")]
    Host(InvalidUri),
    #[error("the host header and the request's URI name different hosts")]
    TwoHosts,
    #[error("the request's URI is malformed: {0}")]
    Uri(InvalidUriParts),
}

/// A header that no component receives: Spin answers 500.
#[derive(Debug, Error)]
pub(super) enum UnreadableHeader {
    #[error("a header is not UTF-8")]
    NotUtf8,
    #[error("{name} has an invalid value: {source}")]
    Spin {
        name: &'static str,
        source: InvalidHeaderValue,
    },
}

/// Removes the headers that no component receives. Spin's `strip_forbidden_headers`.
pub(super) fn strip_headers(headers: &mut HeaderMap) {
    headers.remove(CONNECTION);
    if headers.get(HOST).is_some_and(names_a_component) {
        headers.remove(HOST);
    }
}

fn names_a_component(host: &HeaderValue) -> bool {
    let Ok(host) = host.to_str() else {
        return false;
    };
    let (host, _port) = host.rsplit_once(':').unwrap_or((host, ""));
    let domain = host.split_once('.').map(|(_component, domain)| domain);
    domain == Some(SERVICE_CHAINING_DOMAIN)
}

/// Makes the URI absolute. Spin's `set_req_uri`.
pub(super) fn make_uri_absolute<B>(request: &mut Request<B>) -> Result<(), Unanswered> {
    let mut parts = request.uri().clone().into_parts();
    let host = request.headers().get(HOST).map(authority).transpose()?;
    if let (Some(host), Some(authority)) = (&host, &parts.authority)
        && host != authority
    {
        return Err(Unanswered::TwoHosts);
    }
    parts.authority = host.or(parts.authority);
    if parts.authority.is_none() {
        return Err(Unanswered::NoHost);
    }
    parts.scheme = Some(Scheme::HTTP);
    *request.uri_mut() = Uri::from_parts(parts).map_err(Unanswered::Uri)?;
    Ok(())
}

fn authority(host: &HeaderValue) -> Result<Authority, Unanswered> {
    let host = host.to_str().map_err(Unanswered::HostBytes)?;
    host.parse().map_err(Unanswered::Host)
}

/// Checks the headers of the client and appends Spin's own to them. Spin's `prepare_request_headers`.
pub(super) fn add_spin_headers<B>(
    request: &mut Request<B>,
    matched: &RouteMatch<'_>,
    client: SocketAddr,
) -> Result<(), UnreadableHeader> {
    let is_utf8 = |value: &HeaderValue| std::str::from_utf8(value.as_bytes()).is_ok();
    if !request.headers().values().all(is_utf8) {
        return Err(UnreadableHeader::NotUtf8);
    }
    // A request of HTTP/2 has no such header, and Spin does not ask the URI.
    let host = request.headers().get(HOST);
    let host = host.map_or("localhost".into(), |host| {
        String::from_utf8_lossy(host.as_bytes())
    });
    let target = request.uri().path_and_query();
    let url = format!("http://{host}{}", target.map_or("/", PathAndQuery::as_str));
    let client = client.to_string();
    let spin_headers = [
        ("spin-path-info", matched.path_info.as_str()),
        ("spin-full-url", &url),
        ("spin-matched-route", &matched.route.pattern),
        ("spin-base-path", "/"),
        ("spin-raw-component-route", &matched.route.pattern),
        ("spin-component-route", matched.route.without_wildcard()),
        ("spin-client-addr", &client),
    ];
    for (name, value) in spin_headers {
        let value = HeaderValue::from_str(value)
            .map_err(|source| UnreadableHeader::Spin { name, source })?;
        request.headers_mut().append(name, value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route_table::RouteTable;

    /// Returns the request as the component of the route receives it.
    fn received(request: http::request::Builder, pattern: &str) -> Request<()> {
        let routes = RouteTable::new([(pattern, "web")]).unwrap();
        let mut request = request.body(()).unwrap();
        strip_headers(request.headers_mut());
        let path = request.uri().path().to_owned();
        let matched = routes.find(&path).unwrap();
        make_uri_absolute(&mut request).unwrap();
        add_spin_headers(&mut request, &matched, "10.0.0.1:99".parse().unwrap()).unwrap();
        request
    }

    #[test]
    fn a_request_without_a_path_is_not_answered() {
        assert!(!is_answered(
            Request::connect("a:80").header("host", "a:80")
        ));
        assert!(is_answered(
            Request::get("http://a:80").header("host", "a:80")
        ));
    }

    fn is_answered(request: http::request::Builder) -> bool {
        let mut request = request.body(()).unwrap();
        strip_headers(request.headers_mut());
        make_uri_absolute(&mut request).is_ok()
    }

    #[test]
    fn a_component_receives_an_absolute_uri_and_the_headers_of_spin() {
        let request = received(
            Request::get("/events/a%20b?x=1")
                .header("host", "example.org:3000")
                .header("connection", "keep-alive"),
            "/events/...",
        );
        assert_eq!(request.uri(), "http://example.org:3000/events/a%20b?x=1");
        let header = |name| request.headers()[name].to_str().unwrap();
        assert_eq!(header("spin-path-info"), "/a%20b");
        assert_eq!(
            header("spin-full-url"),
            "http://example.org:3000/events/a%20b?x=1"
        );
        assert_eq!(header("spin-matched-route"), "/events/...");
        assert_eq!(header("spin-component-route"), "/events");
        assert_eq!(header("spin-client-addr"), "10.0.0.1:99");
        assert_eq!(header("host"), "example.org:3000");
        assert!(!request.headers().contains_key("connection"));
    }

    #[test]
    fn a_request_of_http2_has_its_host_in_the_uri_and_localhost_in_the_full_url() {
        let request = received(Request::get("https://example.org/a?x"), "/...");
        assert_eq!(request.uri(), "http://example.org/a?x");
        assert_eq!(request.headers()["spin-full-url"], "http://localhost/a?x");
    }

    #[test]
    fn a_spin_header_of_the_client_precedes_that_of_the_host() {
        let request = received(
            Request::get("http://h/events/a").header("spin-path-info", "/forged"),
            "/events/...",
        );
        let values: Vec<_> = request.headers().get_all("spin-path-info").iter().collect();
        assert_eq!(values, ["/forged", "/a"]);
        // As in Spin's `prepare_request_headers`: the last value is the one that can be trusted.
        let request = Request::get("http://h/events/a")
            .header("spin-client-addr", "192.0.2.1:1")
            .header("spin-client-addr", "192.0.2.2:2");
        let request = received(request, "/events/...");
        let mut values = request.headers().get_all("spin-client-addr").iter();
        assert_eq!(values.next_back().unwrap(), "10.0.0.1:99");
    }

    #[test]
    fn a_request_that_does_not_name_one_valid_host_is_not_answered() {
        assert!(!is_answered(Request::get("/")));
        assert!(!is_answered(Request::get("http://a/").header("host", "b")));
        assert!(!is_answered(Request::get("/").header("host", "a b")));
        assert!(!is_answered(Request::get("/").header("host", "")));
        assert!(!is_answered(
            Request::get("/").header("host", &b"\xffa"[..])
        ));
        assert!(is_answered(Request::get("http://a/").header("host", "a")));
        assert!(is_answered(Request::get("/").header("host", "[::1]:80")));
    }

    #[test]
    fn a_host_that_names_a_component_counts_as_none() {
        for host in ["web.spin.internal", "web.spin.internal:80"] {
            assert!(!is_answered(Request::get("/").header("host", host)));
            let uri = format!("http://{host}/");
            assert!(is_answered(Request::get(uri).header("host", host)));
        }
        for host in ["spin.internal", "a.b.spin.internal", "web.spin.internal.a"] {
            assert!(
                is_answered(Request::get("/").header("host", host)),
                "{host}"
            );
        }
    }
}
