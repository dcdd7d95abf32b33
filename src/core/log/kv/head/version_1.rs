//! The stored form of heads in format version 1, which is only read.

use std::collections::VecDeque;

use serde::Deserialize;

use super::codec::Delta;
use super::{Head, IdempotencyEntry};
use crate::core::log::RecordBatch;
use crate::core::log::kv::segment::{PendingDelete, SegmentId, SegmentKind, SegmentMeta};
use crate::core::sse::{Epoch, Seq};
use crate::core::time::Timestamp;

#[derive(Deserialize)]
struct Stored {
    epoch: Epoch,
    closed: bool,
    first: Seq,
    segments: Vec<StoredSegment>,
    inline_count: u64,
    newest: Timestamp,
    pending_deletes: Vec<StoredPendingDelete>,
    commits: u64,
    recent_commits: Vec<StoredCommit>,
    idempotency: VecDeque<IdempotencyEntry>,
}

#[derive(Deserialize)]
struct StoredSegment {
    count: u64,
    bytes: u64,
    newest_delta: i64,
}

#[derive(Deserialize)]
struct StoredPendingDelete {
    epoch: Epoch,
    first: Seq,
    since: Timestamp,
}

#[derive(Deserialize)]
struct StoredCommit {
    nonce: u64,
    _epoch: Epoch,
    _first: Seq,
}

/// Decodes the content of a head, as [`codec::decode`](super::codec) does.
pub(super) fn decode(content: &[u8]) -> Result<(Head, Seq, &[u8]), postcard::Error> {
    let (stored, records): (Stored, _) = postcard::take_from_bytes(content)?;
    let mut newest = Delta::default();
    let segments = stored.segments.into_iter().map(|segment| SegmentMeta {
        first: Seq(0),
        count: segment.count,
        bytes: segment.bytes,
        newest: Timestamp(newest.to(segment.newest_delta)),
        kind: SegmentKind::Sealed,
    });
    let pending = stored.pending_deletes.into_iter();
    let pending = pending.map(|pending| PendingDelete {
        segment: SegmentId::sealed(pending.epoch, pending.first),
        since: pending.since,
    });
    let commits = stored.recent_commits.into_iter();
    let head = Head {
        epoch: stored.epoch,
        closed: stored.closed,
        segments: segments.collect(),
        inline: RecordBatch {
            count: stored.inline_count,
            ..RecordBatch::default()
        },
        newest: stored.newest,
        pending_deletes: pending.collect(),
        commits: stored.commits,
        recent_commits: commits.map(|commit| commit.nonce).collect(),
        idempotency: stored.idempotency,
    };
    Ok((head, stored.first, records))
}
