//! The state of a log as a client sees it, to the event.

use std::time::Duration;

use super::{Log, LogReader, Page, PollInterval, ReadError, ReaderOptions, Retention, StartFrom};
use crate::core::channel::Channel;
use crate::core::sse::{Epoch, Position, Seq};
use crate::core::time::{ClockReading, Timestamp};

/// The bytes of records to read at a time: no more than an engine stores together.
const PAGE_BYTES: u64 = 1;

/// A channel's log, with exactly the events that retention keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// The epoch of the log.
    pub epoch: Epoch,
    /// The seq of the oldest event that is served; equal to `next` if there is none.
    pub first: Seq,
    /// The seq that the next event gets.
    pub next: Seq,
    /// Set once nothing can be appended any more.
    pub closed: bool,
    /// The time of the newest event ever appended; 0 if there was none.
    pub newest: Timestamp,
    /// The bytes of records from `first` on.
    pub bytes: u64,
}

/// Reads the present state of a channel's log; `None` if there is none. Where retention keeps only a part
/// of what is stored together, it reads that as well.
///
/// # Errors
/// If the store fails, or has something else under the log's key.
pub async fn summary<L: Log>(
    log: &L,
    channel: &Channel,
    retention: Retention,
    now: ClockReading,
) -> Result<Option<Summary>, ReadError> {
    let oldest = retention.oldest_time(now.wall);
    let options = ReaderOptions {
        opened: now.monotonic,
        // It reads the state once.
        poll: PollInterval {
            min: Duration::ZERO,
            max: Duration::ZERO,
        },
        retention,
    };
    let mut reader = log.reader(channel, options);
    let mut from = StartFrom::Earliest;
    loop {
        let (page, missing) = match reader.read(&from, PAGE_BYTES).await {
            Ok(page) => (page, None),
            // Damaged or dropped: what follows is served.
            Err(ReadError::Missing { resume_at, .. }) => {
                (reader.read(&from, 0).await?, Some(resume_at))
            }
            Err(error) => return Err(error),
        };
        let Some(state) = page.state else {
            return Ok(None);
        };
        let (first, bytes) = oldest_kept(page, &retention, oldest);
        let first = missing.unwrap_or(first);
        if bytes > 0 || first >= state.next {
            return Ok(Some(Summary {
                epoch: state.epoch,
                first,
                next: state.next,
                closed: state.closed,
                newest: state.newest,
                bytes,
            }));
        }
        from = StartFrom::After(Position::After(state.before(first)));
    }
}

/// Returns the oldest event of a page that is kept, and the bytes of records from it on. If none is, the
/// seq after the page, and 0.
fn oldest_kept(page: Page, retention: &Retention, oldest: Timestamp) -> (Seq, u64) {
    let mut next = page.start;
    for mut batch in page.batches {
        retention.trim(&mut batch);
        let total = batch
            .newer_bytes
            .saturating_add(batch.records.records.len() as u64);
        let mut records = batch.records.records();
        let mut offset = 0;
        while let Some(Ok((seq, record))) = records.next() {
            if seq >= page.start && record.time >= oldest {
                return (seq, total.saturating_sub(offset as u64));
            }
            offset = records.offset();
        }
        next = batch.records.next();
    }
    (next, 0)
}
