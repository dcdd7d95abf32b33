//! The read plan: where a reader starts, and where it finds the next record.

use serde::Serialize;

use super::{Head, RecordBatch, SegmentMeta};
use crate::core::sse::{Cursor, Position, Seq};
use crate::core::time::Timestamp;

/// So much of an unreadable last event ID is repeated to the client.
const UNREADABLE_BYTES: usize = 128;

/// Where a subscriber wants to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// With what is published from this moment on.
    Live(Timestamp),
    /// With the oldest event kept.
    Earliest,
    /// With the newest so many events.
    Last(u64),
    /// Where the client stood.
    After(Position),
    /// A last event ID that is none of this server's: its first 128 bytes.
    Unreadable(String),
}

/// Where reading starts, and whether that follows directly on what the client had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The seq of the first event to deliver.
    pub next: Seq,
    /// Set if events are missing in between, or may be.
    pub gap: Option<Gap>,
}

/// The data of a `runnel.gap` signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// What happened.
    pub reason: GapReason,
    /// The last event ID that the client gave.
    pub requested: String,
    /// The id that the next event has, or will have; `None` while the channel has no log.
    pub resumed_from: Option<String>,
}

/// Why a stream could not go on where the client was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GapReason {
    /// Retention dropped events that the client has not seen.
    Evicted,
    /// The cursor belongs to another log: the channel was purged or lost, or the id is unknown.
    Reset,
    /// The cursor is beyond the newest event.
    Ahead,
}

/// Where a record is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// In these segments, the first of which has the record.
    Segments(Vec<SegmentMeta>),
    /// In the head's own records.
    Inline(RecordBatch),
    /// Not appended yet.
    Tail,
    /// Dropped by retention.
    Evicted,
}

impl StartFrom {
    /// Whether the client says that it has had events before.
    #[must_use]
    pub const fn resumes(&self) -> bool {
        matches!(self, Self::After(_) | Self::Unreadable(_))
    }

    /// Where to start reading `head`, `now` being the present.
    #[must_use]
    pub fn resolve(&self, head: &Head, now: Timestamp) -> Resolved {
        let at = |next| Resolved { next, gap: None };
        let gap = |reason| Resolved {
            next: head.first(),
            gap: Some(Gap {
                reason,
                requested: self.requested(),
                resumed_from: Some(head.before(head.first()).next().to_string()),
            }),
        };
        match self {
            Self::Live(since) => at(head.first_between(*since, now)),
            Self::Earliest => at(head.first()),
            Self::Last(count) => at(head.next().minus(*count).max(head.first())),
            Self::After(Position::Beginning) if head.first() == Seq::FIRST => at(Seq::FIRST),
            Self::After(Position::Beginning) => gap(GapReason::Evicted),
            Self::After(Position::After(id)) if id.epoch != head.epoch => gap(GapReason::Reset),
            Self::After(Position::After(id)) if id.seq >= head.next() => gap(GapReason::Ahead),
            Self::After(Position::After(id)) if id.seq.plus(1) < head.first() => {
                gap(GapReason::Evicted)
            }
            Self::After(Position::After(id)) => at(id.seq.plus(1)),
            Self::Unreadable(_) => gap(GapReason::Reset),
        }
    }

    /// Where the channels of a stream, so many, start by a last event ID. One that is not a cursor
    /// over so many channels says nothing about any of them.
    #[must_use]
    pub fn after(last_event_id: &str, channels: usize) -> Vec<Self> {
        match last_event_id.parse::<Cursor>() {
            Ok(cursor) if cursor.positions().len() == channels => cursor
                .positions()
                .iter()
                .copied()
                .map(Self::After)
                .collect(),
            _ => {
                let end = last_event_id.floor_char_boundary(UNREADABLE_BYTES);
                let told = last_event_id.get(..end).unwrap_or_default();
                vec![Self::Unreadable(told.to_owned()); channels]
            }
        }
    }

    /// The last event ID that was given, or nothing.
    #[must_use]
    pub fn requested(&self) -> String {
        match self {
            Self::After(position) => Cursor::from(*position).to_string(),
            Self::Unreadable(text) => text.clone(),
            Self::Live(_) | Self::Earliest | Self::Last(_) => String::new(),
        }
    }
}

impl Head {
    /// The first event that was appended at `since` or later and not after `now` (a record from
    /// the future has a wrong clock and says nothing), or the start of its segment. So a stream
    /// that opened at `since` misses nothing, even if it sees the log only later.
    fn first_between(&self, since: Timestamp, now: Timestamp) -> Seq {
        let live = |time: Timestamp| since <= time && time <= now;
        if !live(self.newest) {
            return self.next();
        }
        let records = self.inline.records().map_while(Result::ok);
        let first = records.into_iter().find(|(_, record)| live(record.time));
        let first = first.map_or(self.next(), |(seq, _)| seq);
        if first > self.inline.first {
            return first;
        }
        let earlier = self
            .segments
            .iter()
            .rev()
            .take_while(|segment| live(segment.newest));
        earlier.last().map_or(first, |segment| segment.first)
    }

    /// Where the record `seq` is. Of segments, as many as follow each other up to about `bytes`.
    #[must_use]
    pub fn locate(&self, seq: Seq, bytes: u64) -> Location {
        if seq >= self.next() {
            return Location::Tail;
        }
        if seq < self.first() {
            return Location::Evicted;
        }
        if seq >= self.inline.first {
            return Location::Inline(self.inline.clone());
        }
        let place = self
            .segments
            .partition_point(|segment| segment.next() <= seq);
        let mut total = 0;
        let wanted = self.segments.iter().skip(place).take_while(|segment| {
            let before = total;
            total = segment.bytes.saturating_add(total);
            before == 0 || total <= bytes
        });
        Location::Segments(wanted.copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Batch, NewEvent, Retention, append};
    use super::*;
    use crate::core::sse::Epoch;

    const NOW: Timestamp = Timestamp(1_000);

    /// A log of events appended at these times, one commit each; each of 6 000 bytes, so that two
    /// make a segment. Keeps the newest `events`.
    fn log(times: &[u64], events: u64) -> Head {
        let retention = Retention {
            events,
            bytes: u64::MAX,
            seconds: 0,
        };
        let mut head = Head::new(Epoch::from_random(7));
        for &time in times {
            let event = NewEvent {
                event_type: None,
                data: "x".repeat(6_000),
                trace: None,
            };
            let batch = Batch {
                events: vec![event],
                ..Batch::default()
            };
            head = append(&head, &[batch], time, Timestamp(time), &retention)
                .unwrap()
                .change
                .unwrap()
                .head;
        }
        head
    }

    fn after(last_event_id: &str) -> StartFrom {
        StartFrom::after(last_event_id, 1).remove(0)
    }

    fn starts(head: &Head, start: &StartFrom) -> u64 {
        let position = start.resolve(head, NOW);
        assert_eq!(position.gap, None);
        position.next.0
    }

    fn gap(head: &Head, last_event_id: &str) -> (u64, GapReason, String, String) {
        let position = after(last_event_id).resolve(head, NOW);
        let gap = position.gap.unwrap();
        (
            position.next.0,
            gap.reason,
            gap.requested,
            gap.resumed_from.unwrap(),
        )
    }

    #[test]
    fn starts_at_the_oldest_the_newest_and_after_a_cursor() {
        let head = log(&[1, 2, 3, 4, 5], 100);
        assert_eq!(starts(&head, &StartFrom::Earliest), 1);
        assert_eq!(starts(&head, &StartFrom::Last(2)), 4);
        assert_eq!(starts(&head, &StartFrom::Last(99)), 1);
        assert_eq!(starts(&head, &after("000007-0")), 1);
        assert_eq!(starts(&head, &after("0")), 1);
        assert_eq!(starts(&head, &after("000007-3")), 4);
        assert_eq!(starts(&head, &after("000007-5")), 6);
    }

    #[test]
    fn starts_live_with_the_first_event_since_the_stream_opened() {
        let head = log(&[10, 20, 30, 30, 40], 100);
        assert_eq!(starts(&head, &StartFrom::Live(Timestamp(41))), 6);
        assert_eq!(starts(&head, &StartFrom::Live(Timestamp(40))), 5);
        assert_eq!(starts(&head, &StartFrom::Live(Timestamp(25))), 3);
        // Events 1 and 2 are one segment, which has to be read to look into.
        assert_eq!(starts(&head, &StartFrom::Live(Timestamp(15))), 1);
        assert_eq!(starts(&head, &StartFrom::Live(Timestamp(500))), 6);
        assert_eq!(starts(&log(&[], 100), &StartFrom::Live(Timestamp(0))), 1);
    }

    #[test]
    fn a_clock_that_runs_ahead_does_not_turn_history_into_news() {
        let head = log(&[10, 5_000, 5_000], 100);
        assert_eq!(starts(&head, &StartFrom::Live(Timestamp(900))), 4);
    }

    #[test]
    fn a_cursor_that_cannot_be_followed_resumes_at_the_oldest_event_and_says_why() {
        let head = log(&[1, 2, 3, 4, 5, 6, 7], 3);
        assert_eq!(head.first(), Seq(5));
        let expected = |reason, id: &str| (5, reason, id.to_owned(), "000007-5".to_owned());
        assert_eq!(
            gap(&head, "000007-1"),
            expected(GapReason::Evicted, "000007-1")
        );
        assert_eq!(gap(&head, "0"), expected(GapReason::Evicted, "0"));
        assert_eq!(
            gap(&head, "000007-8"),
            expected(GapReason::Ahead, "000007-8")
        );
        assert_eq!(
            gap(&head, "000008-6"),
            expected(GapReason::Reset, "000008-6")
        );
        assert_eq!(
            gap(&head, "garbage\u{0}"),
            expected(GapReason::Reset, "garbage\u{0}")
        );
        assert_eq!(
            gap(&head, "000007-6~000007-6"),
            expected(GapReason::Reset, "000007-6~000007-6")
        );
        let cursor = Cursor::new(vec![Position::Beginning; 2])
            .unwrap()
            .to_string();
        assert_eq!(gap(&head, &cursor), expected(GapReason::Reset, &cursor));
        assert_eq!(
            starts(&head, &after("000007-4")),
            5,
            "the one before the oldest can be followed"
        );
    }

    #[test]
    fn every_record_is_found_where_it_is() {
        let head = log(&[1, 2, 3, 4, 5, 6, 7, 8], 6);
        let firsts = |seq, bytes| -> Vec<u64> {
            match head.locate(Seq(seq), bytes) {
                Location::Segments(segments) => {
                    segments.iter().map(|segment| segment.first.0).collect()
                }
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((head.first(), head.inline.first), (Seq(3), Seq(7)));
        assert_eq!(head.locate(Seq(2), 1), Location::Evicted);
        assert_eq!(firsts(3, 1), [3]);
        assert_eq!(firsts(4, 24_100), [3, 5]);
        assert_eq!(firsts(5, u64::MAX), [5]);
        assert_eq!(
            head.locate(Seq(7), 1),
            Location::Inline(head.inline.clone())
        );
        assert_eq!(head.locate(Seq(9), 1), Location::Tail);
    }
}
