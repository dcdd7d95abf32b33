//! What has been read and is not delivered yet.

use std::collections::VecDeque;

use bytes::Buf;

use super::CHUNK_BYTES;
use crate::core::log::{Record, Run};
use crate::core::sse::{EventId, Seq};
use crate::core::time::Millis;

/// Runs of records in order of their seqs, to be given out chunk by chunk.
#[derive(Debug, Default)]
pub(super) struct Replay {
    runs: VecDeque<Run>,
    /// Records before this place that are older than this time are not delivered.
    passed_over: Option<(Seq, Millis)>,
}

impl Replay {
    /// Leaves out what was appended before `since`, as far as `until`: a segment that a live stream
    /// begins in may have some of that.
    pub(super) fn pass_over(&mut self, since: Millis, until: Seq) {
        self.passed_over = Some((until, since));
    }

    /// Adds a run that follows what is there, or overlaps it.
    pub(super) fn push(&mut self, run: Run) {
        self.runs.push_back(run);
    }

    /// Whether there is nothing to give out.
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How much room the next chunk will want, each event having `extra` bytes beside its record;
    /// `None` if there is nothing to give out.
    pub(super) fn chunk_capacity(&self, extra: usize) -> Option<usize> {
        let run = self.runs.front()?;
        let records: usize = self.runs.iter().map(|run| run.records.len()).sum();
        let extra = usize::try_from(run.count)
            .unwrap_or(usize::MAX)
            .saturating_mul(extra);
        Some(
            records
                .saturating_add(extra)
                .min(CHUNK_BYTES + CHUNK_BYTES / 16),
        )
    }

    /// Gives out the events after `last`, until `take` says that it wants no more or nothing is
    /// left; returns the last one.
    ///
    /// # Errors
    /// When the next record cannot be read; everything that was read is dropped then.
    pub(super) fn deliver(
        &mut self,
        mut last: EventId,
        mut take: impl FnMut(EventId, &Record<'_>) -> bool,
    ) -> Result<EventId, postcard::Error> {
        let before = last;
        let mut wanted = true;
        while wanted {
            let Some(run) = self.runs.front_mut() else {
                break;
            };
            if run.first > last.seq.plus(1) {
                // A hole: whoever reads on from `last` will ask for what is missing.
                self.runs.clear();
                break;
            }
            let mut records = run.records();
            let mut count = 0;
            let mut result = Ok(());
            while wanted {
                match records.next() {
                    None => break,
                    Some(Ok((seq, record))) => {
                        count += 1;
                        if seq > last.seq {
                            last.seq = seq;
                            let over = self.passed_over;
                            if over
                                .is_none_or(|(until, since)| seq >= until || record.time >= since)
                            {
                                wanted = take(last, &record);
                            }
                        }
                    }
                    Some(Err(error)) => {
                        result = Err(error);
                        break;
                    }
                }
            }
            let offset = records.offset();
            run.first = run.first.plus(count);
            run.count -= count;
            run.records.advance(offset);
            if run.count == 0 {
                self.runs.pop_front();
            }
            if let Err(error) = result {
                self.runs.clear();
                // What came before it is given out; it will be met again.
                return if last == before { Err(error) } else { Ok(last) };
            }
        }
        Ok(last)
    }
}
