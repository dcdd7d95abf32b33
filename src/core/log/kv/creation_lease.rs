//! The right to create a head that does not exist.

use std::time::Duration;

use crate::core::time::{Timestamp, millis};

/// The length of a period: 3 s of wall-clock time.
const PERIOD_MILLIS: u64 = millis(Duration::from_secs(3));

/// A creation that was begun in one period may take effect this far into the next: 1 s.
const OVERRUN_MILLIS: u64 = millis(Duration::from_secs(1));

/// A lease on the creation of a missing head.
///
/// Some stores let every swap on a missing key succeed, so a creator is elected first. Wall-clock time
/// is cut into periods, each with a counter in the store. The first to increment the counter of the
/// present period holds the lease for it. The holder of the previous period may still be creating,
/// though; so the new holder increments that period's counter as well, and unless it is the first there
/// too, it waits until the other's time is certainly over. A holder that dies delays the others by one
/// period and does no other harm.
#[derive(Clone, Copy, Debug)]
pub(super) struct CreationLease {
    period: u64,
    /// The counter of the period, once incremented.
    count: Option<i64>,
    /// The counter of the previous period, once incremented.
    previous_count: Option<i64>,
}

/// The next step towards a lease.
pub(super) enum LeaseAction {
    /// Increments the counter of this period.
    Increment(u64),
    /// Waits for the holder.
    Wait,
    /// Creates the head now.
    Create,
}

const fn period(now: Timestamp) -> u64 {
    now.0 / PERIOD_MILLIS
}

impl CreationLease {
    pub(super) const fn new(now: Timestamp) -> Self {
        Self {
            period: period(now),
            count: None,
            previous_count: None,
        }
    }

    /// Returns whether the period of the lease has not ended.
    pub(super) const fn is_current(&self, now: Timestamp) -> bool {
        self.period == period(now)
    }

    pub(super) fn next(&mut self, now: Timestamp) -> LeaseAction {
        if !self.is_current(now) {
            *self = Self::new(now);
        }
        let is_past_overrun = now.0 % PERIOD_MILLIS >= OVERRUN_MILLIS;
        match (self.count, self.previous_count) {
            (None, _) => LeaseAction::Increment(self.period),
            (Some(1), None) => LeaseAction::Increment(self.period.saturating_sub(1)),
            (Some(1), Some(1)) => LeaseAction::Create,
            (Some(1), Some(_)) if is_past_overrun => LeaseAction::Create,
            _ => LeaseAction::Wait,
        }
    }

    pub(super) const fn incremented(&mut self, count: i64) {
        match self.count {
            None => self.count = Some(count),
            Some(_) => self.previous_count = Some(count),
        }
    }
}
