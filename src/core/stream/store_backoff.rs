//! The waits of a reader while the store fails.

use std::time::Duration;

use crate::core::backoff::{Backoff, Jitter};
use crate::core::time::Instant;

const BACKOFF: Backoff = Backoff::new(
    Duration::from_millis(50),
    Duration::from_secs(5),
    Jitter::Equal,
);

/// Keeps account of a store that fails.
#[derive(Debug)]
pub(super) struct StoreBackoff {
    random: fastrand::Rng,
    failing_since: Option<Instant>,
    attempts: u32,
    retry_at: Instant,
}

impl StoreBackoff {
    pub(super) fn new(random: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(random),
            failing_since: None,
            attempts: 0,
            retry_at: Instant(0),
        }
    }

    /// Notes a failure, and schedules the next attempt.
    pub(super) fn failed(&mut self, now: Instant) {
        self.failing_since.get_or_insert(now);
        let delay = BACKOFF.delay(self.attempts, self.random.u64(..));
        self.attempts = self.attempts.saturating_add(1);
        self.retry_at = now.saturating_add(delay);
    }

    /// Notes that the store works.
    pub(super) const fn reset(&mut self) {
        self.failing_since = None;
        self.attempts = 0;
        self.retry_at = Instant(0);
    }

    /// Returns the time of the next attempt, if that is in the future.
    pub(super) fn waits_until(&self, now: Instant) -> Option<Instant> {
        (now < self.retry_at).then_some(self.retry_at)
    }

    /// Returns the time since which the store has been failing.
    pub(super) const fn failing_since(&self) -> Option<Instant> {
        self.failing_since
    }
}
