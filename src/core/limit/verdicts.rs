//! The latest verdicts of the stored buckets on keys that are counted after the fact.

use std::time::Duration;

use super::{LEASE, Rate, RateKey, RetryAfter};
use crate::core::time::Instant;

/// The largest number of verdicts in an instance. Dropping one costs a read of the store.
const MAX_VERDICTS: usize = 64;

/// The verdicts that an instance remembers, the oldest first.
#[derive(Debug, Default)]
pub struct Verdicts(Vec<Verdict>);

#[derive(Clone, Copy, Debug)]
struct Verdict {
    key: RateKey,
    is_refusal: bool,
    until: Instant,
}

impl Verdicts {
    /// Returns the rest of the time for which the key is refused; `None` if it is not, as far as the
    /// instance knows.
    #[must_use]
    pub fn refusal(&self, key: RateKey, now: Instant) -> Option<RetryAfter> {
        let verdict = self.find(key, now).filter(|verdict| verdict.is_refusal)?;
        let wait = verdict.until.saturating_duration_since(now);
        Some(RetryAfter(wait))
    }

    /// Returns whether there is a recent verdict on the key.
    #[must_use]
    pub fn has(&self, key: RateKey, now: Instant) -> bool {
        self.find(key, now).is_some()
    }

    /// Remembers that the key is within its rate, for the time of a lease.
    pub fn accepted(&mut self, key: RateKey, now: Instant) {
        self.insert(key, false, LEASE, now);
    }

    /// Remembers and returns a refusal of the key, for the shortest pause of the rate.
    pub fn refused(&mut self, key: RateKey, rate: Rate, random: u64, now: Instant) -> RetryAfter {
        let pause = rate.pause(RetryAfter(Duration::ZERO), random);
        self.insert(key, true, pause, now);
        RetryAfter(pause)
    }

    fn find(&self, key: RateKey, now: Instant) -> Option<&Verdict> {
        let mut verdicts = self.0.iter();
        verdicts.find(|verdict| verdict.key == key && now < verdict.until)
    }

    fn insert(&mut self, key: RateKey, is_refusal: bool, lasts: Duration, now: Instant) {
        self.0
            .retain(|verdict| verdict.key != key && now < verdict.until);
        if self.0.len() >= MAX_VERDICTS {
            self.0.remove(0);
        }
        self.0.push(Verdict {
            key,
            is_refusal,
            until: now.saturating_add(lasts),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> RateKey {
        RateKey::publisher(&number.to_string())
    }

    fn rate() -> Rate {
        Rate::new(160, Duration::from_millis(1_600)).unwrap()
    }

    #[test]
    fn a_refusal_is_known_until_it_ends() {
        let (mut verdicts, one) = (Verdicts::default(), key(1));
        assert_eq!(verdicts.refusal(one, Instant(0)), None);
        let refused = verdicts.refused(one, rate(), 0, Instant(0));
        assert_eq!(refused, RetryAfter(Duration::from_millis(100)));
        let rest = RetryAfter(Duration::from_millis(1));
        assert_eq!(verdicts.refusal(one, Instant(99)), Some(rest));
        assert_eq!(verdicts.refusal(key(2), Instant(99)), None);
        assert_eq!(verdicts.refusal(one, Instant(100)), None);
        assert!(!verdicts.has(one, Instant(100)));
    }

    #[test]
    fn a_key_within_its_rate_is_asked_about_again_after_the_time_of_a_lease() {
        let (mut verdicts, one) = (Verdicts::default(), key(1));
        verdicts.refused(one, rate(), 0, Instant(0));
        verdicts.accepted(one, Instant(5));
        assert_eq!(verdicts.refusal(one, Instant(5)), None);
        assert!(verdicts.has(one, Instant(254)) && !verdicts.has(one, Instant(255)));
    }

    #[test]
    fn memory_is_bounded_however_many_keys_there_are() {
        let mut verdicts = Verdicts::default();
        for number in 0..10_000 {
            verdicts.refused(key(number), rate(), 0, Instant(1));
            assert!(verdicts.0.len() <= MAX_VERDICTS);
        }
        assert!(verdicts.has(key(9_999), Instant(1)));
    }
}
