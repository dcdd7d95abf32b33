//! Planning an append or a purge: from a head, the batches and the time to the next head.

use std::time::Duration;

use bytes::Bytes;

use super::head::{Head, IDEMPOTENCY_KEYS, IdempotencyEntry, RECENT_COMMITS};
use super::merge::{Merge, forget_merge};
use super::retention::retain;
use super::segment::{self, SegmentId, SegmentKind, SegmentMeta};
use crate::core::log::{
    AppendError, Appended, Batch, IdempotencyKey, MAX_BATCH_BYTES, Record, RecordBatch, Retention,
    TRACE,
};
use crate::core::sse::{Epoch, EventType};
use crate::core::time::Timestamp;

/// The bytes of events in one commit, so that a head stays below 100 KB. A single event or batch that is
/// larger is committed alone.
pub const MAX_GROUP_BYTES: usize = MAX_BATCH_BYTES;

/// The longest time for which an idempotency key is remembered: 24 hours.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

/// A planned commit for a group of batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The outcome of each batch once the change is committed.
    pub outcomes: Vec<Result<Appended, AppendError>>,
    /// The change; `None` if every batch was refused or is a repeat.
    pub change: Option<Change>,
}

/// A change of a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The head to swap in.
    pub head: Head,
    /// Segments to store before the swap.
    pub seal: Vec<(SegmentId, Bytes)>,
    /// A merge that the change may carry out on the way: [`Change::merge`]. Its sources are stored.
    pub merge: Option<Merge>,
    /// Segments to delete before the swap. The head that is being replaced does not refer to them
    /// either.
    pub discard: Vec<SegmentId>,
}

/// Plans to append `group` to the log, in order, as one commit under `nonce`. Each batch succeeds or
/// fails alone.
///
/// # Errors
/// If a record in the head cannot be read.
pub fn append(
    head: &Head,
    group: &[Batch],
    nonce: u64,
    now: Timestamp,
    retention: &Retention,
) -> Result<Append, postcard::Error> {
    let mut next = head.clone();
    let expired = now.saturating_sub(IDEMPOTENCY_WINDOW);
    next.idempotency.retain(|entry| entry.time > expired);
    let mut records = vec![];
    let mut count = 0;
    let mut changed = false;
    let mut outcomes = Vec::with_capacity(group.len());
    for batch in group {
        if let Some(outcome) = repeated(&next, batch) {
            outcomes.push(outcome);
            continue;
        }
        if next.closed {
            let only_closes = batch.events.is_empty();
            outcomes.push(if only_closes {
                Ok(already_closed(head))
            } else {
                Err(AppendError::Closed)
            });
            continue;
        }
        let appended = Appended {
            epoch: head.epoch,
            first: head.next().plus(count),
            count: batch.events.len() as u64,
            repeated: false,
        };
        encode(batch, now, &mut records)?;
        count = appended.count.saturating_add(count);
        next.closed = batch.close;
        remember(&mut next, batch, &appended, now);
        changed = true;
        outcomes.push(Ok(appended));
    }
    if !changed {
        return Ok(Append {
            outcomes,
            change: None,
        });
    }
    let seal = if is_worth_sealing(&head.inline, &records) {
        seal(&mut next)?
    } else {
        vec![]
    };
    if count > 0 {
        next.inline = extended(&next.inline, &records, count);
        next.newest = now;
    }
    let discard = retain(&mut next, now, retention);
    let mut merge = None;
    if !seal.is_empty() {
        next.settle_single_segments();
        let due = head.due_merge();
        merge = due.filter(|merge| next.may_list(merge.merged.id(head.epoch)));
    }
    if next.first() != head.first() {
        forget_merge(head, &mut next, now);
    }
    record_commit(&mut next, nonce);
    debug_assert!(preserves_invariants(head, &next), "{:?}", next.check());
    Ok(Append {
        outcomes,
        change: Some(Change {
            head: next,
            seal,
            merge,
            discard,
        }),
    })
}

/// Plans to purge the log: what follows is a new one, of another epoch. The segments are marked for
/// deletion, also those that another writer may be sealing at this moment.
///
/// # Errors
/// If a record in the head cannot be read.
pub fn purge(
    head: &Head,
    epoch: Epoch,
    nonce: u64,
    now: Timestamp,
) -> Result<Head, postcard::Error> {
    let mut next = Head::new(epoch);
    next.pending_deletes.clone_from(&head.pending_deletes);
    let sealable = segment::cut(&head.inline)?.0;
    let listed = head.segments.iter().map(|segment| segment.id(head.epoch));
    let sealable = sealable
        .iter()
        .map(|batch| SegmentId::sealed(head.epoch, batch.first));
    next.delete_later(listed.chain(sealable), now);
    forget_merge(head, &mut next, now);
    next.commits = head.commits;
    next.recent_commits.clone_from(&head.recent_commits);
    record_commit(&mut next, nonce);
    debug_assert!(preserves_invariants(head, &next), "{:?}", next.check());
    Ok(next)
}

/// Returns whether a valid head leads to a valid head.
fn preserves_invariants(before: &Head, after: &Head) -> bool {
    before.check().is_err() || after.check().is_ok()
}

fn encode(batch: &Batch, now: Timestamp, records: &mut Vec<u8>) -> Result<(), postcard::Error> {
    for event in &batch.events {
        let event_type = event.event_type.as_deref().map(EventType::parse);
        Record {
            time: now,
            event_type: event_type.and_then(Result::ok),
            data: &event.data,
            attributes: event.trace.iter().map(|trace| (TRACE, &**trace)).collect(),
        }
        .encode(records)?;
    }
    Ok(())
}

/// The outcome of closing a closed channel, which changes nothing.
fn already_closed(head: &Head) -> Appended {
    Appended {
        epoch: head.epoch,
        first: head.next(),
        count: 0,
        repeated: true,
    }
}

fn repeated(head: &Head, batch: &Batch) -> Option<Result<Appended, AppendError>> {
    let IdempotencyKey { key, content } = batch.idempotency_key?;
    let entry = head.idempotency.iter().find(|entry| entry.key == key)?;
    if entry.content != content {
        return Some(Err(AppendError::KeyReused));
    }
    Some(Ok(Appended {
        epoch: head.epoch,
        first: entry.first,
        count: entry.count,
        repeated: true,
    }))
}

fn remember(head: &mut Head, batch: &Batch, appended: &Appended, now: Timestamp) {
    let Some(IdempotencyKey { key, content }) = batch.idempotency_key else {
        return;
    };
    while head.idempotency.len() >= IDEMPOTENCY_KEYS {
        head.idempotency.pop_front();
    }
    head.idempotency.push_back(IdempotencyEntry {
        key,
        content,
        first: appended.first,
        count: appended.count,
        time: now,
    });
}

fn record_commit(head: &mut Head, nonce: u64) {
    while head.recent_commits.len() as u64 >= RECENT_COMMITS {
        head.recent_commits.pop_front();
    }
    head.recent_commits.push_back(nonce);
    head.commits = head.commits.saturating_add(1);
}

/// Returns whether to seal what can be sealed before `records` are appended. Sealing costs a write of
/// its own; large batches share one, as long as the head stays small enough.
fn is_worth_sealing(inline: &RecordBatch, records: &[u8]) -> bool {
    let large = records.len() >= segment::SEGMENT_BYTES / 2;
    !large || inline.records.len().saturating_add(records.len()) > MAX_GROUP_BYTES
}

/// Moves full segments out of the inline records, which are all committed (see [`segment`]).
fn seal(head: &mut Head) -> Result<Vec<(SegmentId, Bytes)>, postcard::Error> {
    let (batches, rest) = segment::cut(&head.inline)?;
    head.inline = rest;
    let mut sealed = Vec::with_capacity(batches.len());
    for batch in batches {
        let mut newest = Timestamp(0);
        for record in batch.records() {
            newest = newest.max(record?.1.time);
        }
        head.segments.push(SegmentMeta {
            first: batch.first,
            count: batch.count,
            bytes: batch.records.len() as u64,
            newest,
            kind: SegmentKind::Sealed,
        });
        let bytes = segment::encode(head.epoch, std::slice::from_ref(&batch))?;
        sealed.push((SegmentId::sealed(head.epoch, batch.first), bytes));
    }
    Ok(sealed)
}

fn extended(inline: &RecordBatch, records: &[u8], count: u64) -> RecordBatch {
    RecordBatch {
        first: inline.first,
        count: inline.count.saturating_add(count),
        records: [&inline.records, records].concat().into(),
    }
}

#[cfg(test)]
mod tests;
