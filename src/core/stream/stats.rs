//! Counts of a stream, for metrics and the log.

use crate::core::log::GapReason;
use crate::core::time::Timestamp;

/// The counts of a stream since the last report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamStats {
    /// The events delivered.
    pub events: u64,
    /// Those of them that were there before the subscriber had caught up for the first time.
    pub replayed: u64,
    /// The time at which the oldest of the others was appended.
    pub oldest_live: Option<Timestamp>,
    /// The heartbeats sent.
    pub heartbeats: u64,
    /// The reason of each gap.
    pub gaps: Vec<GapReason>,
    /// Set if the subscriber has caught up for the first time.
    pub caught_up: bool,
}

/// A number of events that are delivered together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct EventCount {
    pub(super) count: u64,
    /// The time of the oldest of them.
    pub(super) oldest: Option<Timestamp>,
}

impl EventCount {
    pub(super) fn add(&mut self, time: Timestamp) {
        *self = self.plus(Self {
            count: 1,
            oldest: Some(time),
        });
    }

    /// Adds events that follow these.
    pub(super) fn plus(self, later: Self) -> Self {
        Self {
            count: self.count.saturating_add(later.count),
            oldest: self.oldest.into_iter().chain(later.oldest).min(),
        }
    }
}

impl StreamStats {
    /// Counts delivered events; `is_live` if the subscriber had caught up before.
    pub(super) fn delivered(&mut self, events: EventCount, is_live: bool) {
        self.events = self.events.saturating_add(events.count);
        if is_live {
            self.oldest_live = self.oldest_live.or(events.oldest);
        } else {
            self.replayed = self.replayed.saturating_add(events.count);
        }
    }
}
