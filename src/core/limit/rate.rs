//! How often something is allowed.

/// So many permits in each period, and as many at once after a period of rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    permits: u64,
    period_millis: u64,
}

impl Rate {
    /// `permits` in each `period_millis`; `None`, no limit, if either is 0.
    #[must_use]
    pub const fn new(permits: u64, period_millis: u64) -> Option<Self> {
        match (permits, period_millis) {
            (0, _) | (_, 0) => None,
            _ => Some(Self {
                permits,
                period_millis,
            }),
        }
    }

    /// The most permits there are at once.
    #[must_use]
    pub const fn permits(self) -> u64 {
        self.permits
    }

    /// What it takes to earn all permits, in microseconds.
    pub(super) const fn full_micros(self) -> u64 {
        self.permit_micros().saturating_mul(self.permits)
    }

    /// What it takes to earn one permit, in microseconds: rounded up, so that never more are earned.
    pub(super) const fn permit_micros(self) -> u64 {
        self.period_millis
            .saturating_mul(1_000)
            .div_ceil(self.permits)
    }

    /// The most that a lease has. Several instances share what there is, and it has to be found out
    /// soon when it is used up.
    pub(super) const fn largest_lease(self) -> u64 {
        match self.permits / 16 {
            0 => 1,
            some => some,
        }
    }

    /// What it takes to earn a lease of that size, in milliseconds.
    pub(super) const fn largest_lease_millis(self) -> u64 {
        self.permit_micros().saturating_mul(self.largest_lease()) / 1_000
    }
}
