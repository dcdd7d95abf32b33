//! `application/x-ndjson`: a batch with one event on each line.

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use super::{DataTooLarge, NotAnObject, Publication, check_object, check_size};
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
        "with this line the batch exceeds {MAX_BATCH_BYTES} bytes, the most that one batch can have"
    )]
    BatchTooLarge,
}

/// Parses a batch of at most [`MAX_BATCH_BYTES`].
pub(super) fn parse(text: &str, max_event_bytes: usize) -> Result<Publication, Problem> {
    let mut events = vec![];
    let mut bytes = 0;
    for (number, line) in (1_u64..).zip(text.split('\n')) {
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            continue;
        }
        let event = parse_line(line, max_event_bytes).map_err(|error| problem(number, &error))?;
        bytes = event.bytes().saturating_add(bytes);
        if bytes > MAX_BATCH_BYTES {
            return Err(problem(number, &LineError::BatchTooLarge));
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
        LineError::TooLarge(_) | LineError::BatchTooLarge => Problem::too_large(detail),
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
        data.get().to_owned()
    };
    check_size(&data, max_event_bytes)?;
    Ok(NewEvent {
        event_type: event,
        data,
        trace: None,
    })
}
