//! The head: the one value whose swap commits a change.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::format::{self, FormatError, Kind};
use super::segment::{PendingDelete, SegmentId, SegmentMeta};
use crate::core::log::{LogState, RecordBatch};
use crate::core::sse::{Epoch, EventId, Seq};
use crate::core::time::Timestamp;

/// The number of commits that a head remembers, to settle a swap whose outcome was lost.
pub const RECENT_COMMITS: u64 = 64;

/// The number of idempotency keys that a head remembers.
pub const IDEMPOTENCY_KEYS: usize = 128;

/// A channel's log at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Distinguishes this log of the channel from earlier and later ones.
    pub epoch: Epoch,
    /// Set once nothing may be appended any more.
    pub closed: bool,
    /// The directory: sealed segments, oldest first, without holes up to `inline`.
    pub segments: Vec<SegmentMeta>,
    /// The newest records.
    pub inline: RecordBatch,
    /// The time of the newest record ever appended; 0 if there was none.
    pub newest: Timestamp,
    /// Segments that the directory no longer lists and that may still be stored, oldest first.
    pub pending_deletes: Vec<PendingDelete>,
    /// The number of commits, over all epochs.
    pub commits: u64,
    /// The newest commits, oldest first; at most [`RECENT_COMMITS`].
    pub recent_commits: VecDeque<CommitRecord>,
    /// Outcomes to repeat, oldest first; at most [`IDEMPOTENCY_KEYS`].
    pub idempotency: VecDeque<IdempotencyEntry>,
}

/// A commit that took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRecord {
    /// The random number that its writer drew.
    pub nonce: u64,
    /// The epoch of the log.
    pub epoch: Epoch,
    /// The seq of the first event that it appended, or would have.
    pub first: Seq,
}

/// A publish with an idempotency key, and its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyEntry {
    /// The digest of the key.
    pub key: [u8; 16],
    /// The digest of the request.
    pub content: [u8; 16],
    /// The seq of the first event.
    pub first: Seq,
    /// The number of events.
    pub count: u64,
    /// The time of the append.
    pub time: Timestamp,
}

/// An invariant of a [`Head`] that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the head breaks an invariant: {0}")]
pub struct InvariantError(&'static str);

/// More events or bytes than a log can ever have. With fewer, no sum over a head wraps.
const BEYOND_ANY_LOG: u64 = 1 << 63;

/// The stored form of a head, followed by the bytes of the inline records. Integers take one byte for
/// each seven bits.
#[derive(Serialize, Deserialize)]
struct Stored {
    epoch: Epoch,
    closed: bool,
    first: Seq,
    segments: Vec<StoredSegment>,
    inline_count: u64,
    newest: Timestamp,
    pending_deletes: Vec<PendingDelete>,
    commits: u64,
    recent_commits: VecDeque<CommitRecord>,
    idempotency: VecDeque<IdempotencyEntry>,
}

/// The stored form of a directory entry: `first` follows from the entries before it, the time is a
/// difference to the entry before.
#[derive(Serialize, Deserialize)]
struct StoredSegment {
    count: u64,
    bytes: u64,
    newest_delta: i64,
}

impl Head {
    /// Creates the head of a log that has no events yet.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            closed: false,
            segments: vec![],
            inline: RecordBatch {
                first: Seq::FIRST,
                ..RecordBatch::default()
            },
            newest: Timestamp(0),
            pending_deletes: vec![],
            commits: 0,
            recent_commits: VecDeque::new(),
            idempotency: VecDeque::new(),
        }
    }

    /// Returns the seq of the oldest event kept; that of the next event if there is none.
    #[must_use]
    pub fn first(&self) -> Seq {
        self.segments
            .first()
            .map_or(self.inline.first, |segment| segment.first)
    }

    /// Returns the seq that the next event gets.
    #[must_use]
    pub const fn next(&self) -> Seq {
        self.inline.next()
    }

    /// Returns the position just before `seq`.
    #[must_use]
    pub const fn before(&self, seq: Seq) -> EventId {
        EventId {
            epoch: self.epoch,
            seq: seq.minus(1),
        }
    }

    /// Returns the number of bytes of records kept.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let sealed = self.segments.iter().map(|segment| segment.bytes);
        sealed.fold(self.inline.records.len() as u64, u64::saturating_add)
    }

    /// Returns the commit with this nonce, if it is among the recent ones.
    #[must_use]
    pub fn recent_commit(&self, nonce: u64) -> Option<&CommitRecord> {
        self.recent_commits
            .iter()
            .find(|commit| commit.nonce == nonce)
    }

    /// Returns the id of a segment of this log.
    #[must_use]
    pub const fn segment_id(&self, first: Seq) -> SegmentId {
        SegmentId {
            epoch: self.epoch,
            first,
        }
    }

    /// Returns the log's state, as readers see it.
    #[must_use]
    pub fn state(&self) -> LogState {
        LogState {
            epoch: self.epoch,
            first: self.first(),
            next: self.next(),
            closed: self.closed,
            newest: self.newest,
            bytes: self.bytes(),
        }
    }

    /// Checks the invariants of a head that this code writes.
    ///
    /// # Errors
    /// The first invariant that does not hold.
    pub fn check(&self) -> Result<(), InvariantError> {
        let require = |holds: bool, invariant| {
            if holds {
                Ok(())
            } else {
                Err(InvariantError(invariant))
            }
        };
        let mut next = self.first();
        require(next >= Seq::FIRST, "seqs begin with 1")?;
        for segment in &self.segments {
            require(segment.first == next, "segments follow each other")?;
            require(segment.count > 0, "no segment is empty")?;
            next = segment.next();
        }
        require(
            self.inline.first == next,
            "inline records follow the segments",
        )?;
        let mut records = self.inline.records();
        let readable = records.by_ref().filter(Result::is_ok).count() as u64;
        require(
            readable == self.inline.count && records.offset() == self.inline.records.len(),
            "the inline records are as many as counted, and nothing else",
        )?;
        let is_live = |id: SegmentId| id.epoch == self.epoch && id.first >= self.first();
        let mut pending = self.pending_deletes.iter();
        require(
            !pending.any(|pending| is_live(pending.segment)),
            "nothing that is listed is about to be deleted",
        )?;
        let remembered = self.recent_commits.len() as u64;
        require(
            remembered == self.commits.min(RECENT_COMMITS),
            "the newest commits are remembered",
        )?;
        require(
            self.idempotency.len() <= IDEMPOTENCY_KEYS,
            "idempotency keys are bounded",
        )
    }

    /// Returns the bytes to store.
    ///
    /// # Errors
    /// Never in practice; see [`Record::encode`](crate::core::log::Record::encode).
    pub fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        let mut before = 0;
        let segments = self.segments.iter().map(|segment| StoredSegment {
            count: segment.count,
            bytes: segment.bytes,
            newest_delta: delta(&mut before, segment.newest),
        });
        let stored = Stored {
            epoch: self.epoch,
            closed: self.closed,
            first: self.first(),
            segments: segments.collect(),
            inline_count: self.inline.count,
            newest: self.newest,
            pending_deletes: self.pending_deletes.clone(),
            commits: self.commits,
            recent_commits: self.recent_commits.clone(),
            idempotency: self.idempotency.clone(),
        };
        let mut bytes = postcard::to_extend(&stored, format::prefix(Kind::Head).to_vec())?;
        bytes.extend_from_slice(&self.inline.records);
        Ok(bytes)
    }

    /// Returns whether `bytes` are this head, which was stored as `stored`. It compares only what stands
    /// before the inline records: each commit draws a number that is part of it.
    #[must_use]
    pub fn is_stored_as(&self, stored: &[u8], bytes: &[u8]) -> bool {
        let before_records = stored.len().checked_sub(self.inline.records.len());
        stored.len() == bytes.len()
            && before_records.is_some_and(|end| stored.get(..end) == bytes.get(..end))
    }

    /// Decodes a stored head. The inline records share memory with `bytes` and are not decoded.
    ///
    /// # Errors
    /// If the bytes are not a head, contradict themselves, or have a newer format.
    pub fn decode(key: &str, bytes: &Bytes) -> Result<Self, FormatError> {
        let body = format::strip_prefix(Kind::Head, key, bytes)?;
        let (stored, records): (Stored, &[u8]) =
            postcard::take_from_bytes(body).map_err(|error| format::corrupt(key, error))?;
        let mut next = stored.first;
        let mut total = records.len() as u64;
        let mut time = 0_i64;
        let mut segments = Vec::with_capacity(stored.segments.len());
        for StoredSegment {
            count,
            bytes,
            newest_delta,
        } in stored.segments
        {
            time = time.wrapping_add(newest_delta);
            let first = next;
            next = after(key, first, count)?;
            if count == 0 {
                return Err(format::corrupt(
                    key,
                    format!("segment {} is empty", first.0),
                ));
            }
            total = total
                .checked_add(bytes)
                .filter(|total| *total < BEYOND_ANY_LOG)
                .ok_or_else(|| format::corrupt(key, "its sizes are beyond any log's"))?;
            segments.push(SegmentMeta {
                first,
                count,
                bytes,
                newest: Timestamp(time.cast_unsigned()),
            });
        }
        after(key, next, stored.inline_count)?;
        Ok(Self {
            epoch: stored.epoch,
            closed: stored.closed,
            segments,
            inline: RecordBatch {
                first: next,
                count: stored.inline_count,
                records: bytes.slice_ref(records),
            },
            newest: stored.newest,
            pending_deletes: stored.pending_deletes,
            commits: stored.commits,
            recent_commits: stored.recent_commits,
            idempotency: stored.idempotency,
        })
    }
}

/// Returns the difference from the previous time to this one, which becomes the previous one.
fn delta(previous: &mut i64, time: Timestamp) -> i64 {
    let time = time.0.cast_signed();
    let delta = time.wrapping_sub(*previous);
    *previous = time;
    delta
}

fn after(key: &str, first: Seq, count: u64) -> Result<Seq, FormatError> {
    let next = first.0.checked_add(count);
    next.filter(|next| *next < BEYOND_ANY_LOG)
        .map(Seq)
        .ok_or_else(|| format::corrupt(key, "its seqs are beyond any log's"))
}

#[cfg(test)]
pub(super) mod tests;
