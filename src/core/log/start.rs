//! The start of a reader in a log, and the gap between that and what its client had.

use serde::Serialize;

use super::LogState;
use crate::core::sse::{Cursor, Position, Seq};
use crate::core::time::Timestamp;

/// The start that a subscriber asks for in one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// With the first event that is appended at this time or later.
    Live(Timestamp),
    /// With the oldest event kept.
    Earliest,
    /// With the newest events, this many of them.
    Last(u64),
    /// After the position that the client has reached.
    After(Position),
    /// After a last event ID that is not one of this server's: its first bytes.
    Unreadable(String),
}

/// A start, resolved against a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The seq of the first event to deliver.
    pub next: Seq,
    /// Present if events are missing before it, or may be.
    pub gap: Option<GapReason>,
}

/// A break in the sequence of events that a client sees: the data of a `runnel.gap` event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The cause.
    pub reason: GapReason,
    /// The last event ID that the client gave.
    pub requested: String,
    /// The id that the next event has, or will have; `None` while the channel has no log.
    pub resumed_from: Option<String>,
}

/// The cause of a [`Gap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GapReason {
    /// Retention dropped events that the client has not seen.
    Evicted,
    /// The position belongs to another log: the channel was purged or lost, or the id is unreadable.
    Reset,
    /// The position is beyond the newest event.
    Ahead,
}

impl StartFrom {
    /// Returns whether the client claims to have had events before.
    #[must_use]
    pub const fn resumes(&self) -> bool {
        matches!(self, Self::After(_) | Self::Unreadable(_))
    }

    /// Resolves the start against a log. `first_since` finds the first event appended at a time or
    /// later, or an earlier one.
    pub fn resolve(
        &self,
        state: &LogState,
        first_since: impl FnOnce(Timestamp) -> Seq,
    ) -> Resolved {
        let gap = self.gap(state);
        let next = match self {
            _ if gap.is_some() => state.first,
            Self::Live(since) => first_since(*since),
            Self::Earliest | Self::Unreadable(_) => state.first,
            Self::Last(count) => state.next.minus(*count).max(state.first),
            Self::After(Position::Beginning) => Seq::FIRST,
            Self::After(Position::After(id)) => id.seq.plus(1),
        };
        Resolved { next, gap }
    }

    /// Returns the reason of the gap between the client's position and the oldest event that may be kept,
    /// if there is one.
    #[must_use]
    pub fn gap(&self, state: &LogState) -> Option<GapReason> {
        let next = match self {
            Self::Live(_) | Self::Earliest | Self::Last(_) => return None,
            Self::Unreadable(_) => return Some(GapReason::Reset),
            Self::After(Position::After(id)) if id.epoch != state.epoch => {
                return Some(GapReason::Reset);
            }
            Self::After(Position::After(id)) if id.seq >= state.next => {
                return Some(GapReason::Ahead);
            }
            Self::After(Position::After(id)) => id.seq.plus(1),
            Self::After(Position::Beginning) => Seq::FIRST,
        };
        (next < state.first).then_some(GapReason::Evicted)
    }

    /// Returns the last event ID that the client gave; empty if it gave none.
    #[must_use]
    pub fn requested(&self) -> String {
        match self {
            Self::After(position) => Cursor::from(*position).to_string(),
            Self::Unreadable(text) => text.clone(),
            Self::Live(_) | Self::Earliest | Self::Last(_) => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kv::Head;
    use super::super::sample::log;
    use super::*;
    use crate::core::stream::ResumePoint;

    const NOW: Timestamp = Timestamp(1_000);

    fn after(last_event_id: &str) -> StartFrom {
        ResumePoint::parse(last_event_id, 1).start_from(0)
    }

    fn resolve(head: &Head, start: &StartFrom) -> Resolved {
        start.resolve(&head.state(), |since| head.first_between(since, NOW))
    }

    fn starts(head: &Head, start: &StartFrom) -> u64 {
        let position = resolve(head, start);
        assert_eq!(position.gap, None);
        position.next.0
    }

    fn gap(head: &Head, last_event_id: &str) -> (u64, GapReason, String) {
        let start = after(last_event_id);
        let position = resolve(head, &start);
        (position.next.0, position.gap.unwrap(), start.requested())
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
        // Events 1 and 2 are one segment, whose records are not in the head.
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
        let expected = |reason, id: &str| (5, reason, id.to_owned());
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
}
