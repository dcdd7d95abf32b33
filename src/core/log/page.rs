//! The result of a read of a log.

use thiserror::Error;

use super::{FormatError, RecordBatch};
use crate::core::sse::{Epoch, EventId, Seq};
use crate::core::store::StoreError;
use crate::core::time::{Instant, Timestamp};

/// A channel's log at one moment, without its records, as the retention of its reader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogState {
    /// Distinguishes this log of the channel from earlier and later ones.
    pub epoch: Epoch,
    /// The seq of the oldest event that [retention](super::Retention) may keep: it keeps none before.
    /// Equal to `next` if there is none.
    pub first: Seq,
    /// The seq from which on the limits of retention on number and bytes keep every event. For those
    /// from `first` up to it, [`PageBatch::newer_bytes`] is needed.
    pub kept_from: Seq,
    /// The seq that the next event gets.
    pub next: Seq,
    /// Set once nothing can be appended any more.
    pub closed: bool,
    /// The time of the newest event ever appended; 0 if there was none.
    pub newest: Timestamp,
}

impl LogState {
    /// Returns the position just before `seq`.
    #[must_use]
    pub const fn before(&self, seq: Seq) -> EventId {
        EventId {
            epoch: self.epoch,
            seq: seq.minus(1),
        }
    }

    /// Returns whether nothing was appended, closed or purged between this state and `other`. Retention
    /// may have dropped events all the same.
    #[must_use]
    pub fn is_same_log(&self, other: &Self) -> bool {
        (self.epoch, self.next, self.closed) == (other.epoch, other.next, other.closed)
    }
}

/// An answer to [`LogReader::read`](super::LogReader::read).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The log, as it was no earlier than at `as_of`; `None` if the channel has none.
    pub state: Option<LogState>,
    /// The time at which the read of the state began.
    pub as_of: Instant,
    /// The seq that the requested start resolves to.
    pub start: Seq,
    /// Records from `start` on, without holes. The first batch may begin before `start`. Empty if nothing
    /// is there yet.
    pub batches: Vec<PageBatch>,
}

/// Records of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageBatch {
    /// The records. Retention keeps those from [`LogState::first`] on that [`Retention::trim`] leaves and
    /// that are not too old.
    ///
    /// [`Retention::trim`]: super::Retention::trim
    pub records: RecordBatch,
    /// The bytes of the records that follow these in the log.
    pub newer_bytes: u64,
    /// Set if the records reach the end of the log.
    pub is_tail: bool,
}

/// A read that failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored value cannot be used, and asking again will not help for now.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Records that the log promises are not there. Retention may have dropped them meanwhile, or the
    /// store's answer was stale.
    #[error("records before {} are missing{}", resume_at.0, cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default())]
    Missing {
        /// The seq of the first record after those that are missing.
        resume_at: Seq,
        /// The damage, if there is more to it than an absent value.
        cause: Option<FormatError>,
    },
}

/// An answer to [`LogReader::news`](super::LogReader::news).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// A read may find something new.
    Ready,
    /// Nothing new is expected before this moment, or before another reader of the instance has read
    /// something.
    NotBefore(Instant),
}
