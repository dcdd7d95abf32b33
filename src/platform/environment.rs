//! Clocks, random numbers, tasks and standard error.

use std::io::Write as _;
use std::time::Duration;

use spin_sdk::wasip3::spawn;
use wasi::clocks::{monotonic_clock, wall_clock};
use wasi::random::random::get_random_u64;

use crate::core::environment::{Environment, LogLineLost};
use crate::core::time::{ClockReading, Instant, Timestamp};

const NANOS_PER_MILLI: u64 = 1_000_000;

/// The environment of an instance on Spin.
#[derive(Clone, Debug)]
pub struct SpinEnvironment;

impl Environment for SpinEnvironment {
    fn clock(&self) -> ClockReading {
        let wall = wall_clock::now();
        let seconds = wall.seconds.saturating_mul(1_000);
        let millis = seconds.saturating_add(u64::from(wall.nanoseconds) / NANOS_PER_MILLI);
        ClockReading {
            monotonic: self.now(),
            wall: Timestamp(millis),
        }
    }

    fn now(&self) -> Instant {
        Instant(monotonic_clock::now() / NANOS_PER_MILLI)
    }

    fn uptime(&self) -> Duration {
        Duration::from_nanos(monotonic_clock::now())
    }

    fn random(&self) -> u64 {
        get_random_u64()
    }

    fn sleep_until(&self, until: Instant) -> impl Future<Output = ()> + 'static {
        sleep_until(until)
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        sleep(duration)
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        spawn(task);
    }

    fn write_log_line(&self, line: &[u8]) -> Result<(), LogLineLost> {
        // In one write, so that the lines of instances do not mix. `eprintln` would panic where the host
        // cannot take the line, as on a full disk.
        let written = std::io::stderr().write_all(line);
        written.map_err(|_| LogLineLost)
    }
}

async fn sleep_until(until: Instant) {
    let until = Duration::from_millis(until.0);
    let now = Duration::from_nanos(monotonic_clock::now());
    sleep(until.saturating_sub(now)).await;
}

/// Sleeps for a nanosecond at least, so that the host can do something else.
async fn sleep(duration: Duration) {
    spin_sdk::time::sleep(duration.max(Duration::from_nanos(1))).await;
}
