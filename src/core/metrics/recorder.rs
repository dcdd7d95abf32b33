//! What one instance has counted, on its way to the store.

use super::counts::Counts;
use super::series::{Counter, Histogram};
use super::slot::Slot;
use crate::core::time::Timestamp;

/// Counts, and keeps account of what of it has been written.
#[derive(Debug, Default)]
pub struct Recorder {
    /// A number that no other instance has drawn.
    id: u64,
    /// How often it has tried to write.
    writes: u64,
    /// What was counted and not written.
    pending: Counts,
    /// What a write that failed would have written.
    doubtful: Option<Counts>,
    streams_open: u64,
}

impl Recorder {
    /// Counts for the instance that has drawn this number, which is not 0.
    #[must_use]
    pub fn new(id: u64) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    /// Counts so many.
    pub fn add(&mut self, counter: Counter, count: u64) {
        self.pending.add(counter, count);
    }

    /// Counts a value.
    pub fn observe(&mut self, histogram: Histogram, value: u64) {
        self.pending.observe(histogram, value);
    }

    /// An event stream was opened.
    pub const fn stream_opened(&mut self) {
        self.streams_open = self.streams_open.saturating_add(1);
    }

    /// An event stream has ended.
    pub const fn stream_ended(&mut self) {
        self.streams_open = self.streams_open.saturating_sub(1);
    }

    /// Whether everything is written.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.pending.is_empty() && self.doubtful.is_none()
    }

    /// What to write in the place of `slot`, as it is in the store: all that was counted in it before
    /// and now; `None` if the slot is another's. With `gives_back` the slot is free after that.
    ///
    /// If that fails, the same slot has to be asked of next. Otherwise [`Recorder::wrote`] is told.
    pub fn write(&mut self, slot: Slot, now: Timestamp, gives_back: bool) -> Option<Slot> {
        let owns = slot.owner == self.id;
        let latest = (slot.owner, slot.writes);
        if let Some(doubtful) = self.doubtful.take() {
            // The slot tells whether the write that failed took place all the same.
            let written = (self.id, self.writes);
            if latest != written && slot.before != written {
                self.pending.merge(&doubtful);
            }
        }
        if !owns && !slot.is_free(now) {
            return None;
        }
        self.writes = self.writes.saturating_add(1);
        let mut next = Slot {
            owner: self.id,
            writes: self.writes,
            before: if owns { slot.before } else { latest },
            written: (!gives_back).then_some(now),
            streams_open: self.streams_open,
            counts: slot.counts,
        };
        next.counts.merge(&self.pending);
        self.doubtful = Some(std::mem::take(&mut self.pending));
        Some(next)
    }

    /// The value that [`Recorder::write`] gave was stored.
    pub fn wrote(&mut self) {
        self.doubtful = None;
    }
}
