//! The part of a log that is kept.
//!
//! An event is kept as long as all of these hold:
//!
//! - fewer than [`Retention::events`] events follow it;
//! - the records that follow it have fewer than [`Retention::bytes`] bytes;
//! - its time is no longer than [`Retention::max_age`] ago, by the wall clock of the reader.
//!
//! Readers get no other event, whatever an engine still stores. The first two limits drop the beginning of
//! a log. The third judges each event by itself, since hosts whose clocks disagree append to one log: a time
//! that is wrong neither drops the events around it nor keeps them.

use std::time::Duration;

use super::PageBatch;
use crate::core::sse::Seq;
use crate::core::time::Timestamp;

/// The part of a log that is kept. An engine may store more of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Keeps the newest events, up to this number.
    pub events: u64,
    /// Keeps the events that are followed by fewer bytes of records.
    pub bytes: u64,
    /// Drops events that are older; `None` keeps them.
    pub max_age: Option<Duration>,
}

impl Retention {
    /// Returns the time of the oldest event that is not too old at `now`.
    #[must_use]
    pub fn oldest_time(&self, now: Timestamp) -> Timestamp {
        self.max_age
            .map_or(Timestamp(0), |age| now.saturating_sub(age))
    }

    /// Returns the oldest event that is among the newest, if `next` is the seq after the last.
    #[must_use]
    pub const fn first_by_number(&self, next: Seq) -> Seq {
        next.minus(self.events)
    }

    /// Drops the records at the beginning of `batch` that are followed by too many bytes.
    pub fn trim(&self, batch: &mut PageBatch) {
        let size = batch.records.records.len() as u64;
        let total = batch.newer_bytes.saturating_add(size);
        if total <= self.bytes {
            return;
        }
        let mut records = batch.records.records();
        let (mut count, mut bytes) = (0_u64, 0);
        while let Some(Ok(_)) = records.next() {
            let newer = total.saturating_sub(records.offset() as u64);
            if newer < self.bytes {
                break;
            }
            (count, bytes) = (count.saturating_add(1), records.offset());
        }
        batch.records.drop_first(count, bytes);
    }
}
