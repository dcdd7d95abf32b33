//! `Link` headers (RFC 8288).

use std::fmt::Display;

use http::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// What cannot stand in a URI (RFC 3986, 2) as it is; what is escaped already stays so.
const UNSAFE: AsciiSet = CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A link to `target`, a path, in the relation `relation`:
///
/// - `self`: the resource itself;
/// - `next`: what follows;
/// - `edit`: where to publish to what is subscribed to;
/// - `monitor`: where to subscribe to what is published to.
pub(super) fn to(target: impl Display, relation: &str) -> HeaderValue {
    let target = target.to_string();
    let target = utf8_percent_encode(&target, &UNSAFE);
    HeaderValue::from_str(&format!("<{target}>; rel=\"{relation}\""))
        .unwrap_or(HeaderValue::from_static(""))
}
