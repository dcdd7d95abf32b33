//! The counts of one instance, on their way to the store.

use super::counts::Counts;
use super::series::{Counter, Histogram};
use super::slot::{Slot, Version};
use crate::core::time::Timestamp;

/// The counts of an instance, and the part of them that has been written.
#[derive(Debug, Default)]
pub struct Recorder {
    /// A number that no other instance has drawn.
    id: u64,
    /// The number of writes tried.
    writes: u64,
    /// The counts that were in no write yet.
    pending: Counts,
    /// The counts of a write whose outcome is unknown.
    in_doubt: Option<Counts>,
    streams_open: u64,
    /// The write before the one in doubt, and the counts that were written again in doubt.
    #[cfg(test)]
    ambiguous: (Version, Counts),
}

impl Recorder {
    /// Creates a recorder for the instance that has drawn the number `id`, which is not 0.
    #[must_use]
    pub fn new(id: u64) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    /// Adds to a counter.
    pub fn add(&mut self, counter: Counter, count: u64) {
        self.pending.add(counter, count);
    }

    /// Adds a value to a histogram, in the unit of its [`Histogram`] variant.
    pub fn observe(&mut self, histogram: Histogram, value: u64) {
        self.pending.observe(histogram, value);
    }

    /// Counts an event stream as open.
    pub const fn stream_opened(&mut self) {
        self.streams_open = self.streams_open.saturating_add(1);
    }

    /// Counts an event stream as ended.
    pub const fn stream_ended(&mut self) {
        self.streams_open = self.streams_open.saturating_sub(1);
    }

    /// Returns whether everything is written.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.pending.is_empty() && self.in_doubt.is_none()
    }

    /// Returns the value to store in place of `slot`, as it is stored now, with all that was counted in it
    /// before and since; `None` if another instance owns the slot. With `release` the slot is free
    /// afterwards.
    ///
    /// If the write succeeds, [`Recorder::written`] must follow. If it fails, the next call must be for the
    /// same slot, which shows whether the write succeeded all the same.
    pub fn next_value(&mut self, slot: Slot, now: Timestamp, release: bool) -> Option<Slot> {
        let stored = slot.version;
        if let Some(in_doubt) = self.in_doubt.take() {
            let written = Version {
                owner: self.id,
                writes: self.writes,
            };
            if stored != written && slot.previous != written {
                #[cfg(test)]
                if ![stored, slot.previous].contains(&self.ambiguous.0) {
                    self.ambiguous.1.merge(&in_doubt);
                }
                self.pending.merge(&in_doubt);
            }
        }
        let is_owner = stored.owner == self.id;
        if !is_owner && !slot.is_free(now) {
            return None;
        }
        #[cfg(test)]
        {
            self.ambiguous.0 = stored;
        }
        self.writes = self.writes.saturating_add(1);
        let mut next = Slot {
            version: Version {
                owner: self.id,
                writes: self.writes,
            },
            previous: if is_owner { slot.previous } else { stored },
            written_at: (!release).then_some(now),
            streams_open: self.streams_open,
            counts: slot.counts,
        };
        next.counts.merge(&self.pending);
        self.in_doubt = Some(std::mem::take(&mut self.pending));
        Some(next)
    }

    /// Records that the value of [`Recorder::next_value`] was stored.
    pub fn written(&mut self) {
        self.in_doubt = None;
    }

    /// Returns the part of a counter that may not be in the store.
    #[cfg(test)]
    pub(crate) fn unwritten(&self, counter: Counter) -> u64 {
        let mut counts = self.pending.clone();
        if let Some(in_doubt) = &self.in_doubt {
            counts.merge(in_doubt);
        }
        let (family, series) = counter.index();
        counts.counter(family, series)
    }

    /// Returns the part of a counter that was written again although the first write may have succeeded:
    /// two other instances have owned the slot since.
    #[cfg(test)]
    pub(super) fn ambiguous(&self, counter: Counter) -> u64 {
        let (family, series) = counter.index();
        self.ambiguous.1.counter(family, series)
    }

    /// Returns whether a write is under way, or one has failed.
    #[cfg(test)]
    pub(super) const fn is_in_doubt(&self) -> bool {
        self.in_doubt.is_some()
    }
}
