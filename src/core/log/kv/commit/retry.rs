//! The waits between the attempts of a commit.

use std::time::Duration;

use crate::core::backoff::{Backoff, Jitter};
use crate::core::time::Instant;

/// Before a lost swap is tried again.
const LOST: Backoff = Backoff::new(
    Duration::from_millis(1),
    Duration::from_millis(32),
    Jitter::Full,
);

/// Once the store has failed: dozens of instances may be retrying.
const FAILED: Backoff = Backoff::new(
    Duration::from_millis(1),
    Duration::from_millis(512),
    Jitter::Full,
);

/// The longest wait, whatever the factor: 1 s.
const MAX_WAIT: Duration = Duration::from_secs(1);

/// The outcome of a swap is settled before a wait that is longer than this many attempts: a head
/// remembers the last [`RECENT_COMMITS`](super::super::RECENT_COMMITS), and others may be faster.
const REMEMBERED_ATTEMPTS: u32 = 8;

/// The schedule of a commit's attempts.
#[derive(Debug)]
pub(super) struct RetryBackoff {
    attempts: u32,
    /// Stretches each wait, for an instance that has few swaps left.
    pub(super) factor: u32,
    /// The time at which the head was last asked for.
    attempt_started: Instant,
    /// The duration of the last attempt, from asking for the head to the outcome of its swap; at first
    /// and at least 1 ms.
    pub(super) attempt: Duration,
    /// The next wait.
    pub(super) wait: Duration,
}

impl RetryBackoff {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            attempts: 0,
            factor: 1,
            attempt_started: now,
            attempt: Duration::from_millis(1),
            wait: Duration::ZERO,
        }
    }

    pub(super) const fn attempt_started(&mut self, now: Instant) {
        self.attempt_started = now;
    }

    pub(super) fn attempt_ended(&mut self, now: Instant) {
        let took = now.saturating_duration_since(self.attempt_started);
        self.attempt = took.max(Duration::from_millis(1));
    }

    /// Draws the next wait.
    pub(super) fn back_off(&mut self, store_failed: bool, random: u64) {
        let backoff = if store_failed { FAILED } else { LOST };
        let delay = backoff.delay(self.attempts, random);
        self.attempts = self.attempts.saturating_add(1);
        self.wait = delay.saturating_mul(self.factor).min(MAX_WAIT);
    }

    /// Returns whether a head may have forgotten, after the next wait, the outcome of a swap before it.
    pub(super) fn outlasts_recent_commits(&self) -> bool {
        self.wait > self.attempt.saturating_mul(REMEMBERED_ATTEMPTS)
    }
}
