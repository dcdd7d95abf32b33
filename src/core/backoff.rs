//! Exponential backoff with jitter, the one used everywhere.

use std::num::NonZeroU64;
use std::time::Duration;

use super::time::millis;

/// A rule for the delay before each further attempt: it doubles from `first` to `max` and is then
/// randomised. Delays are whole milliseconds.
///
/// ```
/// # use std::time::Duration;
/// # use runnel::core::backoff::{Backoff, Jitter};
/// let first = Duration::from_millis(100);
/// let backoff = Backoff::new(first, Duration::from_millis(1_000), Jitter::Upward { percent: 50 });
/// assert_eq!(backoff.delay(0, 0), first);
/// assert_eq!(backoff.delay(2, 200), Duration::from_millis(600));
/// assert_eq!(backoff.delay(9, 0), Duration::from_millis(1_000));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    jitter: Jitter,
}

/// The range that the delay is drawn from, evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jitter {
    /// From the first delay to the doubled one: spreads writers that collide.
    Full,
    /// From half of the doubled delay to all of it.
    Equal,
    /// From the doubled delay to `percent` more: nobody returns before it.
    Upward {
        /// The width of the range, in percent of the doubled delay.
        percent: u32,
    },
}

impl Backoff {
    /// Creates a rule with delays from `first` to `max`, jitter excluded.
    #[must_use]
    pub const fn new(first: Duration, max: Duration, jitter: Jitter) -> Self {
        Self { first, max, jitter }
    }

    /// Returns the delay before attempt number `attempt`, counted from 0. `random` is any number.
    #[must_use]
    pub fn delay(&self, attempt: u32, random: u64) -> Duration {
        let first = millis(self.first);
        let doubled = first
            .saturating_mul(2_u64.saturating_pow(attempt))
            .min(millis(self.max));
        let (low, high) = match self.jitter {
            Jitter::Full => (first, doubled),
            Jitter::Equal => (doubled / 2, doubled),
            Jitter::Upward { percent } => {
                let extra = doubled.saturating_mul(u64::from(percent)) / 100;
                (doubled, doubled.saturating_add(extra))
            }
        };
        let span = NonZeroU64::MIN.saturating_add(high.saturating_sub(low));
        Duration::from_millis(low.saturating_add(random % span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn backoff(jitter: Jitter) -> Backoff {
        let (first, max) = (Duration::from_millis(10), Duration::from_millis(1_000));
        Backoff::new(first, max, jitter)
    }

    proptest! {
        /// Property: every delay lies in the range that its jitter promises.
        #[test]
        fn delays_stay_in_the_range_of_their_jitter(attempt in 0_u32..80, random: u64) {
            let doubled = 10_u64.saturating_mul(2_u64.saturating_pow(attempt)).min(1_000);
            let delay = |jitter| millis(backoff(jitter).delay(attempt, random));
            prop_assert!((10..=doubled).contains(&delay(Jitter::Full)));
            prop_assert!((doubled / 2..=doubled).contains(&delay(Jitter::Equal)));
            let upward = delay(Jitter::Upward { percent: 100 });
            prop_assert!((doubled..=doubled * 2).contains(&upward));
        }
    }

    #[test]
    fn the_whole_range_is_used() {
        let backoff = backoff(Jitter::Upward { percent: 50 });
        let delays = [0, 5, 6].map(|random| millis(backoff.delay(0, random)));
        assert_eq!(delays, [10, 15, 10]);
    }
}
