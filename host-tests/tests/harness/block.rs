//! Blocks of an event stream, read independently of the code that writes them.

/// What stands between two blank lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) comments: Vec<String>,
    pub(crate) retry: Option<u64>,
    pub(crate) id: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) data: Option<String>,
}

impl Block {
    /// The blocks of a chunk, which must hold nothing but whole ones.
    pub(crate) fn parse_all(chunk: &str) -> Vec<Self> {
        let blocks = chunk
            .strip_suffix("\n\n")
            .unwrap_or_else(|| panic!("a chunk ends within a block: {chunk:?}"));
        blocks.split("\n\n").map(Self::parse).collect()
    }

    fn parse(text: &str) -> Self {
        let mut block = Self::default();
        for line in text.split('\n') {
            // Some clients take an event as had when they read its id.
            assert_eq!(block.id, None, "the id is not the last line: {text:?}");
            if let Some(comment) = line.strip_prefix(':') {
                block.comments.push(comment.trim_start().to_owned());
                continue;
            }
            let (field, value) = line
                .split_once(": ")
                .unwrap_or_else(|| panic!("not a field: {line:?}"));
            match field {
                "retry" => block.retry = Some(value.parse().unwrap()),
                "id" => block.id = Some(value.to_owned()),
                "event" => block.name = Some(value.to_owned()),
                "data" => match &mut block.data {
                    Some(data) => *data = format!("{data}\n{value}"),
                    none => *none = Some(value.to_owned()),
                },
                unknown => panic!("unknown field {unknown:?}"),
            }
        }
        block
    }

    /// The event it is, if it is one.
    pub(crate) fn event(self) -> Option<Event> {
        Some(Event {
            id: self.id.unwrap_or_default(),
            name: self.name,
            data: self.data?,
        })
    }

    /// Whether it says where the client stands, and nothing else.
    pub(crate) fn is_mark(&self) -> bool {
        let mark = Self {
            id: self.id.clone(),
            ..Self::default()
        };
        self.id.is_some() && *self == mark
    }

    /// Whether it is a heartbeat: an empty comment and nothing else.
    pub(crate) fn is_heartbeat(&self) -> bool {
        let heartbeat = Self {
            comments: vec![String::new()],
            ..Self::default()
        };
        *self == heartbeat
    }
}

/// An event, as a client is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) data: String,
}

impl Event {
    pub(crate) fn seq(&self) -> u64 {
        seq(&self.id)
    }

    /// Whether Runnel itself says this.
    pub(crate) fn is_signal(&self) -> bool {
        self.name
            .as_ref()
            .is_some_and(|name| name.starts_with("runnel."))
    }
}

/// The seq in an event id.
pub(crate) fn seq(id: &str) -> u64 {
    id.split_once('-').unwrap().1.parse().unwrap()
}

/// The epoch in an event id.
pub(crate) fn epoch(id: &str) -> &str {
    id.split_once('-').unwrap().0
}

#[test]
fn blocks_are_read_field_by_field() {
    let blocks = Block::parse_all(
        "retry: 7\n\n: hello\n\n:\n\nevent: x\ndata: 1\ndata: \nid: a-1\n\nid: a-1\n\n",
    );
    assert_eq!(blocks[0].retry, Some(7));
    assert_eq!(blocks[1].comments, ["hello"]);
    assert!(!blocks[1].is_heartbeat() && blocks[2].is_heartbeat());
    let event = blocks[3].clone().event().unwrap();
    assert_eq!((event.seq(), event.data.as_str()), (1, "1\n"));
    assert_eq!(event.name.as_deref(), Some("x"));
    assert!(!blocks[3].is_mark() && blocks[4].is_mark());
}
