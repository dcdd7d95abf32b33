//! What a stream has done, for those who count.

use crate::core::log::GapReason;
use crate::core::time::Timestamp;

/// What a stream has done since it was last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamStats {
    /// Events that were given out.
    pub events: u64,
    /// Those of them that were there before the subscriber had caught up for the first time.
    pub replayed: u64,
    /// When the oldest of the others was appended.
    pub oldest: Option<Timestamp>,
    /// Heartbeats.
    pub heartbeats: u64,
    /// Why there are gaps, each for itself.
    pub gaps: Vec<GapReason>,
    /// Whether the subscriber has now caught up for the first time.
    pub caught_up: bool,
}

/// Some of the events that a stream gives out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Events {
    /// How many there are.
    pub(super) count: u64,
    /// When the first was appended.
    pub(super) oldest: Option<Timestamp>,
}

impl Events {
    /// Counts one more.
    pub(super) fn add(&mut self, time: Timestamp) {
        self.count = self.count.saturating_add(1);
        self.oldest.get_or_insert(time);
    }

    /// These, and then those.
    pub(super) fn and(self, later: Self) -> Self {
        Self {
            count: self.count.saturating_add(later.count),
            oldest: self.oldest.or(later.oldest),
        }
    }
}

impl StreamStats {
    /// Counts events, `live` if the subscriber had caught up before.
    pub(super) fn give(&mut self, events: Events, live: bool) {
        self.events = self.events.saturating_add(events.count);
        if live {
            self.oldest = self.oldest.or(events.oldest);
        } else {
            self.replayed = self.replayed.saturating_add(events.count);
        }
    }
}
