//! The reconnection time a stream asks of its client (WHATWG HTML 9.2.6, field `retry`).

use std::num::NonZeroU64;

/// No client is asked to stay away longer than this, jitter excluded: 60 s.
pub const MAX_RECONNECTION_MILLIS: u64 = 60_000;

/// The reconnection time for one connection, in milliseconds.
///
/// `base_millis` doubles with each step of `pressure` (0 in good times, more while the store fails
/// or the instance is loaded) up to [`MAX_RECONNECTION_MILLIS`], and `random`, any number, spreads
/// the result evenly over the same span again. Clients that were cut off together so come back
/// apart, and none sooner than the base.
///
/// ```
/// # use runnel::core::sse::reconnection_millis;
/// assert_eq!(reconnection_millis(2_000, 0, 0), 2_000);
/// assert_eq!(reconnection_millis(2_000, 0, 2_000), 4_000);
/// assert_eq!(reconnection_millis(2_000, 3, 0), 16_000);
/// ```
#[must_use]
pub fn reconnection_millis(base_millis: u64, pressure: u32, random: u64) -> u64 {
    let doubled = base_millis.saturating_mul(1_u64.checked_shl(pressure).unwrap_or(u64::MAX));
    let floor = doubled.min(MAX_RECONNECTION_MILLIS.max(base_millis));
    floor.saturating_add(random % NonZeroU64::MIN.saturating_add(floor))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Law: never below the base, never above twice the capped base.
        #[test]
        fn stays_between_the_floor_and_twice_the_floor(
            base in 1_u64..100_000, pressure in 0_u32..80, random: u64,
        ) {
            let millis = reconnection_millis(base, pressure, random);
            prop_assert!(millis >= base);
            prop_assert!(millis <= 2 * base.max(MAX_RECONNECTION_MILLIS));
        }
    }

    #[test]
    fn no_number_overflows() {
        assert_eq!(reconnection_millis(0, 0, u64::MAX), 0);
        assert_eq!(reconnection_millis(u64::MAX, 200, u64::MAX), u64::MAX);
    }

    #[test]
    fn spreads_evenly_over_the_span() {
        let mut thirds = [0_u32; 3];
        for random in 0..3_003_u64 {
            let extra = reconnection_millis(1_000, 0, random) - 1_000;
            thirds[usize::try_from(extra * 3 / 1_001).unwrap()] += 1;
        }
        assert!(
            thirds.iter().all(|&n| (990..=1_011).contains(&n)),
            "{thirds:?}"
        );
    }
}
