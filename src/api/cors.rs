//! Cross-origin requests (Fetch, "CORS protocol"), and the origins that may change channels with a cookie.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, HOST, ORIGIN, VARY,
};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::body::{Request, Response};
use crate::config::{Origin, Origins};

/// The request headers of the API, which pages can always set.
const HEADERS: [&str; 13] = [
    "accept",
    "authorization",
    "cache-control",
    "content-type",
    "idempotency-key",
    "if-none-match",
    "last-event-id",
    "prefer",
    "traceparent",
    "ce-specversion",
    "ce-id",
    "ce-source",
    "ce-type",
];

/// The largest size of the names that a preflight asks for, in bytes.
const MAX_REQUESTED_BYTES: usize = 4_096;

/// The response headers that pages can read.
const EXPOSED: &str = "allow, event-id, etag, link, preference-applied, retry-after, traceresponse, \
    www-authenticate";

/// The time that browsers can cache the response to a preflight: a day. They apply lower limits of
/// their own.
const MAX_AGE_SECONDS: &str = "86400";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The parts of a request that determine the headers of its response.
#[derive(Clone, Debug)]
pub(super) struct CrossOrigin {
    origin: Option<HeaderValue>,
    /// The request headers to allow, if the request is a preflight.
    allowed_headers: Option<HeaderValue>,
}

impl CrossOrigin {
    /// Reads the headers of a request.
    pub(super) fn of(request: &Request) -> Self {
        let headers = request.headers();
        let is_preflight = request.method() == Method::OPTIONS
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        Self {
            origin: headers.get(ORIGIN).cloned(),
            allowed_headers: is_preflight.then(|| allowed_headers(headers)),
        }
    }

    /// Adds the headers that allow pages of the request's origin to use the response. Credentials are
    /// allowed only for listed origins, never for a wildcard.
    pub(super) fn allow(self, origins: &Origins, response: &mut Response) {
        let headers = response.headers_mut();
        match origins {
            Origins::None => return,
            Origins::Any => {
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
            Origins::Listed(_) => {
                headers.append(VARY, HeaderValue::from_static("origin"));
                let Some(origin) = self.origin.filter(|origin| origins.lists(origin)) else {
                    return;
                };
                headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
                headers.insert(
                    ACCESS_CONTROL_ALLOW_CREDENTIALS,
                    HeaderValue::from_static("true"),
                );
            }
        }
        let Some(allowed) = self.allowed_headers else {
            headers.insert(
                ACCESS_CONTROL_EXPOSE_HEADERS,
                HeaderValue::from_static(EXPOSED),
            );
            return;
        };
        if let Some(methods) = headers.get(ALLOW).cloned() {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        headers.insert(
            ACCESS_CONTROL_MAX_AGE,
            HeaderValue::from_static(MAX_AGE_SECONDS),
        );
        let requested = HeaderValue::from_name(ACCESS_CONTROL_REQUEST_HEADERS);
        headers.append(VARY, requested);
    }
}

/// Returns the headers that a page can set: those of the API and all that its preflight asks for.
///
/// Tracers, proxies and HTTP clients add headers of their own, and a browser does not send a request
/// with a header that is not allowed. Runnel ignores headers that it does not know. Names that are not
/// tokens (RFC 9110, 5.6.2) and those beyond [`MAX_REQUESTED_BYTES`] are not repeated.
fn allowed_headers(request: &HeaderMap) -> HeaderValue {
    let requested = request.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let requested = requested.filter_map(|value| value.to_str().ok());
    let requested = requested
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok());
    let mut names = HEADERS.join(", ");
    let most = names.len().saturating_add(MAX_REQUESTED_BYTES);
    // A wildcard would allow headers that were not asked for.
    let is_new = |name: &HeaderName| name != "*" && !HEADERS.contains(&name.as_str());
    for name in requested.filter(is_new) {
        if names.len().saturating_add(name.as_str().len()) > most {
            break;
        }
        names.push_str(", ");
        names.push_str(name.as_str());
    }
    HeaderValue::try_from(names).unwrap_or(HeaderValue::from_static(""))
}

/// Returns whether the request comes from a page that can act on the user's behalf: a page of this
/// server itself, or of a listed origin. A wildcard lists no origin.
///
/// A page is of this server
/// - if the browser says so in `Sec-Fetch-Site` (Fetch Metadata), which no page can set. It knows the
///   address that it used, whatever a proxy has made of it;
/// - if its origin is one of `public`;
/// - if neither is given, and its origin has the host and port that the request is addressed to.
pub(super) fn is_trusted<B>(
    origins: &Origins,
    public: &[Origin],
    request: &http::Request<B>,
) -> bool {
    let headers = request.headers();
    let site = headers.get(SEC_FETCH_SITE);
    if site.is_some_and(|site| site == "same-origin") {
        return true;
    }
    let Some(header) = headers.get(ORIGIN) else {
        return false;
    };
    let Some(origin) = Origin::from_header(header) else {
        return false;
    };
    if origins.lists(header) || public.contains(&origin) {
        return true;
    }
    site.is_none()
        && public.is_empty()
        && authority(request).is_some_and(|authority| origin.is_served_at(&authority))
}

/// Returns the host and port that a request is addressed to.
fn authority<B>(request: &http::Request<B>) -> Option<Authority> {
    let host = || Authority::try_from(request.headers().get(HOST)?.as_bytes()).ok();
    request.uri().authority().cloned().or_else(host)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::api::sample::any_header_value;

    fn origin(text: &str) -> Origin {
        text.parse().unwrap()
    }

    /// Returns a request to `http://own.example:3000` with these headers.
    fn request(headers: &[(&str, &str)]) -> http::Request<()> {
        let request = http::Request::builder().uri("http://own.example:3000/x");
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        request.body(()).unwrap()
    }

    #[test]
    fn pages_of_the_same_host_and_of_listed_origins_are_trusted() {
        let listed = Origins::Listed(vec![origin("https://a.example")]);
        let trusted = |origins: &Origins, origin: Option<&str>| {
            let headers = origin.map(|origin| ("origin", origin));
            is_trusted(origins, &[], &request(headers.as_slice()))
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

    #[test]
    fn the_browser_knows_best_whether_a_page_is_of_this_server() {
        let listed = Origins::Listed(vec![origin("https://a.example")]);
        let trusted = |site: &str, headers: &[(&str, &str)]| {
            let headers = [headers, &[("sec-fetch-site", site)]].concat();
            is_trusted(&listed, &[], &request(&headers))
        };
        let foreign = ("origin", "https://public.example");
        let own = ("origin", "http://own.example:3000");
        for headers in [&[][..], &[("origin", "null")], &[foreign], &[own]] {
            assert!(trusted("same-origin", headers), "{headers:?}");
        }
        for site in ["cross-site", "same-site", "none", "", "Same-Origin"] {
            for headers in [&[][..], &[("origin", "null")], &[foreign], &[own]] {
                assert!(!trusted(site, headers), "{site} {headers:?}");
            }
            assert!(trusted(site, &[("origin", "https://a.example")]), "{site}");
        }
    }

    #[test]
    fn configured_public_origins_replace_the_host_of_the_request() {
        let public = ["https://public.example", "http://localhost:8080"].map(origin);
        let trusted =
            |origin: &str| is_trusted(&Origins::None, &public, &request(&[("origin", origin)]));
        for origin in [
            "https://public.example",
            "https://public.example:443",
            "http://localhost:8080",
        ] {
            assert!(trusted(origin), "{origin}");
        }
        for origin in [
            "http://public.example",
            "http://own.example:3000",
            "https://x.public.example",
        ] {
            assert!(!trusted(origin), "{origin}");
        }
    }

    #[test]
    fn forwarding_headers_do_not_make_an_origin_trusted() {
        let headers = [
            ("origin", "https://evil.example"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-proto", "https"),
            ("forwarded", "host=evil.example;proto=https"),
        ];
        assert!(!is_trusted(&Origins::None, &[], &request(&headers)));
    }

    fn allowed(requested: &[&[u8]]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for value in requested {
            let value = HeaderValue::from_bytes(value).unwrap();
            headers.append(ACCESS_CONTROL_REQUEST_HEADERS, value);
        }
        let allowed = allowed_headers(&headers);
        let names = allowed.to_str().unwrap().split(", ");
        names.map(str::to_owned).collect()
    }

    #[test]
    fn a_page_can_set_the_headers_of_the_api_and_all_that_it_asks_for() {
        assert_eq!(allowed(&[]), HEADERS);
        let requested = b"baggage,content-type,sentry-trace, X-B3-TraceId,ce-region,";
        let expected = ["baggage", "sentry-trace", "x-b3-traceid", "ce-region"];
        assert_eq!(allowed(&[requested]), [&HEADERS[..], &expected].concat());
        assert_eq!(allowed(&[b"a,b", b"c"])[HEADERS.len()..], ["a", "b", "c"]);
    }

    #[test]
    fn only_names_of_headers_are_repeated_and_not_too_many() {
        for requested in [&b"*, b c"[..], b"a:b", b"\"a\"", b"\xff", b"a\xffb", b", ,"] {
            assert_eq!(allowed(&[requested]), HEADERS);
        }
        let many = vec!["x-0123456789"; 10_000].join(",");
        let bytes = allowed(&[many.as_bytes()]).join(", ").len();
        let least = HEADERS.join(", ").len() + MAX_REQUESTED_BYTES / 2;
        assert!(
            (least..least + MAX_REQUESTED_BYTES).contains(&bytes),
            "{bytes}"
        );
    }

    proptest! {
        /// Property: any bytes in any of the headers are answered without a panic.
        #[test]
        fn any_header_is_answered(value in any_header_value()) {
            let mut request = http::Request::new(());
            for name in [ORIGIN, HOST, SEC_FETCH_SITE, ACCESS_CONTROL_REQUEST_HEADERS] {
                request.headers_mut().insert(name, value.clone());
            }
            allowed_headers(request.headers());
            is_trusted(&Origins::None, &[], &request);
        }
    }
}
