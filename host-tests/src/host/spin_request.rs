//! The form in which Spin hands a request to a component.

use std::net::SocketAddr;

use http::header::{CONNECTION, HOST, InvalidHeaderValue};
use http::uri::{Authority, InvalidUri, InvalidUriParts, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Uri};
use thiserror::Error;

use crate::route_table::RouteMatch;

/// A request that no component receives.
#[derive(Debug, Error)]
pub(super) enum InvalidRequest {
    #[error("the request has more than one host header")]
    RepeatedHostHeader,
    #[error("the host header names no host: {0}")]
    HostHeader(InvalidUri),
    #[error("the host header and the request's URI name different hosts")]
    TwoHosts,
    #[error("the request names no host")]
    NoHost,
    #[error("the request's URI is malformed: {0}")]
    Uri(InvalidUriParts),
    #[error("in {name}: {source}")]
    Header {
        name: &'static str,
        source: InvalidHeaderValue,
    },
}

/// Makes the URI absolute, removes the `connection` header, and appends Spin's own headers to those
/// of the client.
pub(super) fn prepare<B>(
    request: &mut Request<B>,
    matched: &RouteMatch<'_>,
    client: SocketAddr,
) -> Result<(), InvalidRequest> {
    request.headers_mut().remove(CONNECTION);
    let uri = absolute_uri(request.uri(), request.headers())?;
    let url = uri.to_string();
    *request.uri_mut() = uri;
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
            .map_err(|source| InvalidRequest::Header { name, source })?;
        request.headers_mut().append(name, value);
    }
    Ok(())
}

fn absolute_uri(uri: &Uri, headers: &HeaderMap) -> Result<Uri, InvalidRequest> {
    let mut parts = uri.clone().into_parts();
    // RFC 9112, 3.2.
    if headers.get_all(HOST).iter().count() > 1 {
        return Err(InvalidRequest::RepeatedHostHeader);
    }
    let host = headers
        .get(HOST)
        .map(|host| Authority::try_from(host.as_bytes()))
        .transpose()
        .map_err(InvalidRequest::HostHeader)?;
    if let (Some(host), Some(authority)) = (&host, &parts.authority)
        && host != authority
    {
        return Err(InvalidRequest::TwoHosts);
    }
    parts.authority = host.or(parts.authority);
    if parts.authority.is_none() {
        return Err(InvalidRequest::NoHost);
    }
    parts.scheme = Some(Scheme::HTTP);
    parts
        .path_and_query
        .get_or_insert_with(|| PathAndQuery::from_static("/"));
    Uri::from_parts(parts).map_err(InvalidRequest::Uri)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route_table::RouteTable;

    fn prepared(
        request: http::request::Builder,
        pattern: &str,
    ) -> Result<Request<()>, InvalidRequest> {
        let routes = RouteTable::new([(pattern, "web")]).unwrap();
        let mut request = request.body(()).unwrap();
        let path = request.uri().path().to_owned();
        let matched = routes.find(&path).unwrap();
        prepare(&mut request, &matched, "10.0.0.1:99".parse().unwrap())?;
        Ok(request)
    }

    #[test]
    fn a_component_receives_an_absolute_uri_and_the_headers_of_spin() {
        let request = prepared(
            Request::get("/events/a%20b?x=1")
                .header("host", "example.org:3000")
                .header("connection", "keep-alive"),
            "/events/...",
        )
        .unwrap();
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
        assert!(!request.headers().contains_key("connection"));
    }

    #[test]
    fn a_spin_header_of_the_client_precedes_that_of_the_host() {
        let request = prepared(
            Request::get("http://h/events/a").header("spin-path-info", "/forged"),
            "/events/...",
        )
        .unwrap();
        let values: Vec<_> = request.headers().get_all("spin-path-info").iter().collect();
        assert_eq!(values, ["/forged", "/a"]);
        // As in Spin's `prepare_request_headers`: the last value is the one that can be trusted.
        let request = Request::get("http://h/events/a")
            .header("spin-client-addr", "192.0.2.1:1")
            .header("spin-client-addr", "192.0.2.2:2");
        let request = prepared(request, "/events/...").unwrap();
        let mut values = request.headers().get_all("spin-client-addr").iter();
        assert_eq!(values.next_back().unwrap(), "10.0.0.1:99");
    }

    #[test]
    fn a_request_that_does_not_name_exactly_one_host_is_rejected() {
        assert!(prepared(Request::get("/"), "/...").is_err());
        assert!(prepared(Request::get("http://a/").header("host", "b"), "/...").is_err());
        assert!(prepared(Request::get("/").header("host", "a b"), "/...").is_err());
        assert!(prepared(Request::get("http://a/").header("host", "a"), "/...").is_ok());
    }
}
