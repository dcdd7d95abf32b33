//! What an answer is among all that is described.

use std::collections::BTreeSet;

use http::HeaderMap;
use serde_json::{Value, json};

use super::call::{Call, TRACEPARENT};
use super::description::{Description, member};
use crate::client::Answer;

pub(super) const PROBLEM: &str = "application/problem+json";

/// Where the body may be empty although a media type is described, which OpenAPI cannot express.
const MAY_BE_EMPTY: [(&str, &str); 1] = [("POST /publish/{channel}", "201")];

/// Response headers that are a matter of the connection, or of what stands between, or that are
/// described for all answers together.
const HEADERS_APART: [&str; 9] = [
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

/// The header of every answer.
const TRACERESPONSE: &str = "traceresponse";

/// An operation, a status, and what comes with it: a media type, the type of a problem, or nothing.
pub(super) type Outcome = (String, String, String);

/// The types of problems in a response.
pub(super) fn problem_types(description: &Description, response: &str) -> Vec<String> {
    let content = member(&member(response, "content"), PROBLEM);
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

/// All that is described.
pub(super) fn outcomes(description: &Description) -> BTreeSet<Outcome> {
    let mut outcomes = BTreeSet::new();
    for (method, path) in description.operations() {
        let operation = format!("{method} {path}");
        for status in description.statuses(&method, &path) {
            let response = description.response(&method, &path, &status).unwrap();
            let content = description.members(&member(&response, "content"));
            let mut whats: Vec<_> = match content.is_empty() {
                true => vec![String::new()],
                false => content,
            };
            if method != "HEAD" && whats == [PROBLEM] {
                let types = problem_types(description, &response).into_iter();
                whats = types
                    .map(|kind| kind.replace("urn:runnel:problem:", ""))
                    .collect();
            }
            if MAY_BE_EMPTY.contains(&(&operation, &status)) {
                whats.push(String::new());
            }
            outcomes.extend(
                whats
                    .into_iter()
                    .map(|what| (operation.clone(), status.clone(), what)),
            );
        }
    }
    outcomes
}

/// What an answer is among all that is described, or why it is not.
pub(super) fn described(
    description: &mut Description,
    call: &Call,
    answer: &Answer,
) -> Result<Outcome, String> {
    let (operation, status) = (call.operation(), answer.status.as_str().to_owned());
    let response = description.response(call.method, call.template, &status);
    let response = response.ok_or("the status is not described")?;
    check_headers(description, &response, &answer.headers)?;
    let content = member(&response, "content");
    let media_types = description.members(&content);
    let may_be_empty =
        media_types.is_empty() || MAY_BE_EMPTY.contains(&(operation.as_str(), status.as_str()));
    let outcome = |what: &str| Ok((operation.clone(), status.clone(), what.to_owned()));
    let Some(content_type) = answer.header("content-type") else {
        return match may_be_empty && answer.body.is_empty() {
            true => outcome(""),
            false => Err("there is no content type".to_owned()),
        };
    };
    let essence = content_type.split(';').next().unwrap_or_default();
    if !media_types.iter().any(|known| known == essence) {
        return Err(format!("the content type {content_type} is not described"));
    }
    if call.method == "HEAD" {
        return match answer.body.is_empty() {
            true => outcome(essence),
            false => Err("there is a body".to_owned()),
        };
    }
    let body = match essence.ends_with("json") {
        true => serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?,
        false => json!(String::from_utf8_lossy(&answer.body)),
    };
    description.check(&member(&member(&content, essence), "schema"), &body)?;
    match body["type"].as_str() {
        Some(kind) if essence == PROBLEM => outcome(&kind.replace("urn:runnel:problem:", "")),
        _ => outcome(essence),
    }
}

/// Holds the headers of an answer against those of a response.
fn check_headers(
    description: &mut Description,
    response: &str,
    headers: &HeaderMap,
) -> Result<(), String> {
    let trace = headers
        .get(TRACERESPONSE)
        .and_then(|value| value.to_str().ok());
    let trace = trace.ok_or("the header traceresponse is missing")?;
    let schema = "/components/headers/traceresponse/schema";
    description.check(schema, &json!(trace))?;
    if !trace.starts_with(&TRACEPARENT[..36]) {
        return Err(format!("{trace} does not go on with {TRACEPARENT}"));
    }
    let all = member(response, "headers");
    let known = description.members(&all);
    for name in &known {
        let pointer = description.resolve(&member(&all, name));
        let values = headers.get_all(name).iter();
        let values: Vec<_> = values.map(|value| value.to_str().unwrap()).collect();
        let header = description.at(&pointer);
        if values.is_empty() && header["required"] == true {
            return Err(format!("the header {name} is missing"));
        }
        let value = values.join(", ");
        let value = match header["schema"]["type"] == "integer" {
            true => value
                .parse::<u64>()
                .map_or(json!(value), |number| json!(number)),
            false => json!(value),
        };
        if !values.is_empty() {
            description.check(&member(&pointer, "schema"), &value)?;
        }
    }
    let other = headers.keys().map(http::HeaderName::as_str).find(|name| {
        let apart = HEADERS_APART.contains(name) || name.starts_with("access-control-");
        !apart && !known.iter().any(|known| known == name)
    });
    other.map_or(Ok(()), |name| {
        Err(format!("the header {name} is not described"))
    })
}
