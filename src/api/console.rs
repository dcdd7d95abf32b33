//! The console page and the OpenAPI description.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode, Uri};

use super::body::{self, Body, Response};
use super::link;
use crate::config::BasePath;
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
    include_str!("../console/stalls.js"),
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

/// The URL of the server in the OpenAPI description.
const SERVER_URL: &str = r#""servers": [{ "url": "/" }]"#;

/// Returns the OpenAPI description.
pub(super) fn openapi(base: &BasePath) -> Response {
    let mut response = Response::new(Body::Full(openapi_text(base)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Returns the OpenAPI description of a server that is mounted at `base`.
fn openapi_text(base: &BasePath) -> Bytes {
    if base.is_root() {
        return Bytes::from_static(OPENAPI.as_bytes());
    }
    let server_url = format!(r#""servers": [{{ "url": "{base}" }}]"#);
    OPENAPI.replacen(SERVER_URL, &server_url, 1).into()
}

/// Redirects from the base path to the console, whose requests are relative to the slash after it.
pub(super) fn redirect(base: &BasePath, uri: &Uri) -> Response {
    let query = uri.query().map(|query| format!("?{query}"));
    let target = link::escape(format_args!("{base}/{}", query.unwrap_or_default()));
    let mut response = body::empty(StatusCode::TEMPORARY_REDIRECT);
    if let Ok(target) = HeaderValue::from_str(&target) {
        response.headers_mut().insert(LOCATION, target);
    }
    response
}

/// Returns the console page.
///
/// Its style and script have a nonce, and the content security policy blocks everything else. It
/// also forbids Trusted Types policies, so that no script can turn text into elements.
pub(super) fn page(base: &BasePath, env: &impl Environment) -> Response {
    let nonce = format!("{:016x}{:016x}", env.random(), env.random());
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
         require-trusted-types-for 'script'; trusted-types 'none'"
    );
    let page = format!(
        include_str!("../console/page.html"),
        base = base,
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
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_openapi_description_has_one_server_url_to_replace() {
        assert_eq!(OPENAPI.matches(SERVER_URL).count(), 1);
        let description: Value = serde_json::from_str(OPENAPI).unwrap();
        assert_eq!(description["servers"][0]["url"], "/");
    }

    #[test]
    fn neither_script_nor_style_closes_its_element() {
        assert!(!SCRIPT.contains("</script"));
        assert!(!SCRIPT.contains("<!--"));
        assert!(!STYLE.contains("</style"));
    }
}
