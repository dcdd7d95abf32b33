//! The paths that Spin answers itself.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde_json::json;

use super::text_response;
use crate::application::Application;
use crate::runtime::Body;

/// The prefix of these paths.
const PREFIX: &str = "/.well-known/spin/";

/// Returns the response to a path with the prefix.
pub(super) fn respond(path: &str, application: &Application) -> Option<Response<Body>> {
    Some(match path.strip_prefix(PREFIX)? {
        "health" => text_response(StatusCode::OK, "OK"),
        "info" => {
            let application = &application.manifest().application;
            let info = json!({ "name": application.name, "version": application.version });
            let mut response = text_response(StatusCode::OK, &info.to_string());
            let content_type = HeaderValue::from_static("application/json");
            response.headers_mut().insert(CONTENT_TYPE, content_type);
            response
        }
        _ => text_response(StatusCode::NOT_FOUND, "no such page of Spin\n"),
    })
}
