//! Many instances over one store: the law that no subject gets more than its rate.

use proptest::prelude::*;

use super::{Decision, GcraSlot, LEASE_MILLIS, Leases, Rate, RateKey};
use crate::core::time::{Instant, Timestamp};

const BEGINNING: u64 = 1_800_000_000_000;

/// An instance asks for a permit at a time, in milliseconds; whether it gets one.
fn ask(
    leases: &mut Leases,
    slot: &mut Vec<u8>,
    swaps: &mut u64,
    (subject, rate): (RateKey, Rate),
    at: u64,
    random: u64,
) -> bool {
    let monotonic = Instant(at);
    match leases.spend(subject, rate, monotonic) {
        Decision::Spent => true,
        Decision::Refused(_) => false,
        Decision::Take(wanted) => {
            let mut stored = GcraSlot::decode(slot);
            match stored.take(subject, rate, wanted, Timestamp(BEGINNING + at)) {
                Ok(taken) => {
                    *slot = stored.encode();
                    *swaps += 1;
                    leases.leased(subject, rate, (wanted, taken), random, monotonic);
                    true
                }
                Err(millis) => {
                    leases.refused(subject, rate, millis, random, monotonic);
                    false
                }
            }
        }
    }
}

/// The most requests allowed in any time of `span` milliseconds.
fn most_within(span: u64, allowed: &[u64]) -> u64 {
    let most = allowed.iter().enumerate().map(|(first, start)| {
        let end = allowed.partition_point(|at| *at < start + span);
        (end - first) as u64
    });
    most.max().unwrap_or(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Law: in any time, never more than the burst, what is earned, and what was leased just before.
    #[test]
    fn no_number_of_instances_exceeds_the_rate(
        permits in 1_u64..400,
        period in prop_oneof![Just(1_000_u64), Just(60_000), 50_u64..5_000],
        asks in prop::collection::vec((0_usize..40, 0_u64..20), 100..3_000),
    ) {
        let rate = Rate::new(permits, period).unwrap();
        let subject = RateKey::publisher("one");
        let mut instances: Vec<_> = (0..40).map(|_| Leases::default()).collect();
        let (mut slot, mut swaps, mut now, mut allowed) = (vec![], 0, 0, vec![]);
        for (instance, pause) in asks {
            now += pause;
            // Some come in crowds.
            for _ in 0..=pause % 7 {
                let random = now * 31 + instance as u64;
                if ask(&mut instances[instance], &mut slot, &mut swaps, (subject, rate), now, random) {
                    allowed.push(now);
                }
            }
        }
        for span in [1, 10, 100, 1_000, 10_000] {
            let limit = permits + permits * (span + LEASE_MILLIS) / period + 1;
            let most = most_within(span, &allowed);
            prop_assert!(most <= limit, "{most} in {span} ms, of {limit}");
        }
    }
}

#[test]
fn a_steady_flood_gets_the_rate_at_a_small_cost() {
    let (rate, subject) = (Rate::new(1_000, 1_000).unwrap(), RateKey::publisher("one"));
    let mut instances: Vec<_> = (0..8).map(|_| Leases::default()).collect();
    let (mut slot, mut swaps, mut allowed) = (vec![], 0, 0_u64);
    for at in 0..10_000 {
        for leases in &mut instances {
            allowed += u64::from(ask(leases, &mut slot, &mut swaps, (subject, rate), at, 0));
        }
    }
    // 10 s of 1 000 permits and the burst; what is leased and not spent is lost.
    assert!((9_500..=11_000).contains(&allowed), "{allowed}");
    println!("{allowed} of 80000 requests allowed, {swaps} swaps");
    assert!(swaps <= 2_000, "{swaps}");
}

/// What is allowed of a client's flood in a minute by so many instances, when slots are read and
/// written `pause` milliseconds later, as they are for subscribers.
fn allowed_unsafely(instances: usize, pause: u64, rate: Rate) -> u64 {
    let subject = RateKey::publisher("one");
    let mut instances: Vec<_> = (0..instances).map(|_| Leases::default()).collect();
    let (mut slot, mut writes, mut allowed) = (vec![], vec![], 0);
    let mut numbers = fastrand::Rng::with_seed(1);
    for at in 0..60_000 {
        let due = |(time, _): &(u64, Vec<u8>)| *time <= at;
        for (_, value) in writes.extract_if(.., |write| due(write)) {
            slot = value;
        }
        for leases in &mut instances {
            let mut seen = slot.clone();
            let asked = ask(
                leases,
                &mut seen,
                &mut 0,
                (subject, rate),
                at,
                numbers.u64(..),
            );
            allowed += u64::from(asked);
            if seen != slot {
                writes.push((at + pause, seen));
            }
        }
    }
    allowed
}

#[test]
fn without_a_swap_instances_that_decide_in_the_same_moment_count_as_one() {
    let rate = Rate::new(60, 60_000).unwrap();
    assert!(allowed_unsafely(1, 2, rate) <= 121);
    for instances in [2, 4, 16] {
        let allowed = allowed_unsafely(instances, 2, rate);
        println!("{instances} instances allow {allowed} where one allows up to 120");
        assert!(allowed <= 121 * instances as u64, "{allowed}");
    }
}

#[test]
fn a_publisher_below_its_rate_is_never_refused() {
    let (rate, subject) = (Rate::new(100, 1_000).unwrap(), RateKey::publisher("one"));
    let mut instances: Vec<_> = (0..30).map(|_| Leases::default()).collect();
    let (mut slot, mut swaps) = (vec![], 0);
    // 50 a second, each by another instance.
    for number in 0..5_000 {
        let leases = &mut instances[number % 30];
        let at = number as u64 * 20;
        assert!(
            ask(leases, &mut slot, &mut swaps, (subject, rate), at, 0),
            "{number}"
        );
    }
}
