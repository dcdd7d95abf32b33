//! What the store keeps of those who are limited.

use super::{Rate, RateKey};
use crate::core::time::Timestamp;

/// The most subjects in a slot. Its value has 1 byte, and 16 for each.
pub const SUBJECTS_PER_SLOT: usize = 64;

/// The first byte of the value: its format.
const FORMAT: u8 = 1;

const ENTRY_BYTES: usize = 16;

/// Some subjects, and when each will have earned back all it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcraSlot(Vec<Entry>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    hash: u64,
    /// Microseconds since 1970.
    earned: u64,
}

impl GcraSlot {
    /// Reads a value. One that cannot be read is as good as none: what it limits begins anew.
    #[must_use]
    pub fn decode(value: &[u8]) -> Self {
        let Some((&FORMAT, entries)) = value.split_first() else {
            return Self::default();
        };
        let number = |bytes: &[u8]| {
            let numbers = bytes.iter().rev();
            numbers.fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        let entries = entries.chunks_exact(ENTRY_BYTES).map(|entry| {
            let (hash, earned) = entry.split_at(8);
            Entry {
                hash: number(hash),
                earned: number(earned),
            }
        });
        Self(entries.take(SUBJECTS_PER_SLOT).collect())
    }

    /// The value to store.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let entries = self.0.iter();
        let bytes = entries.flat_map(|entry| [entry.hash, entry.earned].map(u64::to_le_bytes));
        std::iter::once(FORMAT).chain(bytes.flatten()).collect()
    }

    /// Takes `wanted` permits for `subject`, or as many as there are.
    ///
    /// # Errors
    /// If there is none: in how many milliseconds there will be one.
    pub fn take(
        &mut self,
        subject: RateKey,
        rate: Rate,
        wanted: u64,
        now: Timestamp,
    ) -> Result<u64, u64> {
        let now = now.0.saturating_mul(1_000);
        // Nobody owes more than everything; a clock that was ahead may have said so.
        let most = now.saturating_add(rate.full_micros());
        let owed = self.earned(subject, now).clamp(now, most);
        let free = most.saturating_sub(owed);
        let permit = rate.permit_micros();
        match free.checked_div(permit).unwrap_or_default() {
            0 => Err(permit.saturating_sub(free).div_ceil(1_000).max(1)),
            left => {
                let taken = wanted.clamp(1, left);
                let earned = owed.saturating_add(taken.saturating_mul(permit));
                self.put(subject, earned, now);
                Ok(taken)
            }
        }
    }

    fn earned(&self, subject: RateKey, now: u64) -> u64 {
        match self.0.iter().find(|entry| entry.hash == subject.hash()) {
            Some(entry) => entry.earned,
            None if self.has_room(now) => now,
            None => self.least().map_or(now, |entry| entry.earned),
        }
    }

    fn has_room(&self, now: u64) -> bool {
        self.0.len() < SUBJECTS_PER_SLOT || self.0.iter().any(|entry| entry.earned <= now)
    }

    fn least(&self) -> Option<&Entry> {
        self.0.iter().min_by_key(|entry| entry.earned)
    }

    fn put(&mut self, subject: RateKey, earned: u64, now: u64) {
        let hash = subject.hash();
        self.0
            .retain(|entry| entry.hash != hash && entry.earned > now);
        if self.0.len() >= SUBJECTS_PER_SLOT {
            let least = self.least().copied();
            self.0.retain(|entry| Some(*entry) != least);
        }
        self.0.push(Entry { hash, earned });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn subject(number: usize) -> RateKey {
        RateKey::publisher(&number.to_string())
    }

    fn rate(permits: u64, period_millis: u64) -> Rate {
        Rate::new(permits, period_millis).unwrap()
    }

    fn later(millis: u64) -> Timestamp {
        Timestamp(NOW.0 + millis)
    }

    #[test]
    fn a_burst_is_taken_at_once_and_then_what_is_earned() {
        let (mut slot, rate, one) = (GcraSlot::default(), rate(4, 1_000), subject(1));
        assert_eq!(slot.take(one, rate, 3, NOW), Ok(3));
        assert_eq!(slot.take(one, rate, 3, NOW), Ok(1));
        assert_eq!(slot.take(one, rate, 1, NOW), Err(250));
        assert_eq!(slot.take(one, rate, 1, later(249)), Err(1));
        assert_eq!(slot.take(one, rate, 9, later(500)), Ok(2));
        assert_eq!(slot.take(one, rate, 9, later(100_000)), Ok(4));
        assert_eq!(slot.take(subject(2), rate, 9, NOW), Ok(4));
    }

    #[test]
    fn a_clock_that_was_ahead_costs_one_period_at_most() {
        let (mut slot, rate, one) = (GcraSlot::default(), rate(2, 1_000), subject(1));
        assert_eq!(slot.take(one, rate, 2, later(3_600_000)), Ok(2));
        assert_eq!(slot.take(one, rate, 1, NOW), Err(500));
        assert_eq!(slot.0.len(), 1);
    }

    #[test]
    fn a_flood_of_subjects_fits_and_nobody_gets_more_for_it() {
        let (mut slot, rate) = (GcraSlot::default(), rate(10, 10_000));
        let victim = subject(0);
        assert_eq!(slot.take(victim, rate, 10, NOW), Ok(10));
        // All owe something; each newcomer takes over the least that is owed.
        for number in 1..10_000 {
            let _ = slot.take(subject(number), rate, 1, NOW);
            assert!(slot.encode().len() <= 1 + SUBJECTS_PER_SLOT * ENTRY_BYTES);
        }
        assert_eq!(slot.take(victim, rate, 1, NOW), Err(1_000));
        // When everything is earned back, so it is for all.
        assert_eq!(slot.take(victim, rate, 10, later(10_000)), Ok(10));
        assert_eq!(slot.0.len(), 1);
    }

    #[test]
    fn the_value_is_small_and_of_a_known_format() {
        let mut slot = GcraSlot::default();
        slot.take(subject(1), rate(1, 1_000), 1, Timestamp(1))
            .unwrap();
        let mut expected = vec![1];
        expected.extend(subject(1).hash().to_le_bytes());
        expected.extend(1_001_000_u64.to_le_bytes());
        assert_eq!(slot.encode(), expected);
        expected[0] = 2;
        assert_eq!(GcraSlot::decode(&expected), GcraSlot::default());
    }

    proptest! {
        /// Law: any bytes are a slot, which is read back as it was written.
        #[test]
        fn any_value_is_read(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let slot = GcraSlot::decode(&bytes);
            prop_assert_eq!(GcraSlot::decode(&slot.encode()), slot);
        }

        /// Law: whatever others do in the slot, nobody takes more than the burst and what is earned.
        #[test]
        fn nobody_takes_more_than_the_burst_and_what_is_earned(
            permits in 1_u64..50,
            takes in prop::collection::vec((0_usize..200, 1_u64..20, 0_u64..300), 1..400),
        ) {
            let rate = rate(permits, 1_000);
            let (mut slot, mut now, mut taken) = (GcraSlot::default(), NOW, [0_u64; 200]);
            for (who, wanted, pause) in takes {
                now = Timestamp(now.0 + pause);
                taken[who] += slot.take(subject(who), rate, wanted, now).unwrap_or(0);
                let earned = (now.0 - NOW.0) * permits / 1_000;
                prop_assert!(taken[who] <= permits + earned, "{} of {}", taken[who], earned);
            }
        }
    }
}
