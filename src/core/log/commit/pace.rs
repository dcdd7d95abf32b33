//! How long a commit waits between its attempts.

use crate::core::time::Instant;

/// The first and the longest wait before a lost swap is tried again.
const BACKOFF_MILLIS: (u64, u64) = (1, 32);

/// The longest wait once the store has failed: dozens of instances may be at it.
const FAILED_MILLIS: u64 = 512;

/// No wait is longer, with whatever restraint: 1 s.
const MAX_REST_MILLIS: u64 = 1_000;

/// What became of a swap is found out before a wait that is longer than so many attempts: a head
/// remembers the last [`RECENT_COMMITS`](super::RECENT_COMMITS), and others may be faster.
const REMEMBERED_ATTEMPTS: u64 = 8;

/// The pace of a commit's attempts.
#[derive(Debug)]
pub(super) struct RetryBackoff {
    attempts: u32,
    /// Each wait is so many times as long.
    pub(super) restraint: u64,
    /// When the head was last asked for.
    asked: Instant,
    /// How long the last attempt took, from asking for the head to the outcome of its swap; at first
    /// and at least 1 ms.
    pub(super) attempt_millis: u64,
    /// The next wait.
    pub(super) rest_millis: u64,
}

impl RetryBackoff {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            attempts: 0,
            restraint: 1,
            asked: now,
            attempt_millis: 1,
            rest_millis: 0,
        }
    }

    /// The head is asked for.
    pub(super) const fn asked(&mut self, now: Instant) {
        self.asked = now;
    }

    /// The outcome of a swap is there.
    pub(super) fn answered(&mut self, now: Instant) {
        self.attempt_millis = now.since(self.asked).max(1);
    }

    /// Chooses the next wait, from a range that doubles with each attempt.
    pub(super) fn slow_down(&mut self, failed: bool, random: &mut fastrand::Rng) {
        let (shortest, lost) = BACKOFF_MILLIS;
        let longest = if failed { FAILED_MILLIS } else { lost };
        let longest = longest.min(shortest.saturating_mul(2_u64.saturating_pow(self.attempts)));
        self.attempts = self.attempts.saturating_add(1);
        let millis = random.u64(shortest..=longest);
        self.rest_millis = MAX_REST_MILLIS.min(millis.saturating_mul(self.restraint));
    }

    /// Whether a head may have forgotten after the next wait what became of a swap before it.
    pub(super) const fn outlasts_a_head(&self) -> bool {
        self.rest_millis > self.attempt_millis.saturating_mul(REMEMBERED_ATTEMPTS)
    }
}
