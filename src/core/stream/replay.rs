//! What has been read and is not delivered yet.

use std::collections::VecDeque;

use bytes::Buf;

use super::CHUNK_BYTES;
use crate::core::log::{Record, RecordBatch};
use crate::core::sse::{EventId, Seq};
use crate::core::time::Timestamp;

/// What was given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Delivered {
    /// The last event.
    pub(super) last: EventId,
    /// Whether others will want the same events: all that followed in the head, or a whole segment.
    pub(super) is_run: bool,
}

/// Where a run comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Head,
    Segment,
}

/// Runs of records in order of their seqs, to be given out chunk by chunk.
#[derive(Debug, Default)]
pub(super) struct Replay {
    runs: VecDeque<(Origin, RecordBatch)>,
    /// Records before this place that are older than this time are not delivered.
    passed_over: Option<(Seq, Timestamp)>,
}

impl Replay {
    /// Leaves out what was appended before `since`, as far as `until`: a segment that a live stream
    /// begins in may have some of that.
    pub(super) fn pass_over(&mut self, since: Timestamp, until: Seq) {
        self.passed_over = Some((until, since));
    }

    /// Whether some of what follows `last` may have to be left out.
    pub(super) fn passes_over(&self, last: Seq) -> bool {
        let over = self.passed_over;
        over.is_some_and(|(until, _)| last.plus(1) < until)
    }

    /// Adds a run that follows what is there, or overlaps it.
    pub(super) fn push(&mut self, origin: Origin, run: RecordBatch) {
        self.runs.push_back((origin, run));
    }

    /// The seq after the last that is here; `None` if there is nothing.
    pub(super) fn next(&self) -> Option<Seq> {
        self.runs.back().map(|(_, run)| run.next())
    }

    /// How many bytes of records are here.
    pub(super) fn bytes(&self) -> usize {
        let sizes = self.runs.iter().map(|(_, run)| run.records.len());
        sizes.fold(0, usize::saturating_add)
    }

    /// Whether there is nothing to give out.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How much room the next chunk will want, each event having `extra` bytes beside its record;
    /// `None` if there is nothing to give out.
    pub(super) fn chunk_capacity(&self, extra: usize) -> Option<usize> {
        let (_, run) = self.runs.front()?;
        let records = self.bytes();
        let extra = usize::try_from(run.count)
            .unwrap_or(usize::MAX)
            .saturating_mul(extra);
        Some(
            records
                .saturating_add(extra)
                .min(CHUNK_BYTES + CHUNK_BYTES / 16),
        )
    }

    /// Gives out the events after `last` that are in one run, until `take` says that it wants no more.
    ///
    /// # Errors
    /// When the next record cannot be read; everything that was read is dropped then.
    pub(super) fn deliver(
        &mut self,
        last: EventId,
        mut take: impl FnMut(EventId, &Record<'_>) -> bool,
    ) -> Result<Delivered, postcard::Error> {
        while let Some((_, run)) = self.runs.front()
            && run.next() <= last.seq.plus(1)
        {
            self.runs.pop_front();
        }
        let mut delivered = Delivered {
            last,
            is_run: false,
        };
        let Some((origin, run)) = self.runs.front_mut() else {
            return Ok(delivered);
        };
        if run.first > last.seq.plus(1) {
            // A hole: whoever reads on from `last` will ask for what is missing.
            self.runs.clear();
            return Ok(delivered);
        }
        let from_start = run.first == last.seq.plus(1);
        let mut records = run.records();
        let mut count = 0;
        let mut error = None;
        for record in &mut records {
            match record {
                Ok((seq, record)) => {
                    count = 1_u64.saturating_add(count);
                    if seq <= last.seq {
                        continue;
                    }
                    delivered.last.seq = seq;
                    let over = self.passed_over;
                    let left_out =
                        over.is_some_and(|(until, since)| seq < until && record.time < since);
                    if !left_out && !take(delivered.last, &record) {
                        break;
                    }
                }
                Err(unreadable) => error = Some(unreadable),
            }
        }
        let offset = records.offset();
        run.first = run.first.plus(count);
        run.count = run.count.saturating_sub(count);
        run.records.advance(offset);
        if run.count == 0 {
            delivered.is_run = from_start || *origin == Origin::Head;
            self.runs.pop_front();
        }
        match error {
            None => Ok(delivered),
            Some(error) => {
                self.runs.clear();
                // What came before it is given out; it will be met again.
                match delivered.last == last {
                    true => Err(error),
                    false => Ok(delivered),
                }
            }
        }
    }
}
