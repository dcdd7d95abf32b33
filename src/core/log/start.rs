//! Where a reader starts in a log, and whether that follows on what it had.

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
    pub gap: Option<Gap>,
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
    /// Returns whether the client says that it has had events before.
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

    /// Returns the gap between the client's position and the oldest event kept, if there is one.
    #[must_use]
    pub fn gap(&self, state: &LogState) -> Option<Gap> {
        let reason = match self {
            Self::Live(_) | Self::Earliest | Self::Last(_) => return None,
            Self::Unreadable(_) => GapReason::Reset,
            Self::After(Position::Beginning) if state.first == Seq::FIRST => return None,
            Self::After(Position::Beginning) => GapReason::Evicted,
            Self::After(Position::After(id)) if id.epoch != state.epoch => GapReason::Reset,
            Self::After(Position::After(id)) if id.seq >= state.next => GapReason::Ahead,
            Self::After(Position::After(id)) if id.seq.plus(1) < state.first => GapReason::Evicted,
            Self::After(Position::After(_)) => return None,
        };
        Some(Gap {
            reason,
            requested: self.requested(),
            resumed_from: Some(state.before(state.first).next().to_string()),
        })
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
