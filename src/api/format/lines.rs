//! `application/x-ndjson`: a batch, an event a line.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Publication, check_object, check_size};
use crate::api::problem::Problem;
use crate::core::log::{MAX_GROUP_BYTES, NewEvent};
use crate::core::sse::EventType;

/// A line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    /// A string is the data itself; any other value is the data as JSON.
    #[serde(borrow)]
    data: &'a RawValue,
    event: Option<String>,
}

/// Reads a batch, of [`MAX_GROUP_BYTES`] at most.
pub(super) fn read(text: &str, max_event_bytes: usize) -> Result<Publication, Problem> {
    let mut events = vec![];
    let mut bytes = 0;
    for (number, line) in (1_u64..).zip(text.split('\n')) {
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            continue;
        }
        let at = |detail: String| format!("line {number}: {detail}");
        let event = event(line).map_err(|detail| Problem::body(at(detail)))?;
        check_size(&event.data, max_event_bytes)
            .map_err(|detail| Problem::too_large(at(detail)))?;
        bytes = event.bytes().saturating_add(bytes);
        if bytes > MAX_GROUP_BYTES {
            let detail = format!(
                "with this line the batch exceeds {MAX_GROUP_BYTES} bytes, the most that is appended as one"
            );
            return Err(Problem::too_large(at(detail)));
        }
        events.push(event);
    }
    if events.is_empty() {
        return Err(Problem::body("the batch has no lines"));
    }
    Ok(Publication { events, key: None })
}

fn event(line: &str) -> Result<NewEvent, String> {
    let refused = |why: &str| format!("not of the form {{\"data\":…,\"event\":…}}: {why}");
    check_object(line).map_err(refused)?;
    let Line { data, event } =
        serde_json::from_str(line).map_err(|error| refused(&error.to_string()))?;
    if let Some(event_type) = &event {
        EventType::from_publisher(event_type).map_err(|error| error.to_string())?;
    }
    let data = match data.get() {
        // A string of JSON need not be one of Unicode: it may have half a surrogate pair.
        string if string.starts_with('"') => serde_json::from_str(string)
            .map_err(|error| format!("its data is not a Unicode string: {error}"))?,
        json => json.to_owned(),
    };
    Ok(NewEvent {
        event_type: event,
        data,
        trace: None,
    })
}
