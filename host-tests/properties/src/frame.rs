//! The encoder of event streams, checked with an independent parser.

use std::convert::Infallible;
use std::time::Duration;

use eventsource_stream::{Event, Eventsource};
use futures::{StreamExt, executor::block_on, stream};

use runnel::core::sse::{Epoch, EventId, EventType, Frames, Position, Seq};

/// Property: an event arrives as it was sent, except that its line ends become LF, however the network
/// splits the stream. No text adds, ends or changes another block.
///
/// The first byte of the input is the size of the chunks in which the stream arrives (0: one chunk),
/// the second the length of the type; type and data follow.
///
/// # Panics
/// If the property is violated.
pub fn frame(input: &[u8]) {
    let [chunk_bytes, type_bytes, rest @ ..] = input else {
        return;
    };
    let (event_type, data) = rest.split_at(usize::from(*type_bytes).min(rest.len()));
    let event_type = String::from_utf8_lossy(event_type);
    let data = String::from_utf8_lossy(data);
    let Some(event_type) = parse_type(&event_type) else {
        return;
    };
    let wire = encode(event_type, &data);
    check_lines(&wire, &data);
    let chunk_bytes = if *chunk_bytes == 0 {
        wire.len()
    } else {
        usize::from(*chunk_bytes)
    };
    let expected_data = data.replace("\r\n", "\n").replace('\r', "\n");
    let expected_type = event_type.map_or("message", EventType::as_str);
    let decoded: Vec<_> = decode(&wire, chunk_bytes)
        .into_iter()
        .map(|event| (event.id, event.event, event.data))
        .collect();
    let expected = [
        ("000007-1", expected_type, expected_data.as_str()),
        ("000007-1", "runnel.open", expected_data.as_str()),
        ("000007-2", "message", "last"),
    ];
    let expected = expected.map(|(id, event, data)| (id.into(), event.into(), data.into()));
    assert_eq!(decoded, expected);
}

/// Parses the type; an empty text is the event without a type. Returns `None` if the text is rightly
/// rejected.
fn parse_type(text: &str) -> Option<Option<EventType<'_>>> {
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

/// Encodes the event among the other blocks of a stream, with the same text wherever text can be.
fn encode(event_type: Option<EventType<'_>>, data: &str) -> Vec<u8> {
    let mut frames = Frames::default();
    frames.comment("");
    frames.event(&Position::After(id(1)).into(), event_type, data, None);
    frames.comment(data);
    if let Ok(name) = EventType::parse("runnel.open") {
        frames.control_event(name, Some(Duration::from_secs(2)), None, data);
    }
    frames.event(&Position::After(id(2)).into(), None, "last", None);
    let bytes = frames.len();
    let wire = frames.into_bytes();
    assert_eq!(wire.len(), bytes);
    wire
}

/// Every line is a field or a comment that was encoded, and their numbers are right.
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
    assert_eq!(count(":"), lines + 1);
    let prefixes = ["id: ", "retry: ", "data: ", ":", "event: "];
    let blank = wire
        .split(|byte| *byte == b'\n')
        .filter(|line| line.is_empty());
    // Three blocks, and the empty rest after the last line end.
    assert_eq!(blank.count(), 3 + 1);
    let all = wire.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(prefixes.map(count).iter().sum::<usize>() + 3, all);
}

fn decode(wire: &[u8], chunk_bytes: usize) -> Vec<Event> {
    let chunks = wire.chunks(chunk_bytes).map(Ok::<_, Infallible>);
    let events = stream::iter(chunks).eventsource();
    let events = events.map(|event| event.expect("the encoder writes an event stream"));
    block_on(events.collect())
}
