//! The times at which a reader asks the store for a newer head: often after activity, rarely when idle.

use std::num::NonZeroU64;
use std::time::Duration;

use crate::core::time::{Instant, millis};

/// An idle reader asks again after this fraction of the time for which it has been idle.
const IDLE_FRACTION: u64 = 50;

/// The shortest and the longest time between two reads of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PollInterval {
    /// While events arrive.
    pub min: Duration,
    /// After a while without events.
    pub max: Duration,
}

/// The schedule of one reader.
///
/// Readers ask at common ticks, the multiples of their interval, and intervals double. So the readers of
/// a channel ask together, and one read of the head serves them all.
#[derive(Debug)]
pub(super) struct PollSchedule {
    min: u64,
    max: u64,
    active: Instant,
    due: Instant,
}

impl PollSchedule {
    /// Creates a schedule that is due at once.
    pub(super) fn new(interval: PollInterval, now: Instant) -> Self {
        // Doubling an interval of 0 would never end.
        let min = millis(interval.min).max(1);
        Self {
            min,
            max: millis(interval.max),
            active: now,
            due: now,
        }
    }

    /// Notes that records were read: the next read is not far.
    pub(super) fn activity(&mut self, now: Instant) {
        self.active = now;
        self.due = self.due.min(tick_after(now, self.min));
    }

    /// Notes that the head was read, and schedules the next read.
    pub(super) fn polled(&mut self, now: Instant) {
        let idle = millis(now.saturating_duration_since(self.active)) / IDLE_FRACTION;
        let mut interval = self.min;
        while interval < self.max && interval.saturating_mul(2) <= idle {
            interval = interval.saturating_mul(2);
        }
        if idle >= self.max {
            interval = self.max;
        }
        self.due = tick_after(now, interval);
    }

    /// Schedules the next read for the shortest interval from now.
    pub(super) fn poll_soon(&mut self, now: Instant) {
        self.due = now.saturating_add(Duration::from_millis(self.min));
    }

    /// Returns the time of the next read.
    pub(super) const fn due(&self) -> Instant {
        self.due
    }

    /// Returns a time just before the next read: a head that was read later belongs to its tick.
    pub(super) const fn before_due(&self) -> Instant {
        Instant(self.due.0.saturating_sub(1))
    }
}

/// Returns the first multiple of `interval` after `now`.
fn tick_after(now: Instant, interval: u64) -> Instant {
    let interval = NonZeroU64::new(interval).unwrap_or(NonZeroU64::MIN);
    let ticks = (now.0 / interval).saturating_add(1);
    Instant(ticks.saturating_mul(interval.get()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_of_zero_is_a_millisecond() {
        let interval = PollInterval {
            min: Duration::ZERO,
            max: Duration::from_millis(500),
        };
        let mut schedule = PollSchedule::new(interval, Instant(0));
        schedule.polled(Instant(7));
        assert_eq!(schedule.due(), Instant(8));
    }
}
