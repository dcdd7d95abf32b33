//! The clocks of a guest: tokio's clock, so that a test that pauses tokio's time pauses the guest's.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// Both clocks of all guests of a host. They start together and run together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    began: Instant,
    /// Time since the epoch at `began`.
    wall_at_began: Duration,
}

impl Clock {
    /// A clock that shows `now` at this moment.
    pub(crate) fn starting_at(now: SystemTime) -> Self {
        Self {
            began: Instant::now(),
            wall_at_began: now
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }
}

impl HostWallClock for Clock {
    fn resolution(&self) -> Duration {
        Duration::from_micros(1)
    }

    fn now(&self) -> Duration {
        self.wall_at_began + self.began.elapsed()
    }
}

impl HostMonotonicClock for Clock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn both_clocks_follow_the_virtual_time() {
        let clock = Clock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1000));
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert_eq!(HostWallClock::now(&clock), Duration::from_secs(1300));
        assert_eq!(HostMonotonicClock::now(&clock), 300_000_000_000);
    }
}
