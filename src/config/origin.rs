//! Origins of pages.

use std::str::FromStr;

use http::HeaderValue;
use http::uri::Authority;
use thiserror::Error;

/// An origin as browsers serialise it (RFC 6454, 6.2): scheme, host, and the port unless it is the
/// default of the scheme. Letters are in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    /// `None` stands for the default port of the scheme.
    port: Option<u16>,
}

/// The text is not an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected an origin such as https://example.com or http://localhost:8080")]
pub struct NotAnOrigin;

impl Origin {
    /// Returns the origin in the header `origin`; `None` if there is none, as in `null`.
    #[must_use]
    pub fn from_header(value: &HeaderValue) -> Option<Self> {
        value.to_str().ok()?.parse().ok()
    }

    /// Returns whether a server that is addressed as `authority` has this origin.
    ///
    /// Schemes are not compared, because a proxy may terminate TLS. An authority without a port has the
    /// default port of the scheme that the browser used, whichever that is.
    #[must_use]
    pub fn is_served_at(&self, authority: &Authority) -> bool {
        let default = default_port(&self.scheme);
        let port = authority.port_u16().or(default);
        self.host.eq_ignore_ascii_case(authority.host()) && self.port.or(default) == port
    }
}

impl FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let (scheme, rest) = text.split_once("://").ok_or(NotAnOrigin)?;
        // The colons of an IPv6 address are in brackets.
        let bracket = rest.rfind(']').unwrap_or_default();
        let colon = rest.rfind(':').filter(|colon| *colon > bracket);
        let (host, port) = match colon.and_then(|colon| rest.split_at_checked(colon)) {
            Some((host, port)) => (host, Some(parse_port(port)?)),
            None => (rest, None),
        };
        if !is_scheme(scheme) || !is_host(host) {
            return Err(NotAnOrigin);
        }
        Ok(Self {
            scheme: scheme.to_owned(),
            host: host.to_owned(),
            port: port.filter(|port| Some(*port) != default_port(scheme)),
        })
    }
}

/// Returns the default port of a scheme; `None` if it has none.
fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Parses a port with the colon before it.
fn parse_port(text: &str) -> Result<u16, NotAnOrigin> {
    let digits = text.strip_prefix(':').unwrap_or_default();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NotAnOrigin);
    }
    digits.parse().map_err(|_| NotAnOrigin)
}

fn is_scheme(scheme: &str) -> bool {
    let allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.');
    !scheme.is_empty() && scheme.bytes().all(allowed)
}

/// Returns whether the text is a host name or an address, the latter in brackets if it is of IPv6.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']').unwrap_or_default();
        let allowed = |byte| matches!(byte, b'a'..=b'f' | b'0'..=b'9' | b':' | b'.');
        return !address.is_empty() && address.bytes().all(allowed);
    }
    let allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    !host.is_empty() && host.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin(text: &str) -> Origin {
        text.parse().unwrap()
    }

    #[test]
    fn the_default_port_of_a_scheme_is_the_same_as_none() {
        assert_eq!(origin("https://a.example:443"), origin("https://a.example"));
        assert_eq!(origin("http://[::1]:80"), origin("http://[::1]"));
        for (one, other) in [
            ("https://a.example:80", "https://a.example"),
            ("http://a.example:443", "http://a.example"),
            ("http://a.example", "https://a.example"),
            ("http://a.example:8080", "http://a.example:8081"),
            ("app://a", "app://b"),
        ] {
            assert_ne!(origin(one), origin(other));
        }
    }

    #[test]
    fn an_origin_is_a_scheme_a_host_and_perhaps_a_port() {
        for text in [
            "https://a.example",
            "http://localhost:8080",
            "http://my_host:1",
            "http://[2001:db8::1]:3000",
            "capacitor://localhost",
            "chrome-extension://abcdef",
        ] {
            assert!(text.parse::<Origin>().is_ok(), "{text}");
        }
        for text in [
            "",
            "null",
            "a.example",
            "://a",
            "https://",
            "https://:443",
            "https://a.example/",
            "https://a.example:",
            "https://a.example:+443",
            "https://a.example:65536",
            "https://a.example:443:443",
            "https://A.example",
            "https://x@a.example",
            "https://*.example",
            "https://a.example?x",
            "https://a.example, https://b.example",
            "https://[::1",
            "https://::1]",
            "https://[]",
            "https://[::1]a",
            "https://a.example\u{e9}",
        ] {
            assert_eq!(text.parse::<Origin>(), Err(NotAnOrigin), "{text}");
        }
    }

    #[test]
    fn a_server_has_the_origins_of_its_host_and_port() {
        for (text, authority, expected) in [
            ("https://a.example", "a.example", true),
            ("http://a.example", "a.example", true),
            ("https://a.example", "a.example:443", true),
            ("http://a.example", "a.example:80", true),
            ("http://a.example", "A.Example", true),
            ("http://a.example:3000", "a.example:3000", true),
            ("https://a.example:3000", "a.example:3000", true),
            ("http://[::1]:3000", "[::1]:3000", true),
            ("http://[::1]", "[::1]", true),
            ("https://a.example", "a.example:80", false),
            ("http://a.example", "a.example:443", false),
            ("http://a.example", "a.example:3000", false),
            ("http://a.example:3000", "a.example", false),
            ("http://a.example", "b.example", false),
            ("http://a.example", "x.a.example", false),
            ("app://a.example", "a.example:3000", false),
        ] {
            let authority: Authority = authority.parse().unwrap();
            let served = origin(text).is_served_at(&authority);
            assert_eq!(served, expected, "{text} {authority}");
        }
    }

    proptest! {
        /// Property: any text is parsed or rejected, and a parsed origin is served at its own authority.
        #[test]
        fn any_text_is_parsed_or_rejected(
            text in prop_oneof![any::<String>(), "(https?|app)://[a-c.:\\[\\]@]{0,6}(:[0-9]{0,6})?"],
        ) {
            if let Ok(origin) = text.parse::<Origin>()
                && let Ok(authority) = text.split_once("://").unwrap().1.parse::<Authority>()
            {
                prop_assert!(origin.is_served_at(&authority), "{text}");
            }
        }
    }
}
