//! Faults of the store, and crashes.

use crate::core::time::Instant;

/// Faults of the store, in percent of its calls, and crashes of instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// Calls that fail before their effect, which never comes.
    pub(crate) fail_before_percent: u8,
    /// Calls that fail after their effect.
    pub(crate) fail_after_percent: u8,
    /// Calls that take effect up to 300 ms after they were reported failed. Only for stores behind a
    /// network.
    pub(crate) late_percent: u8,
    /// Times in which every call fails before its effect.
    pub(crate) outages: Option<Outages>,
    /// One in this many polls of an instance's tasks finds that the instance has crashed instead.
    pub(crate) crash_one_in: Option<u16>,
    /// Calls take no time.
    pub(crate) is_instant: bool,
}

impl Conditions {
    /// Nothing fails, but calls take their time.
    pub(crate) const CALM: Self = Self {
        fail_before_percent: 0,
        fail_after_percent: 0,
        late_percent: 0,
        outages: None,
        crash_one_in: None,
        is_instant: false,
    };

    /// 7 calls in 100 fail in one way or another, and instances crash.
    pub(crate) const ROUGH: Self = Self {
        fail_before_percent: 3,
        fail_after_percent: 2,
        late_percent: 2,
        crash_one_in: Some(400),
        ..Self::CALM
    };
}

/// Times in which every call of the store fails. All in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outages {
    pub(crate) begin: u64,
    pub(crate) length: u64,
    /// From the beginning of one to that of the next.
    pub(crate) every: u64,
}

impl Outages {
    pub(super) const fn contain(&self, now: Instant) -> bool {
        now.0 >= self.begin && (now.0 - self.begin) % self.every < self.length
    }
}

/// The fate of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Done,
    FailedBefore,
    FailedAfter,
    Late,
}

impl Conditions {
    pub(super) fn draw_fate(
        &self,
        now: Instant,
        is_remote: bool,
        random: &mut fastrand::Rng,
    ) -> Fate {
        if self.outages.is_some_and(|outages| outages.contain(now)) {
            return Fate::FailedBefore;
        }
        let before = self.fail_before_percent;
        let after = before + self.fail_after_percent;
        let late = after + self.late_percent;
        match random.u8(..100) {
            drawn if drawn < before => Fate::FailedBefore,
            drawn if drawn < after => Fate::FailedAfter,
            drawn if drawn < late && is_remote => Fate::Late,
            _ => Fate::Done,
        }
    }
}
