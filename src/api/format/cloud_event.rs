//! CloudEvents 1.0 over HTTP (CloudEvents HTTP protocol binding 1.0.2).
//!
//! In structured mode the body is the whole CloudEvent, in binary mode it is its data; either way it
//! is the event's data as it is. The attribute `type` is its type, and `source` and `id`, which name
//! a CloudEvent, are its idempotency key.

use std::borrow::Cow;

use http::HeaderMap;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Publication, check_object};
use crate::api::problem::Problem;
use crate::core::log::NewEvent;

/// What the idempotency key begins with, so that it is no other's.
const KEY: &str = "cloudevents";

/// The attributes that every CloudEvent has, `specversion` apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    id: String,
    source: String,
    event_type: String,
}

impl Attributes {
    /// The attributes in `ce-` headers; `None` if it is no CloudEvent in binary mode.
    pub(super) fn of(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let names = ["ce-specversion", "ce-id", "ce-source", "ce-type"];
        if names.iter().all(|name| headers.get(*name).is_none()) {
            return Ok(None);
        }
        let refused = |why: &str| {
            Problem::header(format_args!(
                "{why}; a CloudEvent in binary mode has the headers ce-specversion, ce-id, \
                 ce-source and ce-type"
            ))
        };
        let [version, id, source, event_type] = names.map(|name| attribute(headers, name));
        Self::new(version?, id?, source?, event_type?)
            .map(Some)
            .map_err(|why| refused(&why))
    }

    fn new(
        version: Option<String>,
        id: Option<String>,
        source: Option<String>,
        event_type: Option<String>,
    ) -> Result<Self, String> {
        let given = |name: &str, value: Option<String>| match value {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(format!("the CloudEvent has no {name}")),
        };
        match given("specversion", version)?.as_str() {
            "1.0" => Ok(Self {
                id: given("id", id)?,
                source: given("source", source)?,
                event_type: given("type", event_type)?,
            }),
            other => Err(format!(
                "the specversion of the CloudEvent is {other:?}; accepted is \"1.0\""
            )),
        }
    }

    /// The event that has these attributes and this data.
    pub(super) fn publication(self, data: String) -> Publication {
        Publication {
            events: vec![NewEvent {
                event_type: Some(self.event_type),
                data,
                trace: None,
            }],
            key: Some(vec![KEY.to_owned(), self.source, self.id]),
        }
    }
}

/// The attribute in a `ce-` header, which may be quoted and percent-encoded (3.1.3.2).
fn attribute(headers: &HeaderMap, name: &str) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Problem::header(format_args!(
            "{name} is given more than once"
        )));
    }
    let bad = || Problem::header(format_args!("{name} is not percent-encoded UTF-8"));
    let value = value.to_str().map_err(|_| bad())?;
    let quoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    let plain = quoted.map_or(Cow::Borrowed(value), unescaped);
    let decoded = percent_decode_str(&plain)
        .decode_utf8()
        .map_err(|_| bad())?;
    Ok(Some(decoded.into_owned()))
}

/// A quoted string without the backslashes of its quoted pairs (RFC 9110, 5.6.4).
fn unescaped(quoted: &str) -> Cow<'_, str> {
    let mut plain = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        plain.extend(match character {
            '\\' => characters.next(),
            _ => Some(character),
        });
    }
    plain.into()
}

/// A CloudEvent in the JSON format (1.0.2), as far as it matters here.
#[derive(Deserialize)]
struct Structured {
    specversion: Option<String>,
    id: Option<String>,
    source: Option<String>,
    r#type: Option<String>,
    data: Option<IgnoredAny>,
    data_base64: Option<IgnoredAny>,
}

/// The attributes of a CloudEvent in structured mode.
pub(super) fn structured(text: &str) -> Result<Attributes, Problem> {
    let refused = |why: &str| Problem::body(format_args!("the body is not a CloudEvent: {why}"));
    check_object(text).map_err(refused)?;
    let event: Structured =
        serde_json::from_str(text).map_err(|error| refused(&error.to_string()))?;
    if event.data.is_some() && event.data_base64.is_some() {
        return Err(refused("it has both data and data_base64"));
    }
    Attributes::new(event.specversion, event.id, event.source, event.r#type)
        .map_err(|why| refused(&why))
}
