//! The formats of publish requests.

mod cloud_event;
mod form;
mod json;
mod json_lines;
#[cfg(test)]
mod tests;

use std::fmt::Display;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use thiserror::Error;

pub use cloud_event::Attributes;

use super::problem::Problem;
use crate::core::log::NewEvent;
use crate::core::sse::EventType;

const FORM: &str = "application/x-www-form-urlencoded";

/// The format of a request body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// One event. The body is its data.
    Body {
        /// The body must be JSON, or empty if it is that of a CloudEvent.
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
    /// The idempotency key, if the content has one.
    pub key: Option<ContentKey>,
}

/// An idempotency key in the content of a request rather than in a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContentKey {
    /// The field `id` of a form. Like a key in the header, it must not be used for other content.
    Form(String),
    /// The identity of a CloudEvent. Its content may differ when it is delivered again.
    CloudEvent {
        /// The attribute `source`.
        source: String,
        /// The attribute `id`.
        id: String,
    },
}

impl Format {
    /// Returns the format that the headers describe.
    ///
    /// The content type of a CloudEvent in binary mode describes its data, and may be absent. The headers
    /// of one in structured mode may repeat its attributes (3.2.3), and are ignored.
    ///
    /// # Errors
    /// Returns a problem if the content type or charset is not supported, or if the headers of a
    /// CloudEvent are malformed.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, Problem> {
        let media_type = media_type(headers)?;
        let media_type = media_type.as_deref();
        if media_type == Some("application/cloudevents+json") {
            return Ok(Self::CloudEvent);
        }
        let json = media_type.is_some_and(is_json);
        if let Some(attributes) = Attributes::from_headers(headers)? {
            let attributes = Some(attributes);
            return match media_type {
                Some(other) if !is_text(other) => Err(unsupported(media_type)),
                _ => Ok(Self::Body { json, attributes }),
            };
        }
        match media_type {
            Some(lines) if json_lines::is_media_type(lines) => Ok(Self::JsonLines),
            Some(FORM) => Ok(Self::Form),
            Some(text) if json || is_of_type_text(text) => {
                let attributes = None;
                Ok(Self::Body { json, attributes })
            }
            _ => Err(unsupported(media_type)),
        }
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
                let text = json::without_byte_order_mark(text);
                Attributes::from_body(text)?.publication(json::on_one_line(text))
            }
            Self::Body { json, attributes } => {
                // A CloudEvent need not have data.
                let data = if json && (attributes.is_none() || !body.is_empty()) {
                    parse_json(text)?
                } else {
                    text.to_owned()
                };
                match attributes {
                    Some(attributes) => {
                        reject_event_type(event_type, "a CloudEvent, which")?;
                        attributes.publication(data)
                    }
                    None => Publication::single(NewEvent {
                        event_type: event_type.map(str::to_owned),
                        data,
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
#[error("the event's data has {bytes} bytes; at most {max_bytes} are accepted (`max_event_bytes`)")]
struct DataTooLarge {
    bytes: usize,
    max_bytes: usize,
}

/// Returns the media type in the header `content-type` in lower case, without parameters; `None` if there
/// is none. Its charset, if it has one, is UTF-8.
fn media_type(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let Some(value) = values.next().filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(rejected("there is more than one content-type header"));
    }
    let value = value
        .to_str()
        .map_err(|_| rejected("the content-type header is not ASCII"))?;
    let mut parts = value.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
    for parameter in parts {
        let (name, charset) = parameter.split_once('=').unwrap_or((parameter, ""));
        let charset = charset.trim_matches('"');
        if name.trim().eq_ignore_ascii_case("charset") && !is_utf8(charset) {
            return Err(rejected(format_args!(
                "the charset {charset:?} is not supported, only utf-8"
            )));
        }
    }
    Ok(Some(media_type))
}

fn unsupported(media_type: Option<&str>) -> Problem {
    match media_type {
        None => rejected("there is no content-type header"),
        Some("application/cloudevents-batch+json") => Problem::media_type(
            "a batch of CloudEvents (application/cloudevents-batch+json) is not supported, since each is \
             remembered by its own `source` and `id`; send each in a request of its own",
        ),
        Some(media_type) => rejected(format_args!(
            "the content type {media_type:?} is not supported"
        )),
    }
}

fn rejected(reason: impl Display) -> Problem {
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

/// Returns whether a media type is JSON (RFC 6839), except that of CloudEvents.
fn is_json(media_type: &str) -> bool {
    let suffix = media_type.strip_prefix("application/").unwrap_or_default();
    suffix == "json" || suffix.ends_with("+json") && !suffix.starts_with("cloudevents")
}

fn reject_event_type(event_type: Option<&str>, format: &str) -> Result<(), Problem> {
    if event_type.is_some() {
        return Err(Problem::query(format_args!(
            "`event` cannot be used with {format} has a type of its own"
        )));
    }
    Ok(())
}

/// Returns whether a media type is that of text, so that the data of a CloudEvent can have it.
fn is_text(media_type: &str) -> bool {
    let suffix = media_type.strip_prefix("application/").unwrap_or_default();
    let is_xml = suffix == "xml" || suffix.ends_with("+xml") && !suffix.starts_with("cloudevents");
    is_xml
        || media_type == FORM
        || is_json(media_type)
        || is_of_type_text(media_type)
        || json_lines::is_media_type(media_type)
}

fn is_of_type_text(media_type: &str) -> bool {
    let subtype = media_type.strip_prefix("text/");
    subtype.is_some_and(|subtype| !subtype.is_empty())
}

fn parse_json(text: &str) -> Result<String, Problem> {
    let text = json::without_byte_order_mark(text);
    match json::check(text) {
        Ok(()) => Ok(json::on_one_line(text)),
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
