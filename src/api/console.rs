//! The console page, and the description of the HTTP surface.

use http::HeaderValue;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

use super::body::{Body, Response};
use crate::platform::random;

const PAGE: &str = include_str!("../console.html");
const DESCRIPTION: &str = include_str!("../openapi.json");

/// The OpenAPI description of the HTTP surface.
pub(super) fn description() -> Response {
    let mut response = Response::new(Body::Full(DESCRIPTION.into()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The page. Its style and script carry a nonce, and nothing else may run or load.
pub(super) fn page() -> Response {
    let nonce = format!("{:016x}{:016x}", random::u64(), random::u64());
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let page = PAGE.replacen("<style>", &format!("<style nonce=\"{nonce}\">"), 1);
    let page = page.replacen("<script>", &format!("<script nonce=\"{nonce}\">"), 1);
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
