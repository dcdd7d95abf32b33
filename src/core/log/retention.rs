//! How much of a log is kept, and when the rest is deleted.

use super::mutant::{Mutant, is_active};
use super::{Head, PendingDelete, SegmentId};
use crate::core::time::Timestamp;

/// How much of a log is kept. Whole segments are dropped, and only while what is left still
/// satisfies the limit, so a little more is kept than asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The newest this many events are kept.
    pub events: u64,
    /// The newest events up to this many bytes are kept.
    pub bytes: u64,
    /// Events older than this many seconds are dropped; 0 keeps them.
    pub seconds: u64,
}

/// Dropped segments are deleted this much later: 30 s. By then no writer is left that could still
/// store one of them, having been overtaken; and slow readers had time to finish reading.
pub(super) const TRASH_MILLIS: u64 = 30_000;

/// So many dropped segments are deleted together, in one call of the store.
pub(super) const TRASH_SEGMENTS: usize = 16;

/// With more trash than this, the oldest is deleted early, so that heads stay small.
pub(super) const MAX_TRASH: usize = 256;

/// The directory never has more entries than this, whatever retention allows; it is part of every
/// head that is written.
const MAX_SEGMENTS: usize = 4096;

/// Drops segments that retention no longer covers into the trash, and returns what is due to be
/// deleted.
pub(super) fn retain(head: &mut Head, now: Timestamp, retention: &Retention) -> Vec<SegmentId> {
    let mut events = head.next().since(head.first());
    let mut bytes = head.bytes();
    let oldest = now.minus_seconds(retention.seconds);
    let mut left = head.segments.len();
    let dropped = head.segments.iter().take_while(|segment| {
        let is_over_count = left > MAX_SEGMENTS;
        events = events.saturating_sub(segment.count);
        bytes = bytes.saturating_sub(segment.bytes);
        left = left.saturating_sub(1);
        events >= retention.events
            || bytes >= retention.bytes
            || (retention.seconds > 0 && segment.newest < oldest)
            || is_over_count
    });
    let dropped = dropped.count();
    let epoch = head.epoch;
    let names = head.segments.drain(..dropped).map(|segment| SegmentId {
        epoch,
        first: segment.first,
    });
    let names: Vec<_> = names.collect();
    if is_active(Mutant::TrimsBeforeTheSwap) {
        return names;
    }
    let due = due(&head.trash, now);
    head.trash
        .extend(names.into_iter().map(|segment| PendingDelete {
            segment,
            since: now,
        }));
    head.trash
        .drain(..due)
        .map(|trashed| trashed.segment)
        .collect()
}

/// How much of the trash, oldest first, is to be deleted now: none until it is worth a call.
pub(super) fn due(trash: &[PendingDelete], now: Timestamp) -> usize {
    let age = |trashed: &PendingDelete| now.0.saturating_sub(trashed.since.0);
    let old = trash
        .iter()
        .take_while(|trashed| age(trashed) >= TRASH_MILLIS)
        .count();
    let surplus = trash.len().saturating_sub(MAX_TRASH);
    let waited = trash
        .first()
        .is_some_and(|oldest| age(oldest) >= 2 * TRASH_MILLIS);
    match old.max(surplus) {
        few if few < TRASH_SEGMENTS && !waited => 0,
        due => due,
    }
}
