//! What has been read and is not delivered yet.

use std::collections::VecDeque;

use bytes::Buf;

use super::CHUNK_BYTES;
use crate::core::log::Run;
use crate::core::sse::{EventId, Frames, Seq};
use crate::core::time::Millis;

/// Runs of records in order of their seqs, to be encoded chunk by chunk.
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

    /// How much room the next chunk will want; `None` if there is nothing to encode.
    pub(super) fn chunk_capacity(&self) -> Option<usize> {
        let run = self.runs.front()?;
        let records: usize = self.runs.iter().map(|run| run.records.len()).sum();
        // An event's id, type and data lines take about this much more than its record.
        let lines = usize::try_from(run.count)
            .unwrap_or(usize::MAX)
            .saturating_mul(40);
        Some(
            records
                .saturating_add(lines)
                .min(CHUNK_BYTES + CHUNK_BYTES / 16),
        )
    }

    /// Adds events to `frames`, from the one after `last` on, until there are [`CHUNK_BYTES`] or
    /// nothing is left; returns the last one added. Records up to `last` are passed over.
    ///
    /// # Errors
    /// When a record cannot be read; what came before it is in `frames`, the rest is dropped.
    pub(super) fn encode(
        &mut self,
        mut last: EventId,
        frames: &mut Frames,
    ) -> Result<EventId, postcard::Error> {
        while frames.len() < CHUNK_BYTES {
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
            while frames.len() < CHUNK_BYTES {
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
                                frames.event(last, record.event_type, record.data);
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
                return if frames.is_empty() {
                    Err(error)
                } else {
                    Ok(last)
                };
            }
        }
        Ok(last)
    }
}
