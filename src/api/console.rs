//! The console page and the OpenAPI description.

use http::HeaderValue;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

use super::body::{Body, Response};
use crate::core::environment::Environment;

const STYLE: &str = include_str!("../console/style.css");

/// The script: all files share one scope. `main.js` comes last and starts it.
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

const OPENAPI: &str = include_str!("../openapi.json");

/// Returns the OpenAPI description.
pub(super) fn openapi() -> Response {
    let mut response = Response::new(Body::Full(OPENAPI.into()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Returns the console page.
///
/// Its style and script have a nonce, and the content security policy blocks everything else. It
/// also forbids Trusted Types policies, so that no script can turn text into elements.
pub(super) fn page(env: &impl Environment) -> Response {
    let nonce = format!("{:016x}{:016x}", env.random(), env.random());
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
    fn neither_script_nor_style_closes_its_element() {
        assert!(!SCRIPT.contains("</script"));
        assert!(!SCRIPT.contains("<!--"));
        assert!(!STYLE.contains("</style"));
    }
}
