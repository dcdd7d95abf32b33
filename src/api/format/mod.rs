//! The formats of publish requests.

mod cloud_event;
mod form;
mod json_lines;
#[cfg(test)]
mod tests;

use std::fmt::Display;

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde::de::IgnoredAny;
use thiserror::Error;

pub use cloud_event::Attributes;

use super::problem::Problem;
use crate::core::log::NewEvent;
use crate::core::sse::EventType;

/// The format of a request body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// One event. The body is its data.
    Body {
        /// The body must be JSON.
        json: bool,
        /// The attributes in the headers of a CloudEvent in binary mode.
        attributes: Option<Attributes>,
    },
    /// One event. The body, a CloudEvent in structured mode, is its data.
    CloudEvent,
    /// One event, in the fields of a form.
    Form,
    /// A batch: one event on each line.
    JsonLines,
}

/// The content of a publish request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The events, in order.
    pub events: Vec<NewEvent>,
    /// The parts of the idempotency key, if the content has one.
    pub key: Option<Vec<String>>,
}

impl Format {
    /// Returns the format that the headers describe.
    ///
    /// # Errors
    /// Returns a problem if the content type, charset or content encoding is not supported, or if the
    /// headers of a CloudEvent are malformed.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, Problem> {
        // Decompressing a body could take any amount of memory.
        let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
        if encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            return Err(Problem::media_type(
                "the body has a content-encoding; send it uncompressed",
            ));
        }
        let attributes = Attributes::from_headers(headers)?;
        let media_type = media_type(headers)?;
        let format = match media_type.as_str() {
            "application/x-ndjson" => Self::JsonLines,
            "application/x-www-form-urlencoded" => Self::Form,
            "application/cloudevents+json" => Self::CloudEvent,
            json if is_json(json) => {
                let json = true;
                return Ok(Self::Body { json, attributes });
            }
            text if text.starts_with("text/") && text.len() > 5 => {
                let json = false;
                return Ok(Self::Body { json, attributes });
            }
            _ => {
                return Err(unsupported(format_args!(
                    "the content type {media_type:?} is not supported"
                )));
            }
        };
        if attributes.is_some() {
            return Err(Problem::header(format_args!(
                "the ce- headers of a CloudEvent in binary mode cannot be used with {media_type}"
            )));
        }
        Ok(format)
    }

    /// Parses a body.
    ///
    /// `event_type`, from the query, is the type of a single event without one of its own. Each event has
    /// at most `max_event_bytes` bytes of data.
    ///
    /// # Errors
    /// Returns a problem if the body is malformed, if an event is too large or its type is not accepted,
    /// or if there is an `event_type` but the format has its own.
    pub fn parse(
        self,
        body: &[u8],
        event_type: Option<&str>,
        max_event_bytes: usize,
    ) -> Result<Publication, Problem> {
        let text = std::str::from_utf8(body).map_err(|error| {
            Problem::body(format_args!(
                "the body is not UTF-8 from byte {} on",
                error.valid_up_to()
            ))
        })?;
        let publication = match self {
            Self::JsonLines => {
                reject_event_type(event_type, "a batch, in which each line")?;
                return json_lines::parse(text, max_event_bytes);
            }
            Self::Form => form::parse(text, event_type)?,
            Self::CloudEvent => {
                reject_event_type(event_type, "a CloudEvent, which")?;
                Attributes::from_body(text)?.publication(text.to_owned())
            }
            Self::Body { json, attributes } => {
                if json {
                    check_json(text)?;
                }
                match attributes {
                    Some(attributes) => {
                        reject_event_type(event_type, "a CloudEvent, which")?;
                        attributes.publication(text.to_owned())
                    }
                    None => Publication::single(NewEvent {
                        event_type: event_type.map(str::to_owned),
                        data: text.to_owned(),
                        trace: None,
                    }),
                }
            }
        };
        for event in &publication.events {
            if let Some(event_type) = &event.event_type {
                EventType::from_publisher(event_type).map_err(Problem::event_type)?;
            }
            check_size(&event.data, max_event_bytes).map_err(Problem::too_large)?;
        }
        Ok(publication)
    }
}

impl Publication {
    /// Creates a publication of one event, without an idempotency key.
    fn single(event: NewEvent) -> Self {
        Self {
            events: vec![event],
            key: None,
        }
    }
}

/// The text is not a JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it is not a JSON object")]
struct NotAnObject;

/// The data of an event exceeds the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the event's data has {bytes} bytes; at most {max_bytes} are accepted")]
struct DataTooLarge {
    bytes: usize,
    max_bytes: usize,
}

/// Returns the media type in the header `content-type` in lower case, without parameters. Its charset, if
/// it has one, is UTF-8.
fn media_type(headers: &HeaderMap) -> Result<String, Problem> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(unsupported(
            "there is no content-type header, or more than one",
        ));
    };
    let value = value
        .to_str()
        .map_err(|_| unsupported("the content-type header is not ASCII"))?;
    let mut parts = value.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
    for parameter in parts {
        let (name, charset) = parameter.split_once('=').unwrap_or((parameter, ""));
        let charset = charset.trim_matches('"');
        if name.trim().eq_ignore_ascii_case("charset") && !is_utf8(charset) {
            return Err(unsupported(format_args!(
                "the charset {charset:?} is not supported, only utf-8"
            )));
        }
    }
    Ok(media_type)
}

fn unsupported(reason: impl Display) -> Problem {
    Problem::media_type(format_args!(
        "{reason}; accepted are application/json, text/*, application/x-ndjson, \
         application/x-www-form-urlencoded and application/cloudevents+json"
    ))
}

fn is_utf8(charset: &str) -> bool {
    ["utf-8", "utf8", "us-ascii"]
        .iter()
        .any(|accepted| charset.eq_ignore_ascii_case(accepted))
}

/// Returns whether a media type is JSON (RFC 6839). Batches of CloudEvents are not supported.
fn is_json(media_type: &str) -> bool {
    media_type == "application/json"
        || (media_type.starts_with("application/")
            && media_type.ends_with("+json")
            && media_type != "application/cloudevents-batch+json")
}

fn reject_event_type(event_type: Option<&str>, format: &str) -> Result<(), Problem> {
    if event_type.is_some() {
        return Err(Problem::query(format_args!(
            "`event` cannot be used with {format} has a type of its own"
        )));
    }
    Ok(())
}

fn check_json(text: &str) -> Result<(), Problem> {
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(Problem::body(format_args!("the body is not JSON: {error}"))),
    }
}

/// Checks that JSON is an object. `serde` would also read a struct from an array.
fn check_object(json: &str) -> Result<(), NotAnObject> {
    if !json.trim_start().starts_with('{') {
        return Err(NotAnObject);
    }
    Ok(())
}

fn check_size(data: &str, max_bytes: usize) -> Result<(), DataTooLarge> {
    let bytes = data.len();
    if bytes > max_bytes {
        return Err(DataTooLarge { bytes, max_bytes });
    }
    Ok(())
}
