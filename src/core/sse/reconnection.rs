//! The reconnection time of a stream (WHATWG HTML 9.2.6, field `retry`).

use std::time::Duration;

use crate::core::backoff::{Backoff, Jitter};

/// The longest reconnection time, before jitter is added, unless the configured base is longer.
pub const MAX_RECONNECTION_TIME: Duration = Duration::from_secs(60);

/// Returns the reconnection time for one connection: exponential backoff with jitter.
///
/// `base` doubles with each step of `pressure`, up to [`MAX_RECONNECTION_TIME`]. `pressure` is 0 in
/// normal operation and rises while the store fails or the instance is overloaded. `random`, any
/// number, adds up to the same time again, evenly distributed. So clients that were disconnected
/// together reconnect at different times, and none earlier than `base`.
///
/// ```
/// # use std::time::Duration;
/// # use runnel::core::sse::reconnection_time;
/// let base = Duration::from_secs(2);
/// assert_eq!(reconnection_time(base, 0, 0), Duration::from_secs(2));
/// assert_eq!(reconnection_time(base, 0, 2_000), Duration::from_secs(4));
/// assert_eq!(reconnection_time(base, 3, 0), Duration::from_secs(16));
/// ```
#[must_use]
pub fn reconnection_time(base: Duration, pressure: u32, random: u64) -> Duration {
    let max = MAX_RECONNECTION_TIME.max(base);
    Backoff::new(base, max, Jitter::Upward { percent: 100 }).delay(pressure, random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Property: the time is never below the base, and never above twice the capped base.
        #[test]
        fn the_time_is_between_the_base_and_twice_the_cap(
            base in 1_u64..100_000, pressure in 0_u32..80, random: u64,
        ) {
            let base = Duration::from_millis(base);
            let time = reconnection_time(base, pressure, random);
            prop_assert!(time >= base);
            prop_assert!(time <= 2 * base.max(MAX_RECONNECTION_TIME));
        }
    }

    #[test]
    fn no_input_overflows() {
        assert_eq!(
            reconnection_time(Duration::ZERO, 0, u64::MAX),
            Duration::ZERO
        );
        let longest = Duration::from_millis(u64::MAX);
        for base in [longest, Duration::MAX] {
            assert_eq!(reconnection_time(base, 200, u64::MAX), longest);
        }
    }

    #[test]
    fn jitter_is_evenly_distributed() {
        let base = Duration::from_secs(1);
        let mut thirds = [0_u32; 3];
        for random in 0..3_003_u64 {
            let jitter = (reconnection_time(base, 0, random) - base).as_millis();
            thirds[usize::try_from(jitter * 3 / 1_001).unwrap()] += 1;
        }
        assert!(
            thirds.iter().all(|&n| (990..=1_011).contains(&n)),
            "{thirds:?}"
        );
    }
}
