//! The origins of pages.

use http::HeaderValue;

use super::variables::text;
use super::{ConfigError, Variables};

/// The origins whose pages may use this server, besides its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// No other origin.
    None,
    /// Every origin, but without credentials.
    Any,
    /// These origins, as browsers write them.
    Listed(Vec<HeaderValue>),
}

impl Origins {
    pub(super) async fn parse(variables: &dyn Variables) -> Result<Self, ConfigError> {
        Self::parse_list(&text(variables, "cors_origins").await?)
    }

    /// Parses `*`, or origins with commas or spaces between them.
    fn parse_list(value: &str) -> Result<Self, ConfigError> {
        if value.trim() == "*" {
            return Ok(Self::Any);
        }
        let origins = value.split([',', ' ']).filter(|origin| !origin.is_empty());
        let listed: Vec<_> = origins.map(parse_origin).collect::<Result<_, _>>()?;
        Ok(if listed.is_empty() {
            Self::None
        } else {
            Self::Listed(listed)
        })
    }
}

/// Parses an origin as browsers write it (HTML 7.1.1): scheme, host and port in lower case, and nothing
/// after them.
fn parse_origin(origin: &str) -> Result<HeaderValue, ConfigError> {
    let is_origin = origin.split_once("://").is_some_and(|(scheme, host)| {
        let in_scheme = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.');
        let in_host =
            |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b':' | b'[' | b']');
        !scheme.is_empty()
            && scheme.bytes().all(in_scheme)
            && !host.is_empty()
            && host.bytes().all(in_host)
    });
    let value = is_origin.then(|| HeaderValue::from_str(origin).ok());
    value.flatten().ok_or_else(|| {
        ConfigError(format!(
            "the variable cors_origins has {origin:?}; expected `*` alone, or origins \
             such as https://example.com or http://localhost:8080, with commas between them"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_none_any_or_listed() {
        let listed = |origins: &[&'static str]| {
            let origins = origins.iter().copied().map(HeaderValue::from_static);
            Ok(Origins::Listed(origins.collect()))
        };
        assert_eq!(Origins::parse_list(" "), Ok(Origins::None));
        assert_eq!(Origins::parse_list("*"), Ok(Origins::Any));
        assert_eq!(
            Origins::parse_list("https://a.example, http://localhost:8080 http://[::1]:3"),
            listed(&[
                "https://a.example",
                "http://localhost:8080",
                "http://[::1]:3"
            ])
        );
        for value in [
            "*, https://a.example",
            "https://a.example/",
            "https://A.example",
            "a.example",
            "https://",
            "://a",
            "null",
            "https://*.example",
            "https://a.example/\u{e9}",
        ] {
            let error = Origins::parse_list(value).unwrap_err().to_string();
            assert!(
                error.starts_with("the variable cors_origins has "),
                "{error}"
            );
        }
    }
}
