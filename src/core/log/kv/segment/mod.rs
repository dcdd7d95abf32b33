//! Segments: immutable batches of records under a key of their own.
//!
//! A segment is sealed from records of the head. Only committed records are sealed, and the end of a
//! segment depends on the records alone. So every writer that seals a segment writes the same bytes under
//! the same key, in whatever order and however often; a writer that was overtaken does no harm. The same
//! holds for merged segments, which take the place of several sealed ones.

mod codec;

use std::fmt;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::codec::{decode, encode};
use crate::core::log::FormatError;
use crate::core::log::RecordBatch;
use crate::core::sse::{Epoch, Seq};
use crate::core::store::StoreError;
use crate::core::time::Timestamp;

/// A segment ends before the record that would take it past this many bytes of records: 16 KiB.
/// A single record that is larger is a segment of its own.
pub const SEGMENT_BYTES: usize = 16 * 1024;

/// A segment, as the directory lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentMeta {
    /// The seq of its first record.
    pub first: Seq,
    /// The number of records, at least 1.
    pub count: u64,
    /// The bytes of its records.
    pub bytes: u64,
    /// The time of its newest record.
    pub newest: Timestamp,
    /// The way in which it is stored.
    pub kind: SegmentKind,
}

/// The way in which a segment is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SegmentKind {
    /// It was sealed, and may be merged with its neighbours.
    Sealed,
    /// It was sealed, and stays as it is.
    Settled,
    /// It was merged from sealed segments.
    Merged,
}

impl SegmentMeta {
    /// Returns the seq after that of the last record.
    #[must_use]
    pub const fn next(&self) -> Seq {
        self.first.plus(self.count)
    }

    /// Returns the identity of the segment in the log of this epoch.
    #[must_use]
    pub const fn id(&self, epoch: Epoch) -> SegmentId {
        SegmentId {
            epoch,
            first: self.first,
            merged: match self.kind {
                SegmentKind::Sealed | SegmentKind::Settled => None,
                SegmentKind::Merged => Some(self.count),
            },
        }
    }

    /// Returns whether `parts` together have the extent of this segment.
    #[must_use]
    pub fn describes(&self, parts: &[RecordBatch]) -> bool {
        let sum =
            |number: fn(&RecordBatch) -> u64| parts.iter().map(number).fold(0, u64::saturating_add);
        parts.first().is_some_and(|part| part.first == self.first)
            && sum(|part| part.count) == self.count
            && sum(|part| part.records.len() as u64) == self.bytes
    }
}

/// The identity of a segment within a channel: its key without the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SegmentId {
    /// The epoch of its log.
    pub epoch: Epoch,
    /// The seq of its first record.
    pub first: Seq,
    /// The number of records of a merged segment; `None` of a sealed one. It is part of the identity,
    /// because merges that begin with the same record need not end with the same.
    pub merged: Option<u64>,
}

impl SegmentId {
    /// Returns the identity of a segment that was not merged.
    #[must_use]
    pub const fn sealed(epoch: Epoch, first: Seq) -> Self {
        Self {
            epoch,
            first,
            merged: None,
        }
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}!{}", self.epoch, self.first.0)?;
        match self.merged {
            None => Ok(()),
            Some(count) => write!(f, "!{count}"),
        }
    }
}

/// The parts of a segment, which were verified when it was read.
pub type Parts = Rc<[RecordBatch]>;

/// A segment that could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SegmentError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store has no value under its key.
    #[error("there is no value under its key")]
    Absent,
    /// The value cannot be used.
    #[error(transparent)]
    Format(#[from] FormatError),
}

/// A segment that was dropped from the directory and may still be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingDelete {
    /// The segment.
    pub segment: SegmentId,
    /// The time at which it was dropped.
    pub since: Timestamp,
}

/// Splits off the front of `batch` every segment whose end its records determine. Returns the segments
/// and the rest.
///
/// # Errors
/// If a record cannot be read.
pub fn cut(batch: &RecordBatch) -> Result<(Vec<RecordBatch>, RecordBatch), postcard::Error> {
    let mut rest = batch.clone();
    let mut segments = vec![];
    while rest.records.len() >= SEGMENT_BYTES {
        let Some((count, bytes)) = first_end(&rest)? else {
            break;
        };
        let segment = RecordBatch {
            first: rest.first,
            count,
            records: rest.records.slice(..bytes),
        };
        rest = RecordBatch {
            first: segment.next(),
            count: rest.count.saturating_sub(count),
            records: rest.records.slice(bytes..),
        };
        segments.push(segment);
    }
    Ok((segments, rest))
}

/// Returns the number of records and bytes of the first segment of `batch`; `None` while the next record
/// could still belong to it.
fn first_end(batch: &RecordBatch) -> Result<Option<(u64, usize)>, postcard::Error> {
    let mut records = batch.records();
    let mut end = (0, 0);
    while let Some(record) = records.next() {
        record?;
        let offset = records.offset();
        if offset > SEGMENT_BYTES && end.0 > 0 {
            return Ok(Some(end));
        }
        end = (end.0.saturating_add(1), offset);
        if offset >= SEGMENT_BYTES {
            return Ok(Some(end));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
