//! The invariants of heads.

use thiserror::Error;

use super::{Head, IDEMPOTENCY_KEYS, RECENT_COMMITS};
use crate::core::log::kv::MERGED_BYTES;
use crate::core::log::kv::segment::SegmentKind;
use crate::core::sse::Seq;

/// An invariant of a [`Head`] that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the head breaks an invariant: {0}")]
pub struct InvariantError(pub(super) &'static str);

impl Head {
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
            require(
                segment.kind != SegmentKind::Merged || segment.bytes <= MERGED_BYTES,
                "merged segments are bounded",
            )?;
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
        let mut pending = self.pending_deletes.iter();
        require(
            !pending.any(|pending| self.lists(pending.segment) || self.may_list(pending.segment)),
            "nothing that is listed, or will be, is about to be deleted",
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
}
