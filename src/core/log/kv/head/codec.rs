//! The stored form of heads.
//!
//! A head is stored as its fields, followed by the bytes of its inline records. Integers take one byte for
//! each seven bits, so much of what is stored is a difference to what stands before it.

use std::borrow::Cow;
use std::collections::VecDeque;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::version_1;
use super::{Head, IdempotencyEntry};
use crate::core::log::RecordBatch;
use crate::core::log::kv::format::{self, FormatError, Kind, Version};
use crate::core::log::kv::segment::{PendingDelete, SegmentId, SegmentKind, SegmentMeta};
use crate::core::sse::{Epoch, Seq};
use crate::core::time::Timestamp;

/// More events or bytes than a log can ever have. With fewer, no sum over a head wraps.
const BEYOND_ANY_LOG: u64 = 1 << 63;

/// About the bytes that a directory entry takes, and everything else but the records of most heads.
const ENTRY_BYTES: usize = 12;
const FIXED_BYTES: usize = 1_024;

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    epoch: Epoch,
    closed: bool,
    first: Seq,
    segments: Vec<StoredSegment>,
    inline_count: u64,
    newest: Timestamp,
    pending_deletes: Vec<StoredPendingDelete>,
    commits: u64,
    recent_commits: Vec<[u8; 8]>,
    idempotency: Cow<'a, VecDeque<IdempotencyEntry>>,
}

/// A directory entry. Its first seq follows from the entries before it.
#[derive(Serialize, Deserialize)]
struct StoredSegment {
    kind: SegmentKind,
    count: u64,
    bytes: u64,
    /// The difference to the entry before.
    newest: i64,
}

/// A pending delete. Its seq and time are differences to the entry before.
#[derive(Serialize, Deserialize)]
struct StoredPendingDelete {
    /// Present if it is not that of the entry before, or of the head.
    epoch: Option<Epoch>,
    first: i64,
    merged: Option<u64>,
    since: i64,
}

impl Head {
    /// Returns the bytes to store.
    ///
    /// # Errors
    /// Never in practice; see [`Record::encode`](crate::core::log::Record::encode).
    pub fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        let mut newest = Delta::default();
        let segments = self.segments.iter().map(|segment| StoredSegment {
            kind: segment.kind,
            count: segment.count,
            bytes: segment.bytes,
            newest: newest.from(segment.newest.0),
        });
        let nonces = self.recent_commits.iter();
        let stored = Stored {
            epoch: self.epoch,
            closed: self.closed,
            first: self.first(),
            segments: segments.collect(),
            inline_count: self.inline.count,
            newest: self.newest,
            pending_deletes: self.stored_pending_deletes(),
            commits: self.commits,
            recent_commits: nonces.map(|nonce| nonce.to_le_bytes()).collect(),
            idempotency: Cow::Borrowed(&self.idempotency),
        };
        let records = &self.inline.records;
        let entries = self
            .segments
            .len()
            .saturating_add(self.pending_deletes.len());
        let capacity = entries.saturating_mul(ENTRY_BYTES);
        let capacity = capacity
            .saturating_add(records.len())
            .saturating_add(FIXED_BYTES);
        let mut bytes = postcard::to_extend(&stored, format::begin(Kind::Head, capacity))?;
        bytes.extend_from_slice(records);
        format::append_checksum(&mut bytes);
        Ok(bytes)
    }

    fn stored_pending_deletes(&self) -> Vec<StoredPendingDelete> {
        let (mut epoch, mut first, mut since) = (self.epoch, Delta::default(), Delta::default());
        let pending = self.pending_deletes.iter().map(|pending| {
            let SegmentId {
                epoch: own,
                first: seq,
                merged,
            } = pending.segment;
            let before = std::mem::replace(&mut epoch, own);
            StoredPendingDelete {
                epoch: (own != before).then_some(own),
                first: first.from(seq.0),
                merged,
                since: since.from(pending.since.0),
            }
        });
        pending.collect()
    }

    /// Decodes a stored head. The inline records share memory with `bytes` and are not decoded.
    ///
    /// # Errors
    /// If the bytes are not a head, contradict themselves, or have a newer format.
    pub fn decode(key: &str, bytes: &Bytes) -> Result<Self, FormatError> {
        let (version, content) = format::open(Kind::Head, key, bytes)?;
        match version {
            Version::One => version_1::decode(content),
            Version::Two => decode(content),
        }
        .map_err(|error| format::corrupt(key, error))
        .and_then(|(head, first, records)| numbered(key, head, first, bytes.slice_ref(records)))
    }
}

/// Decodes the content of a head. Returns the head without seqs and records, its first seq, and the bytes
/// of its records.
fn decode(content: &[u8]) -> Result<(Head, Seq, &[u8]), postcard::Error> {
    let (stored, records): (Stored<'_>, _) = postcard::take_from_bytes(content)?;
    let mut newest = Delta::default();
    let segments = stored.segments.into_iter().map(|segment| SegmentMeta {
        first: Seq(0),
        count: segment.count,
        bytes: segment.bytes,
        newest: Timestamp(newest.to(segment.newest)),
        kind: segment.kind,
    });
    let (mut epoch, mut first, mut since) = (stored.epoch, Delta::default(), Delta::default());
    let pending = stored.pending_deletes.into_iter().map(|pending| {
        epoch = pending.epoch.unwrap_or(epoch);
        PendingDelete {
            segment: SegmentId {
                epoch,
                first: Seq(first.to(pending.first)),
                merged: pending.merged,
            },
            since: Timestamp(since.to(pending.since)),
        }
    });
    let nonces = stored.recent_commits.into_iter();
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
        recent_commits: nonces.map(u64::from_le_bytes).collect(),
        idempotency: stored.idempotency.into_owned(),
    };
    Ok((head, stored.first, records))
}

/// Completes a decoded head: each segment, and the inline records, follow what is before them.
fn numbered(key: &str, mut head: Head, first: Seq, records: Bytes) -> Result<Head, FormatError> {
    let mut next = first;
    let mut total = records.len() as u64;
    for segment in &mut head.segments {
        if segment.count == 0 {
            let detail = format!("segment {} is empty", next.0);
            return Err(format::corrupt(key, detail));
        }
        segment.first = next;
        next = after(key, next, segment.count)?;
        total = total
            .checked_add(segment.bytes)
            .filter(|total| *total < BEYOND_ANY_LOG)
            .ok_or_else(|| format::corrupt(key, "its sizes are beyond any log's"))?;
    }
    after(key, next, head.inline.count)?;
    head.inline.first = next;
    head.inline.records = records;
    Ok(head)
}

fn after(key: &str, first: Seq, count: u64) -> Result<Seq, FormatError> {
    let next = first.0.checked_add(count);
    next.filter(|next| *next < BEYOND_ANY_LOG)
        .map(Seq)
        .ok_or_else(|| format::corrupt(key, "its seqs are beyond any log's"))
}

/// Turns numbers into differences to the one before, and back.
#[derive(Default)]
pub(super) struct Delta(i64);

impl Delta {
    /// Returns the difference from the number before to this one.
    fn from(&mut self, number: u64) -> i64 {
        let number = number.cast_signed();
        number.wrapping_sub(std::mem::replace(&mut self.0, number))
    }

    /// Returns the number that differs from the one before by `delta`.
    pub(super) const fn to(&mut self, delta: i64) -> u64 {
        self.0 = self.0.wrapping_add(delta);
        self.0.cast_unsigned()
    }
}
