//! The console page, and the description of the HTTP surface.

use http::HeaderValue;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

use super::body::{Body, Response};
use crate::platform::random;

const STYLE: &str = include_str!("../console/style.css");

/// One script, with one scope for all files. `main.js` comes last and starts it.
const SCRIPT: &str = concat!(
    include_str!("../console/dom.js"),
    include_str!("../console/format.js"),
    include_str!("../console/announcer.js"),
    include_str!("../console/field.js"),
    include_str!("../console/storage.js"),
    include_str!("../console/validation.js"),
    include_str!("../console/event_stream_parser.js"),
    include_str!("../console/cursor.js"),
    include_str!("../console/api.js"),
    include_str!("../console/stream.js"),
    include_str!("../console/statistics.js"),
    include_str!("../console/lag_tracker.js"),
    include_str!("../console/charts.js"),
    include_str!("../console/event_table.js"),
    include_str!("../console/timeline.js"),
    include_str!("../console/channel_states.js"),
    include_str!("../console/publisher.js"),
    include_str!("../console/snippets.js"),
    include_str!("../console/main.js"),
);

const DESCRIPTION: &str = include_str!("../openapi.json");

/// The OpenAPI description of the HTTP surface.
pub(super) fn description() -> Response {
    let mut response = Response::new(Body::Full(DESCRIPTION.into()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The page. Its style and script carry a nonce, and nothing else may run or load. Nor may a script
/// make elements out of text: no Trusted Types policy can be made.
pub(super) fn page() -> Response {
    let nonce = format!("{:016x}{:016x}", random::u64(), random::u64());
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    );
    let page = format!(
        include_str!("../console/page.html"),
        nonce = nonce,
        style = STYLE,
        script = SCRIPT
    );
    let mut response = Response::new(Body::Full(page.into()));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::{SCRIPT, STYLE};

    #[test]
    fn neither_script_nor_style_ends_its_element() {
        assert!(!SCRIPT.contains("</script"));
        assert!(!SCRIPT.contains("<!--"));
        assert!(!STYLE.contains("</style"));
    }
}
