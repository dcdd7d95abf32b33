//! Frames of an event stream as Runnel writes them, parsed independently of its encoder.

use crate::channel::split_id;

/// The fields between two blank lines.
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
        let frames = chunk
            .strip_suffix("\n\n")
            .unwrap_or_else(|| panic!("a chunk ends within a frame: {chunk:?}"));
        frames.split("\n\n").map(Self::parse).collect()
    }

    fn parse(text: &str) -> Self {
        let mut frame = Self::default();
        for line in text.split('\n') {
            // Some clients remember an id as soon as they read its line.
            assert_eq!(frame.id, None, "the id is not the last line: {text:?}");
            if let Some(comment) = line.strip_prefix(':') {
                frame.comments.push(comment.trim_start().to_owned());
                continue;
            }
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

    /// Returns `true` for a frame with nothing but an id.
    pub fn is_position(&self) -> bool {
        let position = Self {
            id: self.id.clone(),
            ..Self::default()
        };
        self.id.is_some() && *self == position
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
        "retry: 7\n\n: hello\n\n:\n\nevent: x\ndata: 1\ndata: \nid: a-1\n\nid: a-1\n\n",
    );
    assert_eq!(frames[0].retry, Some(7));
    assert_eq!(frames[1].comments, ["hello"]);
    assert!(!frames[1].is_heartbeat() && frames[2].is_heartbeat());
    let event = frames[3].clone().event().unwrap();
    assert_eq!((event.seq(), event.data.as_str()), (1, "1\n"));
    assert_eq!(event.name.as_deref(), Some("x"));
    assert!(!frames[3].is_position() && frames[4].is_position());
}
