//! `Link` headers (RFC 8288).

use std::fmt::Display;

use http::HeaderValue;

/// A link to `target`, a path that needs no escape, in the relation `relation`:
///
/// - `self`: the resource itself;
/// - `next`: what follows;
/// - `edit`: where to publish to what is subscribed to;
/// - `monitor`: where to subscribe to what is published to.
pub(super) fn to(target: impl Display, relation: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("<{target}>; rel=\"{relation}\""))
        .unwrap_or(HeaderValue::from_static(""))
}
