//! Lists of origins.

use http::HeaderValue;

use super::variables::text;
use super::{ConfigError, Origin, Variables};

/// The origins whose pages may use this server, besides its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// No other origin.
    None,
    /// Every origin, but without credentials.
    Any,
    /// These origins.
    Listed(Vec<Origin>),
}

impl Origins {
    /// Returns whether the origin in a header is listed by itself rather than by a wildcard.
    #[must_use]
    pub fn lists(&self, header: &HeaderValue) -> bool {
        match self {
            Self::None | Self::Any => false,
            Self::Listed(listed) => {
                Origin::from_header(header).is_some_and(|origin| listed.contains(&origin))
            }
        }
    }

    pub(super) async fn parse(variables: &dyn Variables) -> Result<Self, ConfigError> {
        Self::parse_value(&text(variables, "cors_origins").await?)
    }

    /// Parses `*`, or a list.
    fn parse_value(value: &str) -> Result<Self, ConfigError> {
        if value == "*" {
            return Ok(Self::Any);
        }
        let listed = parse_list(value).map_err(|item| {
            ConfigError(format!(
                "the variable cors_origins has {item:?}; expected `*` alone, or origins \
                 such as https://example.com or http://localhost:8080, with commas between them"
            ))
        })?;
        Ok(if listed.is_empty() {
            Self::None
        } else {
            Self::Listed(listed)
        })
    }
}

/// Reads the origins at which browsers reach this server; none if they are unknown.
pub(super) async fn public(variables: &dyn Variables) -> Result<Vec<Origin>, ConfigError> {
    let value = text(variables, "public_origins").await?;
    parse_list(&value).map_err(|item| {
        ConfigError(format!(
            "the variable public_origins has {item:?}; expected origins such as https://example.com, \
             with commas between them"
        ))
    })
}

/// Parses origins with commas or white space between them. The error is the item that is no origin.
fn parse_list(value: &str) -> Result<Vec<Origin>, &str> {
    let items = value.split(|separator: char| separator == ',' || separator.is_whitespace());
    items
        .filter(|item| !item.is_empty())
        .map(|item| item.parse().map_err(|_| item))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_none_any_or_listed() {
        let listed = |origins: &[&str]| {
            let origins = origins.iter().map(|origin| origin.parse().unwrap());
            Ok(Origins::Listed(origins.collect()))
        };
        assert_eq!(Origins::parse_value(""), Ok(Origins::None));
        assert_eq!(Origins::parse_value(","), Ok(Origins::None));
        assert_eq!(Origins::parse_value("*"), Ok(Origins::Any));
        assert_eq!(
            Origins::parse_value(
                "https://a.example, http://localhost:8080 http://[::1]:3\r\napp://b,"
            ),
            listed(&[
                "https://a.example",
                "http://localhost:8080",
                "http://[::1]:3",
                "app://b"
            ])
        );
        for value in ["*, https://a.example", "https://a.example/", "null"] {
            let error = Origins::parse_value(value).unwrap_err().to_string();
            assert!(
                error.starts_with("the variable cors_origins has "),
                "{error}"
            );
        }
    }

    #[test]
    fn a_wildcard_lists_no_origin() {
        let listed = Origins::Listed(vec!["https://a.example".parse().unwrap()]);
        let lists = |origins: &Origins, value: &'static [u8]| {
            origins.lists(&HeaderValue::from_bytes(value).unwrap())
        };
        assert!(lists(&listed, b"https://a.example"));
        assert!(lists(&listed, b"https://a.example:443"));
        for other in [
            &b""[..],
            b"null",
            b"https://b.example",
            b"https://a.example\xff",
        ] {
            assert!(!lists(&listed, other));
        }
        for origins in [Origins::None, Origins::Any] {
            assert!(!lists(&origins, b"https://a.example"));
        }
    }
}
