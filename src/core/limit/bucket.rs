//! The stored part of the rate limits.

use std::time::Duration;

use super::{Rate, RateKey, RetryAfter};
use crate::core::time::Timestamp;

/// The largest number of keys in a bucket. Its value has 1 byte, and 16 for each.
pub const KEYS_PER_BUCKET: usize = 64;

/// The first byte of the value: its format.
const FORMAT: u8 = 1;

const ENTRY_BYTES: usize = 16;

/// The theoretical arrival times of some keys, under one key of the store.
///
/// The theoretical arrival time (TAT) of GCRA is the time at which all spent permits will have accrued
/// again. It lies in the past or at the present for a key that owes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcraBucket(Vec<Entry>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    hash: u64,
    /// In microseconds since 1970.
    theoretical_arrival: u64,
}

impl GcraBucket {
    /// Decodes a value. An unreadable one counts as empty: the limits in it begin anew.
    #[must_use]
    pub fn decode(value: &[u8]) -> Self {
        let Some((&FORMAT, entries)) = value.split_first() else {
            return Self::default();
        };
        let number = |bytes: &[u8]| {
            let bytes = bytes.iter().rev();
            bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        let entries = entries.chunks_exact(ENTRY_BYTES).map(|entry| {
            let (hash, theoretical_arrival) = entry.split_at(8);
            Entry {
                hash: number(hash),
                theoretical_arrival: number(theoretical_arrival),
            }
        });
        Self(entries.take(KEYS_PER_BUCKET).collect())
    }

    /// Encodes the value to store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let entries = self.0.iter();
        let bytes =
            entries.flat_map(|entry| [entry.hash, entry.theoretical_arrival].map(u64::to_le_bytes));
        std::iter::once(FORMAT).chain(bytes.flatten()).collect()
    }

    /// Takes `wanted` permits for `key`, or as many as there are.
    ///
    /// # Errors
    /// If there is none: the time until there is one.
    pub fn take(
        &mut self,
        key: RateKey,
        rate: Rate,
        wanted: u64,
        now: Timestamp,
    ) -> Result<u64, RetryAfter> {
        let now = now.0.saturating_mul(1_000);
        // No key owes more than the whole burst; a clock that was ahead may have stored more.
        let limit = now.saturating_add(rate.burst_micros());
        let arrival = self.theoretical_arrival(key, now).clamp(now, limit);
        let free = limit.saturating_sub(arrival);
        let permit = rate.permit_micros();
        match free.checked_div(permit).unwrap_or_default() {
            0 => {
                let millis = permit.saturating_sub(free).div_ceil(1_000).max(1);
                Err(RetryAfter(Duration::from_millis(millis)))
            }
            available => {
                let taken = wanted.clamp(1, available);
                self.put(
                    Entry {
                        hash: key.hash(),
                        theoretical_arrival: arrival.saturating_add(taken.saturating_mul(permit)),
                    },
                    now,
                );
                Ok(taken)
            }
        }
    }

    /// Returns the number of permits that [`GcraBucket::take`] could take for `key`.
    #[must_use]
    pub fn available(&self, key: RateKey, rate: Rate, now: Timestamp) -> u64 {
        let taken = self.clone().take(key, rate, rate.permits(), now);
        taken.unwrap_or_default()
    }

    fn theoretical_arrival(&self, key: RateKey, now: u64) -> u64 {
        match self.0.iter().find(|entry| entry.hash == key.hash()) {
            Some(entry) => entry.theoretical_arrival,
            None if self.has_room(now) => now,
            None => self
                .earliest()
                .map_or(now, |entry| entry.theoretical_arrival),
        }
    }

    fn has_room(&self, now: u64) -> bool {
        let owes_nothing = |entry: &Entry| entry.theoretical_arrival <= now;
        self.0.len() < KEYS_PER_BUCKET || self.0.iter().any(owes_nothing)
    }

    fn earliest(&self) -> Option<&Entry> {
        self.0.iter().min_by_key(|entry| entry.theoretical_arrival)
    }

    fn put(&mut self, new: Entry, now: u64) {
        self.0
            .retain(|entry| entry.hash != new.hash && entry.theoretical_arrival > now);
        if self.0.len() >= KEYS_PER_BUCKET {
            let earliest = self.earliest().copied();
            self.0.retain(|entry| Some(*entry) != earliest);
        }
        self.0.push(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn key(number: usize) -> RateKey {
        RateKey::publisher(&number.to_string())
    }

    fn rate(permits: u64, period_millis: u64) -> Rate {
        Rate::new(permits, Duration::from_millis(period_millis)).unwrap()
    }

    const fn retry_after(millis: u64) -> Result<u64, RetryAfter> {
        Err(RetryAfter(Duration::from_millis(millis)))
    }

    fn later(millis: u64) -> Timestamp {
        Timestamp(NOW.0 + millis)
    }

    #[test]
    fn a_burst_is_taken_at_once_and_later_permits_as_they_accrue() {
        let (mut bucket, rate, one) = (GcraBucket::default(), rate(4, 1_000), key(1));
        assert_eq!(bucket.take(one, rate, 3, NOW), Ok(3));
        assert_eq!(bucket.take(one, rate, 3, NOW), Ok(1));
        assert_eq!(bucket.take(one, rate, 1, NOW), retry_after(250));
        assert_eq!(bucket.take(one, rate, 1, later(249)), retry_after(1));
        assert_eq!(bucket.available(one, rate, later(249)), 0);
        assert_eq!(bucket.available(one, rate, later(500)), 2);
        assert_eq!(bucket.take(one, rate, 9, later(500)), Ok(2));
        assert_eq!(bucket.take(one, rate, 9, later(100_000)), Ok(4));
        assert_eq!(bucket.take(key(2), rate, 9, NOW), Ok(4));
    }

    #[test]
    fn a_clock_that_was_ahead_costs_one_period_at_most() {
        let (mut bucket, rate, one) = (GcraBucket::default(), rate(2, 1_000), key(1));
        assert_eq!(bucket.take(one, rate, 2, later(3_600_000)), Ok(2));
        assert_eq!(bucket.take(one, rate, 1, NOW), retry_after(500));
        assert_eq!(bucket.0.len(), 1);
    }

    #[test]
    fn a_flood_of_keys_fits_and_no_key_gains_by_it() {
        let (mut bucket, rate) = (GcraBucket::default(), rate(10, 10_000));
        let victim = key(0);
        assert_eq!(bucket.take(victim, rate, 10, NOW), Ok(10));
        // All owe something; each newcomer inherits the least debt.
        for number in 1..10_000 {
            let _ = bucket.take(key(number), rate, 1, NOW);
            assert!(bucket.encode().len() <= 1 + KEYS_PER_BUCKET * ENTRY_BYTES);
        }
        assert_eq!(bucket.take(victim, rate, 1, NOW), retry_after(1_000));
        // Once all debts have expired, they have for every key.
        assert_eq!(bucket.take(victim, rate, 10, later(10_000)), Ok(10));
        assert_eq!(bucket.0.len(), 1);
    }

    #[test]
    fn the_stored_bytes_are_as_documented() {
        let mut bucket = GcraBucket::default();
        bucket
            .take(key(1), rate(1, 1_000), 1, Timestamp(1))
            .unwrap();
        let mut expected = vec![1];
        expected.extend(key(1).hash().to_le_bytes());
        expected.extend(1_001_000_u64.to_le_bytes());
        assert_eq!(bucket.encode(), expected);
        expected[0] = 2;
        assert_eq!(GcraBucket::decode(&expected), GcraBucket::default());
    }

    proptest! {
        /// Property: any bytes decode to a bucket, and that survives a round trip.
        #[test]
        fn any_value_is_decoded(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let bucket = GcraBucket::decode(&bytes);
            prop_assert_eq!(GcraBucket::decode(&bucket.encode()), bucket);
        }

        /// Property: whatever other keys do in the bucket, no key takes more than the burst and the
        /// permits that accrue.
        #[test]
        fn no_key_takes_more_than_the_burst_and_the_accrued_permits(
            permits in 1_u64..50,
            takes in prop::collection::vec((0_usize..200, 1_u64..20, 0_u64..300), 1..400),
        ) {
            let rate = rate(permits, 1_000);
            let (mut bucket, mut now, mut taken) = (GcraBucket::default(), NOW, [0_u64; 200]);
            for (number, wanted, pause) in takes {
                now = Timestamp(now.0 + pause);
                taken[number] += bucket.take(key(number), rate, wanted, now).unwrap_or(0);
                let accrued = (now.0 - NOW.0) * permits / 1_000;
                prop_assert!(taken[number] <= permits + accrued, "{} of {accrued}", taken[number]);
            }
        }
    }
}
