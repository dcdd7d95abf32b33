//! NDJSON, also known as JSON Lines: a batch with one event on each line.

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use super::{DataTooLarge, NotAnObject, Publication, check_object, check_size, json};
use crate::api::problem::Problem;
use crate::core::log::MAX_BATCH_BYTES;
use crate::core::log::NewEvent;
use crate::core::sse::{EventType, EventTypeError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    /// A string is the data itself; any other value is the data as JSON.
    #[serde(borrow)]
    data: &'a RawValue,
    event: Option<String>,
}

#[derive(Debug, Error)]
enum LineError {
    #[error("not of the form {{\"data\":…,\"event\":…}}: {0}")]
    NotAnObject(#[from] NotAnObject),
    #[error("not of the form {{\"data\":…,\"event\":…}}: {0}")]
    Malformed(serde_json::Error),
    #[error("its data is not a Unicode string: {0}")]
    NotUnicode(serde_json::Error),
    #[error(transparent)]
    EventType(#[from] EventTypeError),
    #[error(transparent)]
    TooLarge(#[from] DataTooLarge),
    #[error(
        "with this line the batch has {bytes} bytes, counting {overhead} for each event besides its type \
         and data; at most {MAX_BATCH_BYTES} bytes are accepted, whatever `max_batch_events` is",
        overhead = NewEvent::OVERHEAD_BYTES
    )]
    BatchTooLarge { bytes: usize },
}

/// Returns whether a media type is one of the names of the format, none of which is registered.
pub(super) fn is_media_type(media_type: &str) -> bool {
    matches!(
        media_type.split_once('/'),
        Some((
            "application" | "text",
            "x-ndjson" | "ndjson" | "jsonl" | "x-jsonl" | "jsonlines" | "x-jsonlines"
        ))
    )
}

/// Parses a batch of at most [`MAX_BATCH_BYTES`].
///
/// Lines of white space only are ignored, and so is a byte order mark at the beginning of a line: joined
/// files have them in the middle, too.
pub(super) fn parse(text: &str, max_event_bytes: usize) -> Result<Publication, Problem> {
    let mut events = vec![];
    let mut bytes = 0;
    for (number, line) in (1_u64..).zip(text.split('\n')) {
        let line = json::without_byte_order_mark(line).trim_ascii();
        if line.is_empty() {
            continue;
        }
        let event = parse_line(line, max_event_bytes).map_err(|error| problem(number, &error))?;
        bytes = event.bytes().saturating_add(bytes);
        if bytes > MAX_BATCH_BYTES {
            return Err(problem(number, &LineError::BatchTooLarge { bytes }));
        }
        events.push(event);
    }
    if events.is_empty() {
        return Err(Problem::body("the batch has no lines"));
    }
    Ok(Publication { events, key: None })
}

fn problem(number: u64, error: &LineError) -> Problem {
    let detail = format_args!("line {number}: {error}");
    match error {
        LineError::TooLarge(_) | LineError::BatchTooLarge { .. } => Problem::too_large(detail),
        _ => Problem::body(detail),
    }
}

fn parse_line(line: &str, max_event_bytes: usize) -> Result<NewEvent, LineError> {
    check_object(line)?;
    let Line { data, event } = serde_json::from_str(line).map_err(LineError::Malformed)?;
    if let Some(event_type) = &event {
        EventType::from_publisher(event_type)?;
    }
    let data = if data.get().starts_with('"') {
        // A JSON string need not be Unicode: it can escape half of a surrogate pair.
        serde_json::from_str(data.get()).map_err(LineError::NotUnicode)?
    } else {
        // A carriage return alone does not end a line of NDJSON, but it does in an event stream.
        json::on_one_line(data.get())
    };
    check_size(&data, max_event_bytes)?;
    Ok(NewEvent {
        event_type: event,
        data,
        trace: None,
    })
}
