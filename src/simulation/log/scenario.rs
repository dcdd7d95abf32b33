//! The actors of a schedule, and its conditions.

use std::time::Duration;

use super::super::{Conditions, Outages};
use crate::core::log::Retention;

/// The beginning of a schedule.
pub(super) struct Scenario {
    pub(super) publishers: Vec<PublisherPlan>,
    pub(super) subscribers: usize,
    /// The part of the log that publishers keep.
    pub(super) retention: Retention,
    /// The part of the log that subscribers get.
    pub(super) served: Retention,
    pub(super) conditions: Conditions,
}

/// The behaviour of a publisher.
#[derive(Clone, Copy)]
pub(super) struct PublisherPlan {
    pub(super) purges: bool,
    /// The number of rounds; in each it publishes a few batches at once, or purges.
    pub(super) rounds: u32,
    pub(super) habits: Habits,
}

/// The size of a publisher's events, and the frequency of its rare actions.
#[derive(Clone, Copy)]
pub(super) struct Habits {
    /// The size that most events stay below.
    pub(super) bytes: usize,
    /// One event in this many has [`LARGE_BYTES`].
    pub(super) large_one_in: u32,
    /// One batch in this many closes the channel.
    pub(super) closes_one_in: u32,
    /// A purger purges at least this often, in milliseconds.
    pub(super) purge_millis: u64,
}

/// More than a segment, so that such an event is a segment of its own.
pub(super) const LARGE_BYTES: usize = 17_000;

impl Habits {
    /// Everything happens within a few commits.
    const VARIED: Self = Self {
        bytes: 3_000,
        large_one_in: 8,
        closes_one_in: 100,
        purge_millis: 3_000,
    };
}

impl Scenario {
    /// Draws a short schedule of one of many kinds.
    pub(super) fn draw(random: &mut fastrand::Rng) -> Self {
        let mut plan = |purges, rounds| PublisherPlan {
            purges,
            rounds: random.u32(rounds),
            habits: Habits::VARIED,
        };
        let mut publishers: Vec<_> = (0..4).map(|_| plan(false, 5..=25)).collect();
        publishers.push(plan(true, 1..=3));
        if random.bool() {
            publishers.pop();
        }
        publishers.drain(..random.usize(0..=2));
        let subscribers = random.usize(1..=3);
        let mut sometimes = |number: u64, otherwise| if random.bool() { number } else { otherwise };
        let retention = Retention {
            events: sometimes(20, 1_000_000),
            bytes: sometimes(100_000, 1 << 40),
            max_age: match sometimes(1, 0) {
                0 => None,
                seconds => Some(Duration::from_secs(seconds)),
            },
        };
        let outages = (random.u8(..4) == 0).then(|| Outages {
            begin: 1_000_000 + random.u64(..3_000),
            length: random.u64(..15_000),
            every: u64::MAX,
        });
        Self {
            publishers,
            subscribers,
            retention,
            served: retention,
            conditions: Conditions {
                outages,
                ..Conditions::ROUGH
            },
        }
    }
}
