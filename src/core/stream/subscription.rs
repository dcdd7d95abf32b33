//! The request of a subscriber, and the configuration of streams.

use std::time::Duration;

use crate::core::channel::Channel;
use crate::core::log::{PollInterval, Retention, StartFrom};
use crate::core::sse::{Cursor, EventType};
use crate::core::time::{Instant, Timestamp};

/// The part of an unreadable last event ID that is repeated to the client, in bytes.
const UNREADABLE_BYTES: usize = 128;

/// The configuration of streams and long-polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamConfig {
    /// A comment is sent after this time without other bytes.
    pub heartbeat: Duration,
    /// The base of the reconnection time.
    pub retry: Duration,
    /// A stream ends between 80 % and 100 % of this age.
    pub max_age: Duration,
    /// A stream ends when the store has failed for this long.
    pub store_patience: Duration,
    /// The interval at which an engine that cannot push polls for news.
    pub poll: PollInterval,
    /// The part of a log that is delivered.
    pub retention: Retention,
}

/// A subscriber's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The channels, 1 to [`MAX_CHANNELS`](crate::core::sse::MAX_CHANNELS). Cursors have their order.
    pub channels: Vec<Channel>,
    /// The position to start at.
    pub resume: ResumePoint,
    /// The events to deliver.
    pub filter: EventFilter,
    /// Goes on after the events that are in the log now.
    pub live: bool,
    /// The expiry of the client's token, if it has one.
    pub expires: Option<Instant>,
}

/// The position at which a subscriber starts, in all of its channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResumePoint {
    /// With the first event that is published at this time or later.
    Live(Timestamp),
    /// With the oldest event kept.
    Earliest,
    /// With the newest events of each channel, this many of them.
    Last(u64),
    /// After a cursor over exactly these channels.
    After(Cursor),
    /// After a last event ID that is not a cursor over these channels: its first 128 bytes.
    Unreadable(String),
}

impl ResumePoint {
    /// Parses the last event ID of a stream over `channels` channels. `earliest` asks for everything. A
    /// cursor over another number of channels says nothing about any of them.
    #[must_use]
    pub fn parse(last_event_id: &str, channels: usize) -> Self {
        if last_event_id == "earliest" {
            return Self::Earliest;
        }
        match last_event_id.parse::<Cursor>() {
            Ok(cursor) if cursor.positions().len() == channels => Self::After(cursor),
            _ => {
                let end = last_event_id.floor_char_boundary(UNREADABLE_BYTES);
                Self::Unreadable(last_event_id.get(..end).unwrap_or_default().to_owned())
            }
        }
    }

    /// Returns whether the client claims to have had events before.
    #[must_use]
    pub const fn resumes(&self) -> bool {
        matches!(self, Self::After(_) | Self::Unreadable(_))
    }

    /// Returns the cursor that the client gave.
    #[must_use]
    pub const fn cursor(&self) -> Option<&Cursor> {
        match self {
            Self::After(cursor) => Some(cursor),
            _ => None,
        }
    }

    /// Returns the start in the channel at `index`.
    #[must_use]
    pub fn start_from(&self, index: usize) -> StartFrom {
        match self {
            Self::Live(since) => StartFrom::Live(*since),
            Self::Earliest => StartFrom::Earliest,
            Self::Last(count) => StartFrom::Last(*count),
            Self::After(cursor) => match cursor.positions().get(index) {
                Some(position) => StartFrom::After(*position),
                None => StartFrom::Unreadable(cursor.to_string()),
            },
            Self::Unreadable(text) => StartFrom::Unreadable(text.clone()),
        }
    }
}

/// The events that are delivered, by type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum EventFilter {
    /// All of them.
    #[default]
    All,
    /// Those of these types; `message` stands for events without a type.
    Types(Vec<String>),
}

impl EventFilter {
    /// Returns whether events of this type are delivered.
    #[must_use]
    pub fn includes(&self, event_type: Option<EventType<'_>>) -> bool {
        match self {
            Self::All => true,
            Self::Types(types) => {
                let event_type = event_type.map_or("message", EventType::as_str);
                types.iter().any(|wanted| wanted == event_type)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::sse::Position;

    #[test]
    fn a_cursor_over_exactly_these_channels_is_resumed_from() {
        for text in ["0", "000007-3"] {
            let resume = ResumePoint::parse(text, 1);
            let cursor: Cursor = text.parse().unwrap();
            assert_eq!(resume, ResumePoint::After(cursor.clone()));
            assert_eq!((resume.resumes(), resume.cursor()), (true, Some(&cursor)));
        }
        let a = Position::After("000007-3".parse().unwrap());
        let cursor = Cursor::new(vec![a, Position::Beginning]).unwrap();
        let resume = ResumePoint::parse(&cursor.to_string(), 2);
        assert_eq!(resume, ResumePoint::After(cursor));
        assert_eq!(resume.start_from(0), StartFrom::After(a));
        assert_eq!(resume.start_from(1), StartFrom::After(Position::Beginning));
    }

    #[test]
    fn a_cursor_over_another_number_of_channels_is_unreadable() {
        let resume = ResumePoint::parse("000007-3", 2);
        assert_eq!(resume, ResumePoint::Unreadable("000007-3".to_owned()));
        assert_eq!((resume.resumes(), resume.cursor()), (true, None));
        let unreadable = StartFrom::Unreadable("000007-3".to_owned());
        assert_eq!(resume.start_from(0), unreadable);
        assert_eq!(resume.start_from(1), unreadable);
    }

    #[test]
    fn earliest_asks_for_everything_and_is_no_resumption() {
        let resume = ResumePoint::parse("earliest", 3);
        assert_eq!(resume, ResumePoint::Earliest);
        assert!(!resume.resumes());
        assert_eq!(resume.start_from(2), StartFrom::Earliest);
        for other in ["Earliest", "earliest ", ""] {
            let unreadable = ResumePoint::Unreadable(other.to_owned());
            assert_eq!(ResumePoint::parse(other, 1), unreadable);
        }
    }

    #[test]
    fn an_unreadable_id_is_cut_off_between_characters_within_128_bytes() {
        let kept = |text: &str| match ResumePoint::parse(text, 1) {
            ResumePoint::Unreadable(kept) => kept,
            other => panic!("{other:?}"),
        };
        assert_eq!(kept(&"x".repeat(128)), "x".repeat(128));
        assert_eq!(kept(&"x".repeat(500)), "x".repeat(128));
        assert_eq!(kept(&"\u{1f600}".repeat(50)), "\u{1f600}".repeat(32));
        assert_eq!(
            kept(&format!("x{}", "ü".repeat(100))),
            format!("x{}", "ü".repeat(63))
        );
    }
}
