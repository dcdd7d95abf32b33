//! The append plan: a head, what is to be published, and the time, to the next head.

use std::fmt;
use std::rc::Rc;

use bytes::Bytes;

use super::retention::{Retention, retain};
use super::{
    CommitRecord, Head, IDEMPOTENCY_KEYS, IdempotencyEntry, PendingDelete, RECENT_COMMITS, Record,
    RecordBatch, SegmentId, SegmentMeta, TRACE, segment,
};
use crate::core::sse::{Epoch, EventId, EventType, Seq};
use crate::core::time::Timestamp;

/// A commit takes at most this many bytes of events, so that a head stays below 100 KB: 64 KiB.
/// One event, or one batch, may have more; then it is committed by itself.
pub const MAX_GROUP_BYTES: usize = 64 * 1024;

/// How long an idempotency key is remembered at most: 24 hours.
pub const IDEMPOTENCY_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// An event that is to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// Its type, as [`EventType::from_publisher`] took it; `None` means `message`.
    pub event_type: Option<String>,
    /// Its data.
    pub data: String,
    /// The `traceparent` of what published it, if subscribers are to know.
    pub trace: Option<Rc<str>>,
}

impl NewEvent {
    /// About how many bytes it takes in the log.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let event_type = self.event_type.as_ref().map_or(0, String::len);
        let trace = self.trace.as_ref();
        let trace = trace.map_or(0, |trace| trace.len().saturating_add(TRACE.len()));
        event_type
            .saturating_add(self.data.len())
            .saturating_add(trace)
            .saturating_add(16)
    }
}

/// What one publisher wants done: all of it or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The events, in order. None only if `close` is set.
    pub events: Vec<NewEvent>,
    /// Whether the channel is closed after them.
    pub close: bool,
    /// Set if the publisher gave an idempotency key.
    pub repeat: Option<IdempotencyKey>,
}

impl Batch {
    /// About how many bytes its events take in the log.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let sizes = self.events.iter().map(NewEvent::bytes);
        sizes.fold(0, usize::saturating_add)
    }
}

/// How a repeated publish is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// A digest of the idempotency key.
    pub key: [u8; 16],
    /// A digest of the request.
    pub content: [u8; 16],
}

/// What a batch was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The log it went to.
    pub epoch: Epoch,
    /// The seq of its first event.
    pub first: Seq,
    /// How many events it had.
    pub count: u64,
    /// Whether this is the answer of an earlier publish with the same idempotency key.
    pub repeated: bool,
}

impl Appended {
    /// The id of its first event.
    #[must_use]
    pub const fn first_id(&self) -> EventId {
        EventId {
            epoch: self.epoch,
            seq: self.first,
        }
    }

    /// The id of its last event.
    #[must_use]
    pub const fn last_id(&self) -> EventId {
        EventId {
            epoch: self.epoch,
            seq: self.first.plus(self.count).minus(1),
        }
    }
}

/// Why a batch is not appended, whatever the store does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// The channel is closed.
    Closed,
    /// The idempotency key was used for something else.
    KeyReused,
}

impl fmt::Display for AppendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the channel is closed; nothing can be published to it any more",
            Self::KeyReused => {
                "the idempotency key was used before with a different request; use a new key"
            }
        })
    }
}

/// A plan for a group of batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// What each batch is answered once the change is committed.
    pub answers: Vec<Result<Appended, AppendError>>,
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
    /// Segments to delete before the swap: the head that is being replaced does not refer to them
    /// either.
    pub discard: Vec<SegmentId>,
}

/// Plans to append `group` to the log, in order, as one commit under `nonce`. Pure.
///
/// # Errors
/// When a record in the head cannot be read.
pub fn append(
    head: &Head,
    group: &[Batch],
    nonce: u64,
    now: Timestamp,
    retention: &Retention,
) -> Result<Append, postcard::Error> {
    let mut next = head.clone();
    let expired = now.minus_seconds(IDEMPOTENCY_MILLIS / 1000);
    next.remembered
        .retain(|remembered| remembered.time > expired);
    let mut records = vec![];
    let mut count = 0;
    let mut changed = false;
    let mut answers = Vec::with_capacity(group.len());
    for batch in group {
        if let Some(answer) = answered_before(&next, batch) {
            answers.push(answer);
            continue;
        }
        if next.closed {
            let closes = batch.events.is_empty();
            answers.push(if closes {
                Ok(closed_before(head))
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
        for event in &batch.events {
            let event_type = event.event_type.as_deref().map(EventType::parse);
            Record {
                time: now,
                event_type: event_type.and_then(Result::ok),
                data: &event.data,
                attributes: event.trace.iter().map(|trace| (TRACE, &**trace)).collect(),
            }
            .encode(&mut records)?;
        }
        count = appended.count.saturating_add(count);
        next.closed = batch.close;
        remember(&mut next, batch, &appended, now);
        changed = true;
        answers.push(Ok(appended));
    }
    if !changed {
        return Ok(Append {
            answers,
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
    record_commit(
        &mut next,
        CommitRecord {
            nonce,
            epoch: head.epoch,
            first: head.next(),
        },
    );
    Ok(Append {
        answers,
        change: Some(Change {
            head: next,
            seal,
            discard,
        }),
    })
}

/// Plans to purge the log: what follows is a new one, of another epoch. Its segments become trash,
/// also those that another writer may be sealing right now.
///
/// # Errors
/// When a record in the head cannot be read.
pub fn purge(
    head: &Head,
    epoch: Epoch,
    nonce: u64,
    now: Timestamp,
) -> Result<Head, postcard::Error> {
    let mut next = Head::new(epoch);
    next.trash.clone_from(&head.trash);
    let sealing = segment::cut(&head.inline)?.0;
    let firsts = head
        .segments
        .iter()
        .map(|sealed| sealed.first)
        .chain(sealing.iter().map(|run| run.first));
    next.trash.extend(firsts.map(|first| PendingDelete {
        segment: head.segment(first),
        since: now,
    }));
    next.commits = head.commits;
    next.recent.clone_from(&head.recent);
    record_commit(
        &mut next,
        CommitRecord {
            nonce,
            epoch,
            first: Seq::FIRST,
        },
    );
    Ok(next)
}

/// Closing a closed channel changes nothing.
fn closed_before(head: &Head) -> Appended {
    Appended {
        epoch: head.epoch,
        first: head.next(),
        count: 0,
        repeated: true,
    }
}

fn answered_before(head: &Head, batch: &Batch) -> Option<Result<Appended, AppendError>> {
    let repeat = batch.repeat?;
    let before = head
        .remembered
        .iter()
        .find(|remembered| remembered.key == repeat.key)?;
    if before.content != repeat.content {
        return Some(Err(AppendError::KeyReused));
    }
    Some(Ok(Appended {
        epoch: head.epoch,
        first: before.first,
        count: before.count,
        repeated: true,
    }))
}

fn remember(head: &mut Head, batch: &Batch, appended: &Appended, now: Timestamp) {
    let Some(IdempotencyKey { key, content }) = batch.repeat else {
        return;
    };
    while head.remembered.len() >= IDEMPOTENCY_KEYS {
        head.remembered.pop_front();
    }
    head.remembered.push_back(IdempotencyEntry {
        key,
        content,
        first: appended.first,
        count: appended.count,
        time: now,
    });
}

fn record_commit(head: &mut Head, commit: CommitRecord) {
    while head.recent.len() as u64 >= RECENT_COMMITS {
        head.recent.pop_front();
    }
    head.recent.push_back(commit);
    head.commits = head.commits.saturating_add(1);
}

/// Whether to seal what can be sealed before `records` are appended. Sealing costs a write of its
/// own; large batches share one between them, as long as the head stays small enough.
fn is_worth_sealing(inline: &RecordBatch, records: &[u8]) -> bool {
    let large = records.len() >= segment::SEGMENT_BYTES / 2;
    !large || inline.records.len().saturating_add(records.len()) > MAX_GROUP_BYTES
}

/// Moves full segments out of the inline records, which are all committed (see [`segment`]).
fn seal(head: &mut Head) -> Result<Vec<(SegmentId, Bytes)>, postcard::Error> {
    let (segments, rest) = segment::cut(&head.inline)?;
    head.inline = rest;
    let mut sealed = Vec::with_capacity(segments.len());
    for run in segments {
        let mut newest = Timestamp(0);
        for record in run.records() {
            newest = newest.max(record?.1.time);
        }
        head.segments.push(SegmentMeta {
            first: run.first,
            count: run.count,
            bytes: run.records.len() as u64,
            newest,
        });
        sealed.push((head.segment(run.first), segment::encode(head.epoch, &run)?));
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
