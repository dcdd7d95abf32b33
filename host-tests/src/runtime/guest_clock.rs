//! The clocks of guests.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// The wall clock and the monotonic clock of every guest of a host. The monotonic clock follows tokio's,
/// so that a test that pauses tokio's time pauses the guests'.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GuestClock {
    start: Instant,
    wall: WallClock,
}

#[derive(Debug, Clone, Copy)]
enum WallClock {
    /// The clock of the system, read at each use: it may be set, and goes on in a suspended machine.
    System,
    /// Follows tokio's clock, from this time since the Unix epoch on.
    Virtual(Duration),
}

impl GuestClock {
    /// Starts the clocks. The wall clock shows the time of the system; with a `start_time` it shows that
    /// at this moment and follows tokio's clock from then on.
    pub(crate) fn start(start_time: Option<SystemTime>) -> Self {
        Self {
            start: Instant::now(),
            wall: start_time.map_or(WallClock::System, |time| {
                WallClock::Virtual(since_unix_epoch(time))
            }),
        }
    }
}

fn since_unix_epoch(time: SystemTime) -> Duration {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

impl HostWallClock for GuestClock {
    fn resolution(&self) -> Duration {
        Duration::from_micros(1)
    }

    fn now(&self) -> Duration {
        match self.wall {
            WallClock::System => since_unix_epoch(SystemTime::now()),
            WallClock::Virtual(start) => start + self.start.elapsed(),
        }
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
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1000);
        let clock = GuestClock::start(Some(start));
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert_eq!(HostWallClock::now(&clock), Duration::from_secs(1300));
        assert_eq!(HostMonotonicClock::now(&clock), 300_000_000_000);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wall_clock_is_that_of_the_system_unless_a_start_time_is_given() {
        let clock = GuestClock::start(None);
        // Virtual time runs ahead of the system's, as the monotonic clock does after the clock was set.
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        let difference = since_unix_epoch(SystemTime::now()).abs_diff(HostWallClock::now(&clock));
        assert!(difference < Duration::from_secs(60), "{difference:?}");
    }
}
