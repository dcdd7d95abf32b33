//! The rate of a limit.

use std::num::NonZeroU64;
use std::time::Duration;

use super::RetryAfter;
use crate::core::time::millis;

/// A number of permits in each period. After an idle period all of them can be spent at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    permits: u64,
    period_millis: u64,
}

impl Rate {
    /// Returns the rate of `permits` in each `period`; `None`, no limit, if either is 0.
    #[must_use]
    pub fn new(permits: u64, period: Duration) -> Option<Self> {
        let period_millis = millis(period);
        (permits > 0 && period_millis > 0).then_some(Self {
            permits,
            period_millis,
        })
    }

    /// Returns the largest number of permits that can be spent at once.
    #[must_use]
    pub const fn permits(self) -> u64 {
        self.permits
    }

    /// Returns the microseconds in which all permits accrue.
    pub(super) const fn burst_micros(self) -> u64 {
        self.permit_micros().saturating_mul(self.permits)
    }

    /// Returns the microseconds in which one permit accrues, rounded up so that never more do.
    pub(super) const fn permit_micros(self) -> u64 {
        self.period_millis
            .saturating_mul(1_000)
            .div_ceil(self.permits)
    }

    /// Returns the largest number of permits in a lease. It is a small part of the burst, because several
    /// instances share the burst and have to find out soon when it is spent.
    pub(super) const fn max_lease(self) -> u64 {
        match self.permits / 16 {
            0 => 1,
            permits => permits,
        }
    }

    /// Returns the time for which an instance refuses a key that has to wait: at least until the largest
    /// lease has accrued, since a key over its rate would otherwise cost a call of the store for each
    /// permit. `random`, any number, adds up to half of that time, so that instances do not ask together.
    pub(super) fn pause(self, RetryAfter(wait): RetryAfter, random: u64) -> Duration {
        let wait = millis(wait.max(self.max_lease_time()));
        let jitter = random % NonZeroU64::MIN.saturating_add(wait / 2);
        Duration::from_millis(wait.saturating_add(jitter))
    }

    /// Returns the time in which the permits of the largest lease accrue.
    const fn max_lease_time(self) -> Duration {
        let micros = self.permit_micros().saturating_mul(self.max_lease());
        Duration::from_millis(micros / 1_000)
    }
}
