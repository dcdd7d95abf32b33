//! Records that were read and not delivered yet.

use std::collections::VecDeque;

use bytes::Buf;

use super::action::CHUNK_BYTES;
use crate::core::log::{PageBatch, Record};
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
    batches: VecDeque<PageBatch>,
    /// Records before this seq that are older than this time are not delivered.
    skipped: Option<(Seq, Timestamp)>,
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
        self.batches.push_back(batch);
    }

    pub(super) fn clear(&mut self) {
        self.batches.clear();
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

    /// Delivers the events after `last` that are in one batch, until `take` wants no more.
    ///
    /// # Errors
    /// If the next record cannot be decoded. The buffer is empty then.
    pub(super) fn deliver(
        &mut self,
        last: EventId,
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
        let Some(PageBatch { records, is_tail }) = self.batches.front_mut() else {
            return Ok(delivered);
        };
        if records.first > last.seq.plus(1) {
            // A hole: the reader asks again for what follows `last`.
            self.batches.clear();
            return Ok(delivered);
        }
        let is_from_start = records.first == last.seq.plus(1);
        let mut iter = records.records();
        let mut count = 0;
        let mut error = None;
        for record in &mut iter {
            match record {
                Ok((seq, record)) => {
                    count = 1_u64.saturating_add(count);
                    if seq <= last.seq {
                        continue;
                    }
                    delivered.last.seq = seq;
                    let skipped = self.skipped;
                    let is_skipped =
                        skipped.is_some_and(|(until, since)| seq < until && record.time < since);
                    if !is_skipped && !take(delivered.last, &record) {
                        break;
                    }
                }
                Err(corrupt) => error = Some(corrupt),
            }
        }
        let offset = iter.offset();
        let resume_at = records.next();
        records.first = records.first.plus(count);
        records.count = records.count.saturating_sub(count);
        records.records.advance(offset);
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
