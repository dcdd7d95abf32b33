//! Classification of responses by the description.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail, ensure};
use http::HeaderMap;
use runnel_testing::Response;
use serde_json::{Value, json};

use super::call::{Call, TRACEPARENT};
use super::description::{Description, member};

pub(super) const PROBLEM: &str = "application/problem+json";

/// Operations and statuses whose body can be empty despite a media type, which OpenAPI cannot express.
const MAY_BE_EMPTY: [(&str, &str); 1] = [("POST /publish/{channel}", "201")];

/// Response headers that are not described per response: those of the connection or a proxy, and those
/// described once for all responses.
const IGNORED_HEADERS: [&str; 9] = [
    TRACERESPONSE,
    "content-type",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "date",
    "server",
    "via",
];

/// The header of every response.
const TRACERESPONSE: &str = "traceresponse";

/// An operation, a status, and a media type or problem type, which is empty if there is no body.
pub(super) type Outcome = (String, String, String);

/// Returns the problem types of the described response at a pointer.
pub(super) fn problem_types(description: &Description, response_pointer: &str) -> Vec<String> {
    let content = member(&member(response_pointer, "content"), PROBLEM);
    let types = format!("{content}/schema/properties/type/enum");
    let types = description
        .document()
        .pointer(&types)
        .and_then(Value::as_array);
    let types = types.into_iter().flatten();
    types
        .map(|kind| kind.as_str().unwrap().to_owned())
        .collect()
}

/// Returns all described outcomes.
pub(super) fn outcomes(description: &Description) -> BTreeSet<Outcome> {
    let mut outcomes = BTreeSet::new();
    for (method, path) in description.operations() {
        let operation = format!("{method} {path}");
        for status in description.statuses(&method, &path) {
            let response = description.response(&method, &path, &status).unwrap();
            let content = description.members(&member(&response, "content"));
            let mut body_kinds = if content.is_empty() {
                vec![String::new()]
            } else {
                content
            };
            if method != "HEAD" && body_kinds == [PROBLEM] {
                let types = problem_types(description, &response).into_iter();
                body_kinds = types
                    .map(|kind| kind.replace("urn:runnel:problem:", ""))
                    .collect();
            }
            if MAY_BE_EMPTY.contains(&(&operation, &status)) {
                body_kinds.push(String::new());
            }
            outcomes.extend(
                body_kinds
                    .into_iter()
                    .map(|body_kind| (operation.clone(), status.clone(), body_kind)),
            );
        }
    }
    outcomes
}

/// Classifies a response. Returns an error if the description does not cover it.
pub(super) fn describe_response(
    description: &mut Description,
    call: &Call,
    response: &Response,
) -> Result<Outcome> {
    let (operation, status) = (call.operation(), response.status.as_str().to_owned());
    let pointer = description.response(call.method, call.template, &status);
    let pointer = pointer.context("the status is not described")?;
    check_headers(description, &pointer, &response.headers)?;
    let content = member(&pointer, "content");
    let media_types = description.members(&content);
    let may_be_empty =
        media_types.is_empty() || MAY_BE_EMPTY.contains(&(operation.as_str(), status.as_str()));
    let outcome = |body_kind: &str| Ok((operation.clone(), status.clone(), body_kind.to_owned()));
    let Some(content_type) = response.header("content-type") else {
        let is_empty = may_be_empty && response.body.is_empty();
        ensure!(is_empty, "the response has no content type");
        return outcome("");
    };
    let essence = content_type.split(';').next().unwrap_or_default();
    if !media_types.iter().any(|known| known == essence) {
        bail!("the content type {content_type} is not described");
    }
    if call.method == "HEAD" {
        ensure!(response.body.is_empty(), "the response to HEAD has a body");
        return outcome(essence);
    }
    let body = if essence.ends_with("json") {
        serde_json::from_slice(&response.body)?
    } else {
        json!(String::from_utf8_lossy(&response.body))
    };
    description.check(&member(&member(&content, essence), "schema"), &body)?;
    match body["type"].as_str() {
        Some(kind) if essence == PROBLEM => outcome(&kind.replace("urn:runnel:problem:", "")),
        _ => outcome(essence),
    }
}

/// Checks response headers against the described response at a pointer.
fn check_headers(
    description: &mut Description,
    response_pointer: &str,
    headers: &HeaderMap,
) -> Result<()> {
    let trace = headers
        .get(TRACERESPONSE)
        .and_then(|value| value.to_str().ok());
    let trace = trace.context("the header traceresponse is missing")?;
    let schema = "/components/headers/traceresponse/schema";
    description.check(schema, &json!(trace))?;
    if !trace.starts_with(&TRACEPARENT[..36]) {
        bail!("{trace} does not continue {TRACEPARENT}");
    }
    let described = member(response_pointer, "headers");
    let mut names = description.members(&described);
    let cache_control = "cache-control".to_owned();
    let describes_caching = names.contains(&cache_control);
    if !describes_caching {
        names.push(cache_control);
    }
    for name in &names {
        let pointer = if name == "cache-control" && !describes_caching {
            "/components/headers/NoStore".to_owned()
        } else {
            description.resolve(&member(&described, name))
        };
        let values = headers.get_all(name).iter();
        let values: Vec<_> = values.map(|value| value.to_str().unwrap()).collect();
        let header = description.at(&pointer);
        if values.is_empty() && header["required"] == true {
            bail!("the header {name} is missing");
        }
        let value = values.join(", ");
        let value = if header["schema"]["type"] == "integer" {
            value
                .parse::<u64>()
                .map_or(json!(value), |number| json!(number))
        } else {
            json!(value)
        };
        if !values.is_empty() {
            description.check(&member(&pointer, "schema"), &value)?;
        }
    }
    for name in headers.keys().map(http::HeaderName::as_str) {
        let is_ignored = IGNORED_HEADERS.contains(&name) || name.starts_with("access-control-");
        if !is_ignored && !names.iter().any(|known| known == name) {
            bail!("the header {name} is not described");
        }
    }
    Ok(())
}
