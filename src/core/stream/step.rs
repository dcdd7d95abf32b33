//! How a stream is told to behave, and what it says to do.

use crate::core::channel::Channel;
use crate::core::log::{SegmentId, StartFrom};
use crate::core::sse::{Cursor, EventType};
use crate::core::time::Instant;

/// How streams behave; times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamConfig {
    /// After so long without other bytes a comment is sent.
    pub heartbeat_millis: u64,
    /// The base of the reconnection time.
    pub retry_millis: u64,
    /// A stream ends by itself between 80 % and 100 % of this age.
    pub max_age_millis: u64,
    /// A stream ends when the store has failed for this long.
    pub patience_millis: u64,
    /// The shortest and the longest time between two reads of the head.
    pub poll_millis: (u64, u64),
}

/// What a subscriber wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The channels, 1 to [`MAX_CHANNELS`](crate::core::sse::MAX_CHANNELS), each with the place to
    /// start at; the cursor has their order.
    pub channels: Vec<(Channel, StartFrom)>,
    /// The last event ID that the client gave, if it is a cursor over these channels.
    pub given: Option<Cursor>,
    /// The types of the events to deliver.
    pub types: EventFilter,
    /// Whether to go on after what is in the log now.
    pub live: bool,
    /// When the client's token ceases to be good, if it has one that does.
    pub expires: Option<Instant>,
}

/// Which types of events are delivered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EventFilter {
    /// All of them.
    #[default]
    All,
    /// These; `message` stands for events without a type.
    Only(Vec<String>),
}

impl EventFilter {
    /// Whether events of this type are delivered.
    #[must_use]
    pub fn include(&self, event_type: Option<EventType<'_>>) -> bool {
        match self {
            Self::All => true,
            Self::Only(types) => {
                let event_type = event_type.map_or("message", EventType::as_str);
                types.iter().any(|wanted| wanted == event_type)
            }
        }
    }
}

/// What to do next. `usize` is the place of a channel in [`Subscription::channels`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these bytes (whole blocks), then ask again.
    Emit(Vec<u8>),
    /// Read the head; one that was read later than at this time will do. Then
    /// [`MergedReader::head_read`](super::MergedReader::head_read); until then, ask on.
    ReadHead(usize, Instant),
    /// Read these segments, all at once if possible. Then
    /// [`MergedReader::segments_read`](super::MergedReader::segments_read); until then, ask on.
    ReadSegments(usize, Vec<SegmentId>),
    /// Ask again at this time, or when something was read.
    Wait(Instant),
    /// There is nothing more to do.
    End,
}
