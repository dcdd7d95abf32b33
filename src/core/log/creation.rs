//! Who creates a head that does not exist.

use crate::core::time::Timestamp;

/// How long a turn at creating a missing head is: 3 s of wall-clock time.
const TURN_MILLIS: u64 = 3_000;

/// What was begun in one turn may take effect this far into the next: 1 s.
const OVERTIME_MILLIS: u64 = 1_000;

/// A claim to create the missing head.
///
/// Time is cut into turns, each with a counter in the store. Whoever is the first to increment the
/// counter of the present turn is the only one to create the head in it. A creator of the turn
/// before may still be at it, though; so the new one increments that turn's counter as well, and if
/// it was not the first there either, it waits until that creator's time is surely over. A creator
/// that dies holds the others up for a turn, and nothing else.
#[derive(Clone, Copy, Debug)]
pub(super) struct CreationLease {
    pub(super) turn: u64,
    /// The counter of the turn, once incremented.
    count: Option<i64>,
    /// The counter of the turn before, once incremented.
    count_before: Option<i64>,
}

/// What a claim calls for.
pub(super) enum LeaseAction {
    /// Increment the counter of this turn.
    Count(u64),
    /// Wait and see.
    Wait,
    /// Create the head now.
    Create,
}

/// The turn that it is.
pub(super) const fn turn(now: Timestamp) -> u64 {
    now.0 / TURN_MILLIS
}

impl CreationLease {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self {
            turn: turn(now),
            count: None,
            count_before: None,
        }
    }

    pub(super) fn next(&mut self, now: Timestamp) -> LeaseAction {
        if self.turn != turn(now) {
            *self = Self::new(now);
        }
        match (self.count, self.count_before) {
            (None, _) => LeaseAction::Count(self.turn),
            (Some(1), None) => LeaseAction::Count(self.turn.saturating_sub(1)),
            (Some(1), Some(1)) => LeaseAction::Create,
            (Some(1), Some(_)) if now.0 % TURN_MILLIS >= OVERTIME_MILLIS => LeaseAction::Create,
            _ => LeaseAction::Wait,
        }
    }

    pub(super) fn counted(&mut self, count: i64) {
        match self.count {
            None => self.count = Some(count),
            Some(_) => self.count_before = Some(count),
        }
    }
}
