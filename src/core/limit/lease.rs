//! The permits that an instance has taken and not yet spent.

use std::time::Duration;

use super::{Rate, RateKey, RetryAfter};
use crate::core::time::Instant;

/// The lifetime of a lease. Permits that have not been spent by its end are lost.
pub const LEASE: Duration = Duration::from_millis(250);

/// The largest number of leases in an instance. Dropping one costs its key the rest of its permits.
const MAX_LEASES: usize = 64;

/// The leases of an instance.
#[derive(Debug, Default)]
pub struct Leases(Vec<Lease>);

#[derive(Clone, Copy, Debug)]
struct Lease {
    key: RateKey,
    taken: u64,
    left: u64,
    /// The end of the lease.
    until: Instant,
    /// The key is refused without a call of the store until this time.
    refused_until: Instant,
}

impl Lease {
    /// Returns whether the lease is recent enough to predict how many permits the key will want.
    fn is_recent(&self, now: Instant) -> bool {
        now < self.until.max(self.refused_until.saturating_add(LEASE))
    }
}

/// The decision about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A permit of the lease was spent: the request is allowed.
    Allowed,
    /// The key is refused.
    Refused(RetryAfter),
    /// A lease of this many permits has to be taken out of the bucket first.
    TakeLease(u64),
}

impl Leases {
    /// Spends a permit if there is one.
    pub fn spend(&mut self, key: RateKey, rate: Rate, now: Instant) -> Decision {
        let Some(lease) = self.find(key) else {
            return Decision::TakeLease(1);
        };
        if let Some(left) = lease.left.checked_sub(1)
            && now < lease.until
        {
            lease.left = left;
            return Decision::Allowed;
        }
        if now < lease.refused_until {
            let wait = lease.refused_until.saturating_duration_since(now);
            return Decision::Refused(RetryAfter(wait));
        }
        Decision::TakeLease(if lease.is_recent(now) {
            lease.taken.saturating_mul(2).min(rate.max_lease())
        } else {
            1
        })
    }

    /// Stores a lease of `taken` permits out of the `wanted` ones, and spends one of them.
    pub fn granted(
        &mut self,
        key: RateKey,
        rate: Rate,
        (wanted, taken): (u64, u64),
        random: u64,
        now: Instant,
    ) {
        if taken < wanted.min(rate.max_lease()) {
            // The bucket is empty now. The key is not served permit by permit.
            self.refused(key, rate, RetryAfter(Duration::ZERO), random, now);
        } else {
            self.insert(
                Lease {
                    key,
                    taken,
                    left: 0,
                    until: now.saturating_add(LEASE),
                    refused_until: Instant(0),
                },
                now,
            );
        }
        if let Some(lease) = self.find(key) {
            lease.left = taken.saturating_sub(1);
        }
    }

    /// Stores a refusal, for a pause of the rate.
    pub fn refused(
        &mut self,
        key: RateKey,
        rate: Rate,
        wait: RetryAfter,
        random: u64,
        now: Instant,
    ) {
        self.insert(
            Lease {
                key,
                taken: rate.max_lease(),
                left: 0,
                until: now.saturating_add(LEASE),
                refused_until: now.saturating_add(rate.pause(wait, random)),
            },
            now,
        );
    }

    fn find(&mut self, key: RateKey) -> Option<&mut Lease> {
        self.0.iter_mut().find(|lease| lease.key == key)
    }

    fn insert(&mut self, lease: Lease, now: Instant) {
        self.0.retain(|other| other.key != lease.key);
        if self.0.len() >= MAX_LEASES {
            self.0.retain(|other| other.is_recent(now));
        }
        if self.0.len() >= MAX_LEASES {
            self.0.remove(0);
        }
        self.0.push(lease);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> RateKey {
        RateKey::publisher(&number.to_string())
    }

    const fn refused_for(millis: u64) -> Decision {
        Decision::Refused(RetryAfter(Duration::from_millis(millis)))
    }

    #[test]
    fn leases_double_while_they_are_spent_in_time() {
        let rate = Rate::new(100, Duration::from_millis(1_000)).unwrap();
        let (mut leases, one, now) = (Leases::default(), key(1), Instant(5));
        for expected in [1, 2, 4, 6, 6] {
            assert_eq!(leases.spend(one, rate, now), Decision::TakeLease(expected));
            leases.granted(one, rate, (expected, expected), 0, now);
            for _ in 1..expected {
                assert_eq!(leases.spend(one, rate, now), Decision::Allowed);
            }
        }
        leases.granted(one, rate, (6, 6), 0, now);
        let late = now.saturating_add(LEASE);
        assert_eq!(leases.spend(one, rate, late), Decision::TakeLease(1));
    }

    #[test]
    fn a_refusal_holds_for_its_time() {
        let rate = Rate::new(5, Duration::from_millis(1_000)).unwrap();
        let (mut leases, one) = (Leases::default(), key(1));
        let wait = RetryAfter(Duration::from_millis(300));
        leases.refused(one, rate, wait, 0, Instant(0));
        assert_eq!(leases.spend(one, rate, Instant(299)), refused_for(1));
        assert_eq!(
            leases.spend(one, rate, Instant(300)),
            Decision::TakeLease(1)
        );
    }

    #[test]
    fn the_last_permits_are_spent_and_followed_by_a_pause() {
        let rate = Rate::new(160, Duration::from_millis(1_600)).unwrap();
        let (mut leases, one) = (Leases::default(), key(1));
        leases.granted(one, rate, (10, 2), 0, Instant(0));
        assert_eq!(leases.spend(one, rate, Instant(0)), Decision::Allowed);
        assert_eq!(leases.spend(one, rate, Instant(0)), refused_for(100));
        assert_eq!(
            leases.spend(one, rate, Instant(100)),
            Decision::TakeLease(10)
        );
    }

    #[test]
    fn memory_is_bounded_however_many_keys_there_are() {
        let (mut leases, rate) = (
            Leases::default(),
            Rate::new(1, Duration::from_millis(1_000)).unwrap(),
        );
        for number in 0..10_000 {
            leases.granted(key(number), rate, (1, 1), 0, Instant(1));
            assert!(leases.0.len() <= MAX_LEASES);
        }
    }
}
