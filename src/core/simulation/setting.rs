//! Who takes part in a schedule, and under what conditions.

use super::publisher::{Habits, Publisher};
use crate::core::log::Retention;

/// What a schedule begins with.
pub(super) struct Setting {
    pub(super) publishers: Vec<Publisher>,
    pub(super) subscribers: usize,
    pub(super) retention: Retention,
    pub(super) outages: Outages,
}

/// Times in which every call of the store fails. All in milliseconds.
pub(super) struct Outages {
    pub(super) begin: u64,
    pub(super) length: u64,
    /// From the beginning of one to that of the next.
    pub(super) every: u64,
}

impl Outages {
    pub(super) const fn contain(&self, now: u64) -> bool {
        now >= self.begin && (now - self.begin) % self.every < self.length
    }
}

impl Setting {
    /// A short schedule of one of many kinds.
    pub(super) fn drawn(random: &mut fastrand::Rng) -> Self {
        let count = random.usize(2..=4);
        let mut publishers: Vec<_> = (0..count)
            .map(|name| Publisher::new(name, false, random.u32(5..=25), Habits::OF_MANY_KINDS))
            .collect();
        if random.bool() {
            let purger = Publisher::new(count, true, random.u32(1..=3), Habits::OF_MANY_KINDS);
            publishers.push(purger);
        }
        let subscribers = random.usize(1..=3);
        let mut sometimes = |number: u64, otherwise| if random.bool() { number } else { otherwise };
        let retention = Retention {
            events: sometimes(20, 1_000_000),
            bytes: sometimes(100_000, 1 << 40),
            seconds: sometimes(1, 0),
        };
        let begin = 1_000_000 + random.u64(..3_000);
        let length = if random.u8(..4) == 0 {
            random.u64(..15_000)
        } else {
            0
        };
        Self {
            publishers,
            subscribers,
            retention,
            outages: Outages {
                begin,
                length,
                every: u64::MAX,
            },
        }
    }
}
