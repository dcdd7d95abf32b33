//! The clocks of guests. They follow tokio's, so that a test that pauses tokio's time pauses theirs.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// The wall clock and the monotonic clock of every guest of a host.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GuestClock {
    start: Instant,
    /// The time since the Unix epoch at `start`.
    wall_time_at_start: Duration,
}

impl GuestClock {
    /// Starts the clocks; the wall clock shows `now` at this moment.
    pub(crate) fn starting_at(now: SystemTime) -> Self {
        Self {
            start: Instant::now(),
            wall_time_at_start: now
                .duration_since(SystemTime::UNIX_EPOCH)
                .unwrap_or_default(),
        }
    }
}

impl HostWallClock for GuestClock {
    fn resolution(&self) -> Duration {
        Duration::from_micros(1)
    }

    fn now(&self) -> Duration {
        self.wall_time_at_start + self.start.elapsed()
    }
}

impl HostMonotonicClock for GuestClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn both_clocks_follow_virtual_time() {
        let clock = GuestClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1000));
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert_eq!(HostWallClock::now(&clock), Duration::from_secs(1300));
        assert_eq!(HostMonotonicClock::now(&clock), 300_000_000_000);
    }
}
