//! The path at which the server is mounted.

use std::fmt;

use super::variables::text;
use super::{ConfigError, Variables};

/// The longest base path, in bytes.
const MAX_BYTES: usize = 160;

/// The path below which an application serves this component's routes. Its text is empty for the root,
/// otherwise one or more segments, each after a slash.
///
/// The path is configured rather than taken from a header of Spin, such as `spin-component-route`: a host that
/// does not set the header would leave a forged one to decide, and a request from another component of
/// the application names no route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BasePath(String);

impl BasePath {
    pub(super) async fn parse(variables: &dyn Variables) -> Result<Self, ConfigError> {
        Self::parse_text(&text(variables, "base_path").await?)
    }

    /// Parses segments with slashes between them; a slash at either end makes no difference.
    fn parse_text(value: &str) -> Result<Self, ConfigError> {
        if matches!(value, "" | "/") {
            return Ok(Self::default());
        }
        let trimmed = value.strip_prefix('/').unwrap_or(value);
        let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
        // The unreserved characters of RFC 3986, 2.3.
        let accepted = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        // Clients and proxies remove segments of one or two dots. Three are Spin's wildcard.
        let is_segment = |segment: &str| {
            segment.bytes().any(|byte| byte != b'.') && segment.bytes().all(accepted)
        };
        if trimmed.len() > MAX_BYTES || !trimmed.split('/').all(is_segment) {
            return Err(ConfigError(format!(
                "the variable base_path is {value:?}; expected a path such as /realtime, of at most \
                 {MAX_BYTES} bytes of A-Z a-z 0-9 - . _ ~ and `/` between segments"
            )));
        }
        Ok(Self(format!("/{trimmed}")))
    }

    /// Returns whether the server is mounted at the root.
    #[must_use]
    pub const fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the rest of a path, which begins with a slash, or is empty for the base path itself;
    /// `None` if the path is not below the base path.
    #[must_use]
    pub fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(self.0.as_str())?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> BasePath {
        BasePath::parse_text(value).unwrap()
    }

    #[test]
    fn slashes_at_the_ends_make_no_difference() {
        for value in ["", "/"] {
            assert_eq!(parsed(value).to_string(), "");
        }
        for value in ["realtime", "/realtime", "realtime/", "/realtime/"] {
            assert_eq!(parsed(value).to_string(), "/realtime");
        }
        assert_eq!(parsed("api/v1.0/~sse_-").to_string(), "/api/v1.0/~sse_-");
    }

    #[test]
    fn anything_but_plain_segments_is_rejected() {
        let long = "x".repeat(MAX_BYTES + 1);
        for value in [
            "//",
            "//realtime",
            "/a//b",
            "/.",
            "/a/../b",
            "/a b",
            "/a%20b",
            "/a?b",
            "/a#b",
            "/:tenant",
            "/realtime/...",
            "/caf\u{e9}",
            "https://example.com/realtime",
            &long,
        ] {
            let error = BasePath::parse_text(value).unwrap_err().to_string();
            let expected = format!("the variable base_path is {value:?}; expected a path such as");
            assert!(error.starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn a_path_is_stripped_by_whole_segments() {
        let base = parsed("/realtime");
        assert_eq!(base.strip("/realtime/events/a"), Some("/events/a"));
        assert_eq!(base.strip("/realtime/"), Some("/"));
        assert_eq!(base.strip("/realtime"), Some(""));
        assert_eq!(base.strip("/realtime//events"), Some("//events"));
        for path in [
            "/",
            "/events/a",
            "/realtimes/a",
            "/Realtime/",
            "//realtime/",
        ] {
            assert_eq!(base.strip(path), None, "{path}");
        }
        assert_eq!(BasePath::default().strip("/events/a"), Some("/events/a"));
    }
}
