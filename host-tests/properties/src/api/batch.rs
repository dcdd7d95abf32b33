//! Batches in NDJSON.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::check_problem;
use runnel::api::format::Format;
use runnel::core::log::kv::{Head, MAX_GROUP_BYTES, append};
use runnel::core::log::{Batch, NewEvent, Retention};
use runnel::core::sse::{Epoch, EventType};
use runnel::core::time::Timestamp;

/// The default of the variable `max_event_bytes`.
pub(super) const MAX_EVENT_BYTES: usize = 64 * 1024;

/// Property: any body is a batch or a problem. Each line of a batch that is not blank is an event whose data
/// is the given string or JSON, the latter on one line. The events can be published, are read back from the log unchanged, and form the
/// same batch when they are written as lines again.
///
/// # Panics
/// If the property is violated.
pub fn ndjson(body: &[u8]) {
    let events = match Format::JsonLines.parse(body, None, MAX_EVENT_BYTES) {
        Ok(publication) => publication.events,
        Err(problem) => return check_problem(problem),
    };
    let text = std::str::from_utf8(body).expect("a batch is UTF-8");
    let lines = text.split('\n').map(|line| {
        let line = line.strip_prefix('\u{feff}').unwrap_or(line);
        line.trim_matches([' ', '\t', '\r', '\u{c}'])
    });
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), events.len());
    for (line, event) in lines.iter().zip(&events) {
        check_line(line, event);
    }
    check_events(&events);
    let written: Vec<_> = events.iter().map(to_line).collect();
    let read = Format::JsonLines.parse(written.join("\n").as_bytes(), None, MAX_EVENT_BYTES);
    assert_eq!(
        read.map(|publication| publication.events).ok(),
        Some(events)
    );
}

/// Property: events parsed from a body can be published and are read back from the log unchanged.
pub(super) fn check_events(events: &[NewEvent]) {
    assert!(
        events
            .iter()
            .all(|event| event.data.len() <= MAX_EVENT_BYTES)
    );
    let bytes: usize = events.iter().map(NewEvent::bytes).sum();
    assert!(events.len() == 1 || bytes <= MAX_GROUP_BYTES);
    for event_type in events.iter().filter_map(|event| event.event_type.as_ref()) {
        assert!(EventType::from_publisher(event_type).is_ok());
    }
    let batch = Batch {
        events: events.to_vec(),
        ..Batch::default()
    };
    let retention = Retention {
        events: 1,
        bytes: 1,
        max_age: None,
    };
    let head = Head::new(Epoch::from_random(7));
    let plan = append(&head, &[batch], 1, Timestamp(1), &retention)
        .expect("an empty head has no record to fail on");
    let head = plan.change.expect("an open log accepts a batch").head;
    let read: Result<Vec<_>, _> = head.inline.records().collect();
    let read = read.expect("an appended record can be read").into_iter();
    let read = read.map(|(_, record)| NewEvent {
        event_type: record.event_type.map(|text| text.as_str().to_owned()),
        data: record.data.to_owned(),
        trace: None,
    });
    assert_eq!(read.collect::<Vec<_>>(), events);
}

/// Compares an event with its line, parsed as a generic JSON object.
fn check_line(line: &str, event: &NewEvent) {
    let fields: HashMap<String, &RawValue> = serde_json::from_str(line).expect("a line is JSON");
    let text = |raw: &RawValue| serde_json::from_str::<String>(raw.get());
    let data = fields["data"];
    match text(data) {
        Ok(string) => assert_eq!(event.data, string),
        Err(_) => {
            check_on_one_line(data.get(), &event.data);
            assert!(!data.get().starts_with('"'));
        }
    }
    let expected_type = fields.get("event").and_then(|raw| text(raw).ok());
    assert_eq!(event.event_type, expected_type);
}

/// Compares JSON in an event with the JSON that was sent: white space next to line ends may be missing.
pub(super) fn check_on_one_line(sent: &str, data: &str) {
    let without_white_space = |json: &str| {
        let mut in_string = false;
        let mut escaped = false;
        let kept = json.chars().filter(|character| {
            let keep = in_string || !character.is_ascii_whitespace();
            if *character == '"' && !escaped {
                in_string = !in_string;
            }
            escaped = in_string && *character == '\\' && !escaped;
            keep
        });
        kept.collect::<String>()
    };
    assert!(!data.contains(['\r', '\n']));
    assert_eq!(without_white_space(data), without_white_space(sent));
    if !sent.contains(['\r', '\n']) {
        assert_eq!(data, sent.trim_ascii());
    }
}

fn to_line(event: &NewEvent) -> String {
    let fields = serde_json::json!({ "data": event.data, "event": event.event_type });
    fields.to_string()
}
