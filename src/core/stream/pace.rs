//! When to look for news: often after activity, seldom when idle, later and later when the store
//! fails.
//!
//! Streams look at common ticks, the multiples of their interval, and intervals double; so those
//! of a channel look together, and one read of the head serves them all.

use std::num::NonZeroU64;

use crate::core::time::Instant;

/// An idle stream looks again after this fraction of the time it has been idle.
const IDLE_FRACTION: u64 = 50;

/// The first and the longest wait after an error of the store, jitter excluded, in milliseconds.
const BACKOFF_MILLIS: (u64, u64) = (50, 5_000);

/// The rhythm of reading the head.
#[derive(Debug)]
pub(super) struct PollSchedule {
    shortest: u64,
    longest: u64,
    active: Instant,
    due: Instant,
}

impl PollSchedule {
    /// Due at once.
    pub(super) fn new((shortest, longest): (u64, u64), now: Instant) -> Self {
        Self {
            shortest,
            longest,
            active: now,
            due: now,
        }
    }

    /// Events were delivered.
    pub(super) fn delivered(&mut self, now: Instant) {
        self.active = now;
        self.due = self.due.min(tick_after(now, self.shortest));
    }

    /// The head was read.
    pub(super) fn polled(&mut self, now: Instant) {
        let idle = now.since(self.active) / IDLE_FRACTION;
        let mut interval = self.shortest;
        while interval < self.longest && interval.saturating_mul(2) <= idle {
            interval = interval.saturating_mul(2);
        }
        if idle >= self.longest {
            interval = self.longest;
        }
        self.due = tick_after(now, interval);
    }

    /// The head is due at this time.
    pub(super) fn poll_at(&mut self, at: Instant) {
        self.due = at;
    }

    pub(super) fn due(&self) -> Instant {
        self.due
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        now >= self.due
    }

    /// A head read later than this was read in the tick that is due.
    pub(super) fn before_due(&self) -> Instant {
        Instant(self.due.0.saturating_sub(1))
    }
}

/// The first multiple of `interval` after `now`.
fn tick_after(now: Instant, interval: u64) -> Instant {
    let interval = NonZeroU64::new(interval).unwrap_or(NonZeroU64::MIN);
    let ticks = (now.0 / interval).saturating_add(1);
    Instant(ticks.saturating_mul(interval.get()))
}

/// How long the store has been failing.
#[derive(Debug)]
pub(super) struct StoreBackoff {
    random: fastrand::Rng,
    since: Option<Instant>,
    attempts: u32,
    until: Instant,
}

impl StoreBackoff {
    pub(super) fn new(random: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(random),
            since: None,
            attempts: 0,
            until: Instant(0),
        }
    }

    /// The store failed; says when to try again: after a random time that doubles on average.
    pub(super) fn again(&mut self, now: Instant) -> Instant {
        self.since.get_or_insert(now);
        let (shortest, longest) = BACKOFF_MILLIS;
        let wait = longest.min(shortest.saturating_mul(2_u64.saturating_pow(self.attempts)));
        self.attempts = self.attempts.saturating_add(1);
        self.until = now.after(self.random.u64(wait / 2..=wait));
        self.until
    }

    /// The store works.
    pub(super) fn over(&mut self) {
        self.since = None;
        self.attempts = 0;
        self.until = Instant(0);
    }

    /// Whether it is too early to try again.
    pub(super) fn is_waiting(&self, now: Instant) -> bool {
        now < self.until
    }

    /// `at`, or later if it is too early to try again then.
    pub(super) fn not_before(&self, at: Instant) -> Instant {
        at.max(self.until)
    }

    /// When patience ends.
    pub(super) fn ends(&self, patience_millis: u64) -> Option<Instant> {
        self.since.map(|since| since.after(patience_millis))
    }
}
