//! `Link` headers (RFC 8288).

use std::fmt::Display;

use http::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// The characters that must be escaped in a URI (RFC 3986, 2). `%` is not among them, so escapes
/// are kept.
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

/// Returns a link to a path. The relations are:
///
/// - `self`: the resource itself;
/// - `next`: the next page;
/// - `edit`: the path to publish to the channel;
/// - `monitor`: the path to subscribe to the channel.
pub(super) fn to(target: impl Display, relation: &str) -> HeaderValue {
    let target = escape(target);
    HeaderValue::from_str(&format!("<{target}>; rel=\"{relation}\""))
        .unwrap_or(HeaderValue::from_static(""))
}

/// Escapes what a path and its query cannot have in a header.
pub(super) fn escape(target: impl Display) -> String {
    utf8_percent_encode(&target.to_string(), &UNSAFE).to_string()
}
