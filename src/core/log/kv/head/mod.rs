//! The head: the one value whose swap commits a change.

mod codec;
mod invariants;
mod version_1;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

pub use self::invariants::InvariantError;
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
    /// The directory: segments, oldest first, without holes up to `inline`.
    pub segments: Vec<SegmentMeta>,
    /// The newest records.
    pub inline: RecordBatch,
    /// The time of the newest record ever appended; 0 if there was none.
    pub newest: Timestamp,
    /// Segments that the directory no longer lists and that may still be stored, oldest first.
    pub pending_deletes: Vec<PendingDelete>,
    /// The number of commits, over all epochs.
    pub commits: u64,
    /// The nonces of the newest commits, oldest first; at most [`RECENT_COMMITS`]. A nonce is a random
    /// number that the writer of a commit drew.
    pub recent_commits: VecDeque<u64>,
    /// Outcomes to repeat, oldest first; at most [`IDEMPOTENCY_KEYS`].
    pub idempotency: VecDeque<IdempotencyEntry>,
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

    /// Returns whether the commit with this nonce is among the recent ones.
    #[must_use]
    pub fn remembers(&self, nonce: u64) -> bool {
        self.recent_commits.contains(&nonce)
    }

    /// Returns whether the directory lists this segment.
    #[must_use]
    pub fn lists(&self, id: SegmentId) -> bool {
        let listed = self
            .segments
            .binary_search_by_key(&id.first, |segment| segment.first);
        let listed = listed.ok().and_then(|index| self.segments.get(index));
        listed.is_some_and(|segment| segment.id(self.epoch) == id)
    }

    /// Returns whether a later head of this log may list this segment, which this one does not: it may be
    /// sealed or merged yet.
    #[must_use]
    pub fn may_list(&self, id: SegmentId) -> bool {
        id.epoch == self.epoch
            && match id.merged {
                None => id.first >= self.inline.first,
                Some(_) => self
                    .due_merge()
                    .is_some_and(|merge| merge.merged.id(self.epoch) == id),
            }
    }

    /// Returns whether the segment is listed, may be, or is a pending delete. A segment that the head does
    /// not know is an orphan.
    #[must_use]
    pub fn knows(&self, id: SegmentId) -> bool {
        let mut pending = self.pending_deletes.iter();
        self.lists(id) || self.may_list(id) || pending.any(|pending| pending.segment == id)
    }

    /// Lists segments as pending deletes, dropped at `now`.
    pub(super) fn delete_later(
        &mut self,
        segments: impl IntoIterator<Item = SegmentId>,
        now: Timestamp,
    ) {
        let pending = segments.into_iter().map(|segment| PendingDelete {
            segment,
            since: now,
        });
        self.pending_deletes.extend(pending);
    }

    /// Returns the log's state, as readers see it if retention keeps all that is stored.
    #[must_use]
    pub fn state(&self) -> LogState {
        LogState {
            epoch: self.epoch,
            first: self.first(),
            kept_from: self.first(),
            next: self.next(),
            closed: self.closed,
            newest: self.newest,
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
