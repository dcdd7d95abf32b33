//! Records that were read and not delivered yet.

use std::collections::VecDeque;

use super::action::CHUNK_BYTES;
use crate::core::log::{PageBatch, Record, RecordBatch};
use crate::core::sse::{EventId, Seq};
use crate::core::time::Timestamp;

/// The result of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delivered {
    /// The last event delivered.
    pub(super) last: EventId,
    /// Set if other streams will want the same events: a whole batch, or all that followed in the tail.
    pub(super) is_shareable: bool,
}

/// The beginning of the buffer, once it has nothing that retention does not keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Front {
    /// The seq of the first record; after the last one that was dropped if the buffer is empty.
    pub(super) next: Seq,
    /// Set if the client misses something before it.
    pub(super) is_after_gap: bool,
}

/// A record that cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CorruptRecord {
    pub(super) error: postcard::Error,
    /// The seq after the batch that has the record.
    pub(super) resume_at: Seq,
}

/// Batches in the order of their seqs, delivered chunk by chunk.
#[derive(Debug, Default)]
pub(super) struct PageBuffer {
    batches: VecDeque<Buffered>,
    /// Records before this seq that are older than this time are not delivered.
    skipped: Option<(Seq, Timestamp)>,
}

/// A batch of which some records may be delivered.
#[derive(Debug)]
struct Buffered {
    /// The seq of its first record when it was read.
    begin: Seq,
    /// The records that are left.
    records: RecordBatch,
    is_tail: bool,
}

impl PageBuffer {
    /// Skips what was appended before `since`, up to the seq `until`. A segment in which a live stream
    /// begins may have some of that.
    pub(super) const fn skip_older(&mut self, since: Timestamp, until: Seq) {
        self.skipped = Some((until, since));
    }

    /// Returns whether some of what follows `last` may be skipped.
    pub(super) fn may_skip_after(&self, last: Seq) -> bool {
        self.skipped.is_some_and(|(until, _)| last.plus(1) < until)
    }

    /// Adds a batch that follows the others, or overlaps them.
    pub(super) fn push(&mut self, batch: PageBatch) {
        self.batches.push_back(Buffered {
            begin: batch.records.first,
            records: batch.records,
            is_tail: batch.is_tail,
        });
    }

    pub(super) fn clear(&mut self) {
        self.batches.clear();
    }

    /// Returns the seq of the first record; `None` if there is none.
    pub(super) fn first(&self) -> Option<Seq> {
        self.batches.front().map(|batch| batch.records.first)
    }

    /// Returns the seq after the last record; `None` if there is none.
    pub(super) fn next(&self) -> Option<Seq> {
        self.batches.back().map(|batch| batch.records.next())
    }

    /// Returns the number of bytes of records.
    pub(super) fn bytes(&self) -> usize {
        let sizes = self.batches.iter().map(|batch| batch.records.records.len());
        sizes.fold(0, usize::saturating_add)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Returns the capacity that the next chunk will need if each event takes `extra` bytes beside its
    /// record; `None` if there is nothing to deliver.
    pub(super) fn chunk_capacity(&self, extra: usize) -> Option<usize> {
        let first = self.batches.front()?;
        let extra = usize::try_from(first.records.count)
            .unwrap_or(usize::MAX)
            .saturating_mul(extra);
        let capacity = self.bytes().saturating_add(extra);
        Some(capacity.min(CHUNK_BYTES + CHUNK_BYTES / 16))
    }

    /// Drops what was delivered up to `last`, and the records after that which retention does not keep:
    /// those before the seq `first`, or older than `oldest`. Returns what follows now; `None` if the buffer
    /// was empty.
    pub(super) fn drop_expired(
        &mut self,
        last: Seq,
        first: Seq,
        oldest: Timestamp,
    ) -> Option<Front> {
        let mut front = Front {
            next: last.plus(1),
            is_after_gap: false,
        };
        let was_empty = self.batches.is_empty();
        while let Some(Buffered { records, .. }) = self.batches.front_mut() {
            let has_next = records.first <= front.next && front.next < records.next();
            if has_next && first <= front.next && oldest == Timestamp(0) {
                break;
            }
            front.is_after_gap |= records.first > front.next;
            let mut iter = records.records();
            let mut dropped = (0_u64, 0);
            let mut has_rest = false;
            while let Some(record) = iter.next() {
                // A record that cannot be decoded is left to be found by its delivery.
                has_rest = record.is_err();
                if let Ok((seq, record)) = record
                    && seq >= front.next
                    && !is_skipped(self.skipped, seq, record.time)
                {
                    has_rest = seq >= first && record.time >= oldest;
                    front.is_after_gap |= !has_rest;
                }
                if has_rest {
                    break;
                }
                dropped = (dropped.0.saturating_add(1), iter.offset());
            }
            let (count, bytes) = dropped;
            records.drop_first(count, bytes);
            front.next = front.next.max(records.first);
            if has_rest {
                break;
            }
            self.batches.pop_front();
        }
        (!was_empty).then_some(front)
    }

    /// Delivers the events after `last` that are in one batch, until `take` wants no more or one is older
    /// than `oldest`.
    ///
    /// # Errors
    /// If the next record cannot be decoded. The buffer is empty then.
    pub(super) fn deliver(
        &mut self,
        last: EventId,
        oldest: Timestamp,
        mut take: impl FnMut(EventId, &Record<'_>) -> bool,
    ) -> Result<Delivered, CorruptRecord> {
        while let Some(batch) = self.batches.front()
            && batch.records.next() <= last.seq.plus(1)
        {
            self.batches.pop_front();
        }
        let mut delivered = Delivered {
            last,
            is_shareable: false,
        };
        let Some(Buffered {
            begin,
            records,
            is_tail,
        }) = self.batches.front_mut()
        else {
            return Ok(delivered);
        };
        if records.first > last.seq.plus(1) {
            return Ok(delivered);
        }
        let is_from_start = *begin == last.seq.plus(1);
        let mut iter = records.records();
        let mut taken = (0_u64, 0);
        let mut error = None;
        while let Some(record) = iter.next() {
            let (seq, record) = match record {
                Ok(record) => record,
                Err(corrupt) => {
                    error = Some(corrupt);
                    break;
                }
            };
            let mut wants_more = true;
            if seq > last.seq {
                if !is_skipped(self.skipped, seq, record.time) {
                    if record.time < oldest {
                        break;
                    }
                    wants_more = take(EventId { seq, ..last }, &record);
                }
                delivered.last.seq = seq;
            }
            taken = (taken.0.saturating_add(1), iter.offset());
            if !wants_more {
                break;
            }
        }
        let resume_at = records.next();
        let (count, bytes) = taken;
        records.drop_first(count, bytes);
        if records.count == 0 {
            delivered.is_shareable = is_from_start || *is_tail;
            self.batches.pop_front();
        }
        match error {
            None => Ok(delivered),
            Some(error) => {
                self.batches.clear();
                // The events before it are delivered; the corrupt record will be met again.
                if delivered.last == last {
                    Err(CorruptRecord { error, resume_at })
                } else {
                    Ok(delivered)
                }
            }
        }
    }
}

/// Returns whether a live stream begins after a record: if it comes before a seq and is older than a time.
fn is_skipped(skipped: Option<(Seq, Timestamp)>, seq: Seq, time: Timestamp) -> bool {
    skipped.is_some_and(|(until, since)| seq < until && time < since)
}
