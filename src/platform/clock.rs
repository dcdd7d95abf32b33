//! Time.

use std::time::Duration;

use wasi::clocks::{monotonic_clock, wall_clock};

use crate::core::log::ClockReading;
use crate::core::time::{Instant, Timestamp};

const NANOS_PER_MILLI: u64 = 1_000_000;
const NANOS_PER_MICRO: u64 = 1_000;

/// The time by both clocks.
#[must_use]
pub fn now() -> ClockReading {
    let wall = wall_clock::now();
    let seconds = wall.seconds.saturating_mul(1000);
    let millis = seconds.saturating_add(u64::from(wall.nanoseconds) / NANOS_PER_MILLI);
    ClockReading {
        monotonic: monotonic(),
        wall: Timestamp(millis),
    }
}

/// The monotonic clock.
#[must_use]
pub fn monotonic() -> Instant {
    Instant(monotonic_clock::now() / NANOS_PER_MILLI)
}

/// Microseconds of the monotonic clock.
#[must_use]
pub fn micros() -> u64 {
    monotonic_clock::now() / NANOS_PER_MICRO
}

/// Waits until the monotonic clock shows `until`.
pub async fn sleep_until(until: Instant) {
    sleep(
        until
            .0
            .saturating_mul(NANOS_PER_MILLI)
            .saturating_sub(monotonic_clock::now()),
    )
    .await;
}

/// Waits so many milliseconds.
pub async fn sleep_millis(millis: u64) {
    sleep(millis.saturating_mul(NANOS_PER_MILLI)).await;
}

/// Always lets the host do something else, if only for a moment: whoever waits in a loop for a time
/// that has passed must not stop the instance.
async fn sleep(nanos: u64) {
    spin_sdk::time::sleep(Duration::from_nanos(nanos.max(1))).await;
}
