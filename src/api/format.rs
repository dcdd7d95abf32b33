//! What a publisher may send, and the events in it.

mod cloud_event;
mod form;
mod lines;

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde::de::IgnoredAny;

use super::problem::Problem;
use crate::core::log::NewEvent;
use crate::core::sse::EventType;
pub use cloud_event::Attributes;

/// How events are written in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// One event; its data is the body.
    Body {
        /// Whether the body has to be JSON.
        json: bool,
        /// What the headers say of it, if it is a CloudEvent in binary mode.
        attributes: Option<Attributes>,
    },
    /// One event; its data is the body, which is a CloudEvent in structured mode.
    CloudEvent,
    /// One event, in the fields of a form.
    Form,
    /// An event a line.
    JsonLines,
}

/// What is published by one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The events, in order.
    pub events: Vec<NewEvent>,
    /// What tells a repeat of it from another, in parts.
    pub key: Option<Vec<String>>,
}

impl Format {
    /// The format that the headers name.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        const ACCEPTED: &str = "accepted are application/json, text/*, application/x-ndjson, \
            application/x-www-form-urlencoded and application/cloudevents+json";
        let refused = |what: &str| Problem::media_type(format_args!("{what}; {ACCEPTED}"));
        // To unpack it could take any amount of memory.
        let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
        if encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
            let detail = "the body has a content-encoding; accepted is only one without";
            return Err(Problem::media_type(detail));
        }
        let attributes = Attributes::of(headers)?;
        let mut values = headers.get_all(CONTENT_TYPE).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(refused("there is no content-type header, or more than one"));
        };
        let value = value
            .to_str()
            .map_err(|_| refused("the content-type header is not ASCII"))?;
        let mut parts = value.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        for part in parts {
            let (name, charset) = part.split_once('=').unwrap_or((part, ""));
            let charset = charset.trim_matches('"');
            let utf8 = ["utf-8", "utf8", "us-ascii"]
                .iter()
                .any(|known| charset.eq_ignore_ascii_case(known));
            if name.trim().eq_ignore_ascii_case("charset") && !utf8 {
                return Err(refused(&format!(
                    "the charset {charset:?} is not supported, only utf-8"
                )));
            }
        }
        let format = match essence.as_str() {
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
                return Err(refused(&format!(
                    "the content type {essence:?} is not supported"
                )));
            }
        };
        match attributes {
            None => Ok(format),
            Some(_) => Err(Problem::header(format_args!(
                "the ce- headers of a CloudEvent in binary mode do not go with {essence}"
            ))),
        }
    }

    /// What a body publishes. `event_type` is from the query, and goes only with a single event that
    /// has none.
    pub fn read(
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
        let has_its_own = |what: &str| match event_type {
            None => Ok(()),
            Some(_) => Err(Problem::query(format_args!(
                "`event` does not go with {what}, which has its own"
            ))),
        };
        let data = || text.to_owned();
        let publication = match self {
            Self::JsonLines => {
                has_its_own("a batch, each line of")?;
                return lines::read(text, max_event_bytes);
            }
            Self::Form => form::read(text, event_type)?,
            Self::CloudEvent => {
                has_its_own("a CloudEvent")?;
                cloud_event::structured(text)?.publication(data())
            }
            Self::Body { json, attributes } => {
                if json {
                    let checked = serde_json::from_str::<IgnoredAny>(text);
                    checked.map_err(|error| {
                        Problem::body(format_args!("the body is not JSON: {error}"))
                    })?;
                }
                match attributes {
                    Some(attributes) => {
                        has_its_own("a CloudEvent")?;
                        attributes.publication(data())
                    }
                    None => Publication::of(NewEvent {
                        event_type: event_type.map(str::to_owned),
                        data: data(),
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
    /// One event that is not told from a repeat.
    fn of(event: NewEvent) -> Self {
        Self {
            events: vec![event],
            key: None,
        }
    }
}

/// `application/json`, and what is written in JSON (RFC 6839), except batches of CloudEvents.
fn is_json(essence: &str) -> bool {
    essence == "application/json"
        || (essence.starts_with("application/")
            && essence.ends_with("+json")
            && essence != "application/cloudevents-batch+json")
}

/// Whether JSON is an object. A struct would be read from an array, too.
fn check_object(json: &str) -> Result<(), &'static str> {
    match json.trim_start().starts_with('{') {
        true => Ok(()),
        false => Err("it is not a JSON object"),
    }
}

fn check_size(data: &str, max_event_bytes: usize) -> Result<(), String> {
    match data.len() {
        bytes if bytes <= max_event_bytes => Ok(()),
        bytes => Err(format!(
            "the event's data has {bytes} bytes; at most {max_event_bytes} are accepted"
        )),
    }
}

#[cfg(test)]
mod tests;
