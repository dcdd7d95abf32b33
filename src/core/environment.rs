//! The needs of an instance beside a store: clocks, random numbers, tasks.

use std::time::Duration;

use thiserror::Error;

use super::time::{ClockReading, Instant};

/// A line of the log that the host did not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the host did not take the line")]
pub struct LogLineLost;

/// The world around an instance. `platform` implements it for Spin, the simulation with virtual time.
///
/// Clones are handles to the same world.
pub trait Environment: Clone + 'static {
    /// Reads both clocks.
    fn clock(&self) -> ClockReading;

    /// Reads the monotonic clock, in whole milliseconds.
    fn now(&self) -> Instant {
        self.clock().monotonic
    }

    /// Returns the time since an arbitrary start as precisely as the host knows it, for measurements.
    fn uptime(&self) -> Duration;

    /// Returns a random number that nobody can predict.
    fn random(&self) -> u64;

    /// Completes when the monotonic clock shows `until`. It always yields at least once, so that a task
    /// that waits in a loop for a time that has passed cannot stop the instance.
    fn sleep_until(&self, until: Instant) -> impl Future<Output = ()> + 'static;

    /// Completes after `duration`.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + 'static {
        self.sleep_until(self.now().saturating_add(duration))
    }

    /// Runs `task` beside the caller. Only within the task of a request.
    fn spawn(&self, task: impl Future<Output = ()> + 'static);

    /// Writes one line, which ends in a line feed, to the operator's log.
    ///
    /// # Errors
    /// If the host does not take the line. Then it is lost.
    fn write_log_line(&self, line: &[u8]) -> Result<(), LogLineLost>;
}
