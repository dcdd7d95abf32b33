//! Frames of an event stream as Runnel writes them, parsed independently of its encoder.

use crate::channel::split_id;

/// The control events that every stream has, beside those that report something: `runnel.gap`,
/// `runnel.end` and `runnel.expired`.
const BOOKKEEPING: [&str; 3] = ["runnel.open", "runnel.position", "runnel.reconnect"];

/// Returns `true` for the name of a control event that every stream has.
pub fn is_bookkeeping(name: &str) -> bool {
    BOOKKEEPING.contains(&name)
}

/// Asserts, line by line, that every blank line ends a block with data: many clients yield an empty event
/// for a block without, fail on it, or skip its other fields.
#[derive(Debug, Default)]
pub(crate) struct BlockChecker {
    line: Vec<u8>,
    has_fields: bool,
    has_data: bool,
}

impl BlockChecker {
    /// Takes the next bytes of a stream.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.end_line(&line);
            } else {
                self.line.push(*byte);
            }
        }
    }

    fn end_line(&mut self, line: &[u8]) {
        if line.is_empty() {
            assert!(self.has_data, "a blank line ends a block without data");
            (self.has_fields, self.has_data) = (false, false);
        } else if !line.starts_with(b":") {
            self.has_fields = true;
            self.has_data |= line.starts_with(b"data: ");
        }
    }

    /// Returns `true` between two blocks.
    pub(crate) fn is_between_blocks(&self) -> bool {
        self.line.is_empty() && !self.has_fields
    }
}

/// A block, the fields before a blank line; or a comment between two blocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// The text of comments, without leading blanks.
    pub comments: Vec<String>,
    /// The reconnection time in milliseconds.
    pub retry: Option<u64>,
    /// The last event id.
    pub id: Option<String>,
    /// The event type.
    pub name: Option<String>,
    /// The data, its lines joined with LF.
    pub data: Option<String>,
}

impl Frame {
    /// Parses a chunk, which must consist of whole frames.
    pub fn parse_all(chunk: &str) -> Vec<Self> {
        let mut checker = BlockChecker::default();
        checker.push(chunk.as_bytes());
        assert!(
            checker.is_between_blocks(),
            "a chunk ends within a frame: {chunk:?}"
        );
        let mut frames = vec![];
        let mut rest = chunk;
        while let Some((line, after)) = rest.split_once('\n') {
            if let Some(comment) = line.strip_prefix(':') {
                let comments = vec![comment.trim_start().to_owned()];
                frames.push(Self {
                    comments,
                    ..Self::default()
                });
                rest = after;
            } else {
                let (block, after) = rest.split_once("\n\n").unwrap();
                frames.push(Self::parse(block));
                rest = after;
            }
        }
        frames
    }

    fn parse(text: &str) -> Self {
        let mut frame = Self::default();
        for line in text.split('\n') {
            // Some clients remember an id as soon as they read its line.
            assert_eq!(frame.id, None, "the id is not the last line: {text:?}");
            let (field, value) = line
                .split_once(": ")
                .unwrap_or_else(|| panic!("not a field: {line:?}"));
            match field {
                "retry" => frame.retry = Some(value.parse().unwrap()),
                "id" => frame.id = Some(value.to_owned()),
                "event" => frame.name = Some(value.to_owned()),
                "data" => match &mut frame.data {
                    Some(data) => *data = format!("{data}\n{value}"),
                    none => *none = Some(value.to_owned()),
                },
                unknown => panic!("unknown field {unknown:?}"),
            }
        }
        frame
    }

    /// Returns the event, if the frame has data.
    pub fn event(self) -> Option<Event> {
        Some(Event {
            id: self.id.unwrap_or_default(),
            name: self.name,
            data: self.data?,
        })
    }

    /// Returns `true` for `runnel.position`.
    pub fn is_position(&self) -> bool {
        self.id.is_some() && self.name.as_deref() == Some("runnel.position")
    }

    /// Returns `true` for a heartbeat: an empty comment and nothing else.
    pub fn is_heartbeat(&self) -> bool {
        let heartbeat = Self {
            comments: vec![String::new()],
            ..Self::default()
        };
        *self == heartbeat
    }
}

/// An event as a client receives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The last event id.
    pub id: String,
    /// The event type; `None` for `message`.
    pub name: Option<String>,
    /// The data.
    pub data: String,
}

impl Event {
    /// Returns the seq in the id.
    pub fn seq(&self) -> u64 {
        split_id(&self.id).1
    }

    /// Returns the epoch in the id.
    pub fn epoch(&self) -> &str {
        split_id(&self.id).0
    }

    /// Returns `true` for a control event that every stream has, such as `runnel.open`.
    pub fn is_bookkeeping(&self) -> bool {
        self.name.as_deref().is_some_and(is_bookkeeping)
    }

    /// Returns `true` for a control event, such as `runnel.gap`.
    pub fn is_control_event(&self) -> bool {
        self.name
            .as_ref()
            .is_some_and(|name| name.starts_with("runnel."))
    }
}

#[test]
fn frames_are_parsed_field_by_field() {
    let frames = Frame::parse_all(
        ": hello\nevent: x\nretry: 7\ndata: 1\ndata: \nid: a-1\n\n:\n\
         event: runnel.position\ndata: {}\nid: a-1\n\n",
    );
    assert_eq!(frames.len(), 4);
    assert_eq!(frames[0].comments, ["hello"]);
    assert!(!frames[0].is_heartbeat() && frames[2].is_heartbeat());
    assert_eq!(frames[1].retry, Some(7));
    let event = frames[1].clone().event().unwrap();
    assert_eq!((event.seq(), event.data.as_str()), (1, "1\n"));
    assert_eq!(event.name.as_deref(), Some("x"));
    assert!(!frames[1].is_position() && frames[3].is_position());
}

#[test]
#[should_panic(expected = "a block without data")]
fn a_block_without_data_is_found() {
    let mut checker = BlockChecker::default();
    checker.push(b": a comment\ndata: 1\n\n:\ndata: \n\n");
    assert!(checker.is_between_blocks());
    checker.push(b"id: a-1\n");
    assert!(!checker.is_between_blocks());
    checker.push(b"\n");
}
