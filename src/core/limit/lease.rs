//! What an instance has taken and not yet spent.

use std::num::NonZeroU64;

use super::{Rate, RateKey};
use crate::core::time::Instant;

/// How long a lease lasts, in milliseconds. What has not been spent by then is lost.
pub const LEASE_MILLIS: u64 = 250;

/// The most leases that an instance remembers. To forget one costs its subject what is left of it.
const MANY_LEASES: usize = 64;

/// The leases of an instance.
#[derive(Debug, Default)]
pub struct Leases(Vec<Lease>);

#[derive(Clone, Copy, Debug)]
struct Lease {
    subject: RateKey,
    taken: u64,
    left: u64,
    /// Until then, what is left can be spent.
    until: Instant,
    /// Before this there is no use in asking.
    refused_until: Instant,
}

impl Lease {
    /// Whether it still says how many permits the subject will want.
    fn is_recent(&self, now: Instant) -> bool {
        now < self.until.max(self.refused_until.after(LEASE_MILLIS))
    }
}

/// What an instance does about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A permit of its lease was spent: the request is allowed.
    Spent,
    /// There will be no permit before so many milliseconds have passed.
    Refused(u64),
    /// It has to take a lease of so many permits out of the subject's slot.
    Take(u64),
}

impl Leases {
    /// Spends a permit if there is one.
    pub fn spend(&mut self, subject: RateKey, rate: Rate, now: Instant) -> Decision {
        let Some(lease) = self.of(subject) else {
            return Decision::Take(1);
        };
        if let Some(left) = lease.left.checked_sub(1)
            && now < lease.until
        {
            lease.left = left;
            return Decision::Spent;
        }
        if now < lease.refused_until {
            return Decision::Refused(lease.refused_until.since(now));
        }
        Decision::Take(match lease.is_recent(now) {
            true => lease.taken.saturating_mul(2).min(rate.largest_lease()),
            // The last one was too much, or long ago.
            false => 1,
        })
    }

    /// Takes note of a lease of `taken` permits, when `wanted` were asked for, and spends one of it.
    pub fn leased(
        &mut self,
        subject: RateKey,
        rate: Rate,
        (wanted, taken): (u64, u64),
        random: u64,
        now: Instant,
    ) {
        if taken < wanted.min(rate.largest_lease()) {
            // There were no more. Whoever asks again and again is not to be served one by one.
            self.refused(subject, rate, 0, random, now);
        } else {
            self.remember(
                Lease {
                    subject,
                    taken,
                    left: 0,
                    until: now.after(LEASE_MILLIS),
                    refused_until: Instant(0),
                },
                now,
            );
        }
        if let Some(lease) = self.of(subject) {
            lease.left = taken.saturating_sub(1);
        }
    }

    /// Takes note that there is none for so many milliseconds. A subject that wants more than there
    /// is pays for what asking costs: it is refused until a large lease has been earned, and somewhat
    /// longer: `random`, any number, keeps instances from asking together.
    pub fn refused(
        &mut self,
        subject: RateKey,
        rate: Rate,
        millis: u64,
        random: u64,
        now: Instant,
    ) {
        let wait = millis.max(rate.largest_lease_millis());
        let refused_until =
            now.after(wait.saturating_add(random % NonZeroU64::MIN.saturating_add(wait / 2)));
        self.remember(
            Lease {
                subject,
                taken: rate.largest_lease(),
                left: 0,
                until: now.after(LEASE_MILLIS),
                refused_until,
            },
            now,
        );
    }

    fn of(&mut self, subject: RateKey) -> Option<&mut Lease> {
        self.0.iter_mut().find(|lease| lease.subject == subject)
    }

    fn remember(&mut self, lease: Lease, now: Instant) {
        self.0.retain(|other| other.subject != lease.subject);
        if self.0.len() >= MANY_LEASES {
            self.0.retain(|other| other.is_recent(now));
        }
        if self.0.len() >= MANY_LEASES {
            self.0.remove(0);
        }
        self.0.push(lease);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(number: usize) -> RateKey {
        RateKey::publisher(&number.to_string())
    }

    #[test]
    fn leases_double_while_they_are_used_up_in_time() {
        let rate = Rate::new(100, 1_000).unwrap();
        let (mut leases, one, now) = (Leases::default(), subject(1), Instant(5));
        for expected in [1, 2, 4, 6, 6] {
            assert_eq!(leases.spend(one, rate, now), Decision::Take(expected));
            leases.leased(one, rate, (expected, expected), 0, now);
            for _ in 1..expected {
                assert_eq!(leases.spend(one, rate, now), Decision::Spent);
            }
        }
        leases.leased(one, rate, (6, 6), 0, now);
        let late = now.after(LEASE_MILLIS);
        assert_eq!(leases.spend(one, rate, late), Decision::Take(1));
    }

    #[test]
    fn a_refusal_is_remembered_until_its_time() {
        let rate = Rate::new(5, 1_000).unwrap();
        let (mut leases, one) = (Leases::default(), subject(1));
        leases.refused(one, rate, 300, 0, Instant(0));
        assert_eq!(leases.spend(one, rate, Instant(299)), Decision::Refused(1));
        assert_eq!(leases.spend(one, rate, Instant(300)), Decision::Take(1));
    }

    #[test]
    fn what_was_left_is_spent_and_followed_by_a_pause() {
        let rate = Rate::new(160, 1_600).unwrap();
        let (mut leases, one) = (Leases::default(), subject(1));
        leases.leased(one, rate, (10, 2), 0, Instant(0));
        assert_eq!(leases.spend(one, rate, Instant(0)), Decision::Spent);
        assert_eq!(leases.spend(one, rate, Instant(0)), Decision::Refused(100));
        assert_eq!(leases.spend(one, rate, Instant(100)), Decision::Take(10));
    }

    #[test]
    fn ten_thousand_subjects_do_not_fill_the_memory() {
        let (mut leases, rate) = (Leases::default(), Rate::new(1, 1_000).unwrap());
        for number in 0..10_000 {
            leases.leased(subject(number), rate, (1, 1), 0, Instant(1));
            assert!(leases.0.len() <= MANY_LEASES);
        }
    }
}
