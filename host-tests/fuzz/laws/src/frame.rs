//! The encoder of event streams, against a parser that is not ours.

use std::convert::Infallible;
use std::time::Duration;

use eventsource_stream::{Event, Eventsource};
use futures::{StreamExt, executor::block_on, stream};

use runnel::core::sse::{Epoch, EventId, EventType, Frames, Position, Seq};

/// Law: an event arrives as it was sent, however the network cuts the stream, but for line ends,
/// which become LF; and no text adds, ends or changes another block.
///
/// The first byte of the input says in how many bytes the stream arrives at once (0: all), the second
/// how many bytes the type has; type and data follow.
///
/// # Panics
/// When the law is broken.
pub fn frame(input: &[u8]) {
    let [cut, type_bytes, rest @ ..] = input else {
        return;
    };
    let (event_type, data) = rest.split_at(usize::from(*type_bytes).min(rest.len()));
    let event_type = String::from_utf8_lossy(event_type);
    let data = String::from_utf8_lossy(data);
    let Some(typed) = parsed(&event_type) else {
        return;
    };
    let wire = wire(typed, &data);
    check_lines(&wire, &data);
    let whole = if *cut == 0 {
        wire.len()
    } else {
        usize::from(*cut)
    };
    let expected_data = data.replace("\r\n", "\n").replace('\r', "\n");
    let expected_type = typed.map_or("message", EventType::as_str);
    let decoded: Vec<_> = decoded(&wire, whole)
        .into_iter()
        .map(|event| (event.id, event.event, event.data))
        .collect();
    let expected = [
        ("000007-1", expected_type, expected_data.as_str()),
        ("000007-1", "runnel.end", expected_data.as_str()),
        ("000007-2", "message", "last"),
    ];
    let expected = expected.map(|(id, event, data)| (id.into(), event.into(), data.into()));
    assert_eq!(decoded, expected);
}

/// The type, `None` within for none; or nothing, if a type of this text is refused rightly.
fn parsed(text: &str) -> Option<Option<EventType<'_>>> {
    if text.is_empty() {
        return Some(None);
    }
    let parsed = EventType::parse(text).ok();
    assert_eq!(parsed.is_none(), text.contains(['\r', '\n', '\0']));
    if EventType::from_publisher(text).is_ok() {
        assert!(parsed.is_some() && !text.starts_with("runnel."));
    }
    parsed.map(Some)
}

fn id(seq: u64) -> EventId {
    EventId {
        epoch: Epoch::from_random(7),
        seq: Seq(seq),
    }
}

/// The event between what streams have around events, with the same text wherever text can be.
fn wire(event_type: Option<EventType<'_>>, data: &str) -> Vec<u8> {
    let mut frames = Frames::default();
    frames.retry(Duration::from_secs(2), None);
    frames.event(&Position::After(id(1)).into(), event_type, data, None);
    frames.comment(data);
    if let Ok(name) = EventType::parse("runnel.end") {
        frames.control_event(name, None, data);
    }
    frames.event(&Position::After(id(2)).into(), None, "last", None);
    let bytes = frames.len();
    let wire = frames.into_bytes();
    assert_eq!(wire.len(), bytes);
    wire
}

/// Every line is of a field or a comment that was asked for, and there are as many as there should be.
fn check_lines(wire: &[u8], data: &str) {
    assert!(!wire.contains(&b'\r') && wire.ends_with(b"\n\n"));
    let count = |start: &str| {
        let lines = wire.split(|byte| *byte == b'\n');
        lines
            .filter(|line| line.starts_with(start.as_bytes()))
            .count()
    };
    let lines = data.replace("\r\n", "\n").split(['\r', '\n']).count();
    assert_eq!(count("id: "), 2);
    assert_eq!(count("retry: "), 1);
    assert_eq!(count("data: "), 2 * lines + 1);
    assert_eq!(count(":"), lines);
    let known = ["id: ", "retry: ", "data: ", ":", "event: "];
    let blank = wire
        .split(|byte| *byte == b'\n')
        .filter(|line| line.is_empty());
    // Five blocks, and what follows the last line end.
    assert_eq!(blank.count(), 5 + 1);
    let all = wire.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(known.map(count).iter().sum::<usize>() + 5, all);
}

fn decoded(wire: &[u8], chunk_bytes: usize) -> Vec<Event> {
    let chunks = wire.chunks(chunk_bytes).map(Ok::<_, Infallible>);
    let events = stream::iter(chunks).eventsource();
    let events = events.map(|event| event.expect("the wire is an event stream"));
    block_on(events.collect())
}
