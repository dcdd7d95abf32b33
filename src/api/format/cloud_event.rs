//! CloudEvents 1.0 over HTTP (CloudEvents HTTP protocol binding 1.0.2).
//!
//! In structured mode the body, which is the whole CloudEvent, is the event's data; in binary mode it is
//! the data of the CloudEvent. The attribute `type` becomes the event type. `source` and `id` identify a
//! CloudEvent by themselves: what has the same ones is the same CloudEvent, delivered again.

use std::borrow::Cow;

use http::HeaderMap;
use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use super::{ContentKey, NotAnObject, Publication, check_object};
use crate::api::percent;
use crate::api::problem::Problem;
use crate::core::log::NewEvent;

/// The required attributes of a CloudEvent, except `specversion`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    id: String,
    source: String,
    event_type: String,
}

#[derive(Debug, Error)]
enum CloudEventError {
    #[error("there is no {0}")]
    Missing(&'static str),
    #[error("the specversion is {0:?}; expected \"1.0\"")]
    Version(String),
    #[error("it has both data and data_base64")]
    DataTwice,
    #[error(transparent)]
    NotAnObject(#[from] NotAnObject),
    #[error(transparent)]
    Malformed(#[from] serde_json::Error),
}

/// The attributes in their JSON format (1.0.2), of which only those that are used here are read.
#[derive(Deserialize)]
struct RawAttributes {
    specversion: Option<String>,
    id: Option<String>,
    source: Option<String>,
    r#type: Option<String>,
    data: Option<IgnoredAny>,
    data_base64: Option<IgnoredAny>,
}

impl Attributes {
    /// Parses the `ce-` headers of a CloudEvent in binary mode; returns `None` if there are none.
    pub(super) fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let names = ["ce-specversion", "ce-id", "ce-source", "ce-type"];
        if names.iter().all(|name| headers.get(*name).is_none()) {
            return Ok(None);
        }
        let [specversion, id, source, event_type] = names.map(|name| header(headers, name));
        let raw = RawAttributes {
            specversion: specversion?,
            id: id?,
            source: source?,
            r#type: event_type?,
            data: None,
            data_base64: None,
        };
        raw.validate().map(Some).map_err(|error| {
            Problem::header(format_args!(
                "{error}; a CloudEvent in binary mode has the headers ce-specversion, ce-id, \
                 ce-source and ce-type"
            ))
        })
    }

    /// Parses the body of a CloudEvent in structured mode.
    pub(super) fn from_body(json: &str) -> Result<Self, Problem> {
        RawAttributes::parse(json)
            .and_then(RawAttributes::validate)
            .map_err(|error| Problem::body(format_args!("the body is not a CloudEvent: {error}")))
    }

    /// Creates the publication of the event with these attributes and this data.
    pub(super) fn publication(self, data: String) -> Publication {
        Publication {
            events: vec![NewEvent {
                event_type: Some(self.event_type),
                data,
                trace: None,
            }],
            key: Some(ContentKey::CloudEvent {
                source: self.source,
                id: self.id,
            }),
        }
    }
}

impl RawAttributes {
    fn parse(json: &str) -> Result<Self, CloudEventError> {
        check_object(json)?;
        Ok(serde_json::from_str(json)?)
    }

    fn validate(self) -> Result<Attributes, CloudEventError> {
        if self.data.is_some() && self.data_base64.is_some() {
            return Err(CloudEventError::DataTwice);
        }
        let required = |name, value: Option<String>| {
            let value = value.filter(|value| !value.is_empty());
            value.ok_or(CloudEventError::Missing(name))
        };
        let version = required("specversion", self.specversion)?;
        if version != "1.0" {
            return Err(CloudEventError::Version(version));
        }
        Ok(Attributes {
            id: required("id", self.id)?,
            source: required("source", self.source)?,
            event_type: required("type", self.r#type)?,
        })
    }
}

/// Returns the attribute in a `ce-` header, which can be quoted and percent-encoded (3.1.3.2). Text that is
/// not encoded is accepted as well.
fn header(headers: &HeaderMap, name: &str) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Problem::header(format_args!(
            "{name} is given more than once"
        )));
    }
    let malformed = || Problem::header(format_args!("{name} is not percent-encoded UTF-8"));
    let value = std::str::from_utf8(value.as_bytes()).map_err(|_| malformed())?;
    let quoted = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'));
    let unquoted = quoted.map_or(Cow::Borrowed(value), unescape);
    let decoded = percent::decode(&unquoted).map_err(|_| malformed())?;
    Ok(Some(decoded.into_owned()))
}

/// Removes the backslashes of the quoted pairs in a quoted string (RFC 9110, 5.6.4).
fn unescape(quoted: &str) -> Cow<'_, str> {
    let mut unescaped = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        unescaped.extend(match character {
            '\\' => characters.next(),
            _ => Some(character),
        });
    }
    unescaped.into()
}
