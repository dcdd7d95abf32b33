//! Dropping what retention no longer covers, and deleting it later.

use std::time::Duration;

use super::head::Head;
use super::mutant::{Mutant, is_active};
use super::segment::{PendingDelete, SegmentId};
use crate::core::log::Retention;
use crate::core::time::Timestamp;

/// The time between dropping a segment and deleting it: 30 s. By then no writer is left that was
/// overtaken and could still store the segment, and slow readers have had time to finish reading it.
pub(super) const DELETE_DELAY: Duration = Duration::from_secs(30);

/// The number of dropped segments that are deleted together, in one call of the store.
pub(super) const DELETE_BATCH: usize = 16;

/// With more dropped segments than this the oldest are deleted early, so that heads stay small.
pub(super) const MAX_PENDING_DELETES: usize = 256;

/// The largest directory, whatever retention allows. It is part of every head that is written.
const MAX_SEGMENTS: usize = 4096;

/// Drops segments that retention no longer covers, and returns those that are due to be deleted.
///
/// Whole segments are dropped, and only while the rest still satisfies the limit, so a little more is
/// kept than asked for.
pub(super) fn retain(head: &mut Head, now: Timestamp, retention: &Retention) -> Vec<SegmentId> {
    let mut events = head.next().since(head.first());
    let mut bytes = head.bytes();
    let oldest = retention.max_age.map(|age| now.saturating_sub(age));
    let mut left = head.segments.len();
    let dropped = head.segments.iter().take_while(|segment| {
        let is_over_count = left > MAX_SEGMENTS;
        events = events.saturating_sub(segment.count);
        bytes = bytes.saturating_sub(segment.bytes);
        left = left.saturating_sub(1);
        events >= retention.events
            || bytes >= retention.bytes
            || oldest.is_some_and(|oldest| segment.newest < oldest)
            || is_over_count
    });
    let dropped = dropped.count();
    let epoch = head.epoch;
    let dropped = head.segments.drain(..dropped);
    let dropped = dropped.map(|segment| segment.id(epoch));
    let dropped: Vec<_> = dropped.collect();
    if is_active(Mutant::TrimsBeforeTheSwap) {
        return dropped;
    }
    let due = due(&head.pending_deletes, now);
    head.delete_later(dropped, now);
    head.pending_deletes
        .drain(..due)
        .map(|pending| pending.segment)
        .collect()
}

/// Returns how many pending deletes, oldest first, to carry out now: none until it is worth a call.
pub(super) fn due(pending: &[PendingDelete], now: Timestamp) -> usize {
    let age = |pending: &PendingDelete| now.saturating_duration_since(pending.since);
    let old = pending
        .iter()
        .take_while(|pending| age(pending) >= DELETE_DELAY)
        .count();
    let surplus = pending.len().saturating_sub(MAX_PENDING_DELETES);
    let waited = pending
        .first()
        .is_some_and(|oldest| age(oldest) >= DELETE_DELAY.saturating_mul(2));
    match old.max(surplus) {
        few if few < DELETE_BATCH && !waited => 0,
        due => due,
    }
}
