//! A circuit breaker in front of the store. While the store fails, publishers are answered at once
//! instead of after a timeout, and the store receives nothing but an occasional probe.
//!
//! | state | calls | next state |
//! |---|---|---|
//! | closed | pass | open after 5 failures in a row |
//! | open | are refused | probing, with the first call after its time |
//! | probing | are refused, except the probe | closed after a success, open after a failure |

use std::time::Duration;

use super::RetryAfter;
use crate::core::backoff::{Backoff, Jitter};
use crate::core::time::Instant;

/// The number of failures in a row that open the circuit.
const FAILURES: u32 = 5;

/// The time for which the circuit stays open. It doubles with each probe that fails.
const OPEN: Backoff = Backoff::new(MIN_OPEN, MAX_OPEN, Jitter::Upward { percent: 50 });
const MIN_OPEN: Duration = Duration::from_secs(1);
const MAX_OPEN: Duration = Duration::from_secs(16);

/// The time after which a probe without an outcome is given up: longer than a commit takes to fail.
const PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// The circuit breaker of an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circuit {
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed {
        failures: u32,
    },
    /// `reopened` counts the probes that failed since the store last worked.
    Open {
        until: Instant,
        reopened: u32,
    },
    Probing {
        until: Instant,
        reopened: u32,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Circuit {
    /// Lets a call pass to the store. In an open circuit whose time is over, the call is the probe.
    ///
    /// # Errors
    /// If the circuit is open: the time until it lets a call pass.
    pub fn enter(&mut self, now: Instant) -> Result<(), RetryAfter> {
        match self.state {
            State::Closed { .. } => Ok(()),
            State::Open { until, .. } | State::Probing { until, .. } if now < until => {
                Err(RetryAfter(until.saturating_duration_since(now)))
            }
            State::Open { reopened, .. } | State::Probing { reopened, .. } => {
                let until = now.saturating_add(PROBE_TIMEOUT);
                self.state = State::Probing { until, reopened };
                Ok(())
            }
        }
    }

    /// Returns whether all calls except a probe are refused.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }

    /// Records a successful call.
    pub fn succeeded(&mut self) {
        self.state = State::default();
    }

    /// Records a failed call. `random`, any number, keeps instances from probing together.
    pub fn failed(&mut self, now: Instant, random: u64) {
        let reopened = match self.state {
            State::Closed { failures } => {
                let failures = failures.saturating_add(1);
                if failures < FAILURES {
                    self.state = State::Closed { failures };
                    return;
                }
                0
            }
            // The call began before the circuit opened.
            State::Open { .. } => return,
            State::Probing { reopened, .. } => reopened.saturating_add(1),
        };
        let until = now.saturating_add(OPEN.delay(reopened, random));
        self.state = State::Open { until, reopened };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::time::millis;
    use proptest::prelude::*;

    const fn retry_after(millis: u64) -> Result<(), RetryAfter> {
        Err(RetryAfter(Duration::from_millis(millis)))
    }

    fn opened(now: Instant) -> Circuit {
        let mut circuit = Circuit::default();
        for _ in 0..FAILURES {
            assert_eq!(circuit.enter(now), Ok(()));
            circuit.failed(now, 0);
        }
        circuit
    }

    #[test]
    fn the_circuit_opens_after_failures_in_a_row_and_not_before() {
        let mut circuit = Circuit::default();
        for _ in 0..100 {
            for _ in 1..FAILURES {
                circuit.failed(Instant(0), 0);
                assert_eq!(circuit.enter(Instant(0)), Ok(()));
            }
            circuit.succeeded();
        }
        assert_eq!(opened(Instant(0)).enter(Instant(0)), retry_after(1_000));
    }

    #[test]
    fn one_probe_at_a_time_closes_the_circuit() {
        let mut circuit = opened(Instant(0));
        assert_eq!(circuit.enter(Instant(999)), retry_after(1));
        assert_eq!(circuit.enter(Instant(1_000)), Ok(()));
        assert_eq!(
            circuit.enter(Instant(1_000)),
            Err(RetryAfter(PROBE_TIMEOUT))
        );
        circuit.succeeded();
        assert_eq!(circuit, Circuit::default());
    }

    #[test]
    fn each_probe_that_fails_doubles_the_wait_up_to_the_longest() {
        let mut circuit = opened(Instant(0));
        let (mut now, mut waits) = (Instant(0), vec![]);
        for _ in 0..7 {
            let RetryAfter(wait) = circuit.enter(now).unwrap_err();
            waits.push(wait.as_secs());
            now = now.saturating_add(wait);
            assert_eq!(circuit.enter(now), Ok(()));
            circuit.failed(now, 0);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 16, 16]);
    }

    #[test]
    fn failures_of_calls_begun_earlier_do_not_extend_the_open_time() {
        let mut circuit = opened(Instant(0));
        for _ in 0..100 {
            circuit.failed(Instant(1), 0);
        }
        assert_eq!(circuit.enter(Instant(1)), retry_after(999));
    }

    #[test]
    fn a_probe_without_outcome_is_followed_by_another() {
        let mut circuit = opened(Instant(0));
        assert_eq!(circuit.enter(Instant(1_000)), Ok(()));
        let again = Instant(1_000).saturating_add(PROBE_TIMEOUT);
        assert_eq!(circuit.enter(again), Ok(()));
    }

    proptest! {
        /// Property: while the store fails, it gets a few calls, however many requests come; all pass
        /// within the longest time that the circuit stays open.
        #[test]
        fn an_outage_of_minutes_costs_a_few_calls(pauses in prop::collection::vec(0_u64..50, 1_000), random: u64) {
            let (mut circuit, mut now, mut calls) = (Circuit::default(), Instant(0), 0_u64);
            for pause in pauses.iter().cycle().take(20_000) {
                now = now.saturating_add(Duration::from_millis(*pause));
                if circuit.enter(now).is_ok() {
                    calls += 1;
                    circuit.failed(now, random);
                }
            }
            let limit = u64::from(FAILURES) + 5 + now.0 / millis(MAX_OPEN);
            prop_assert!(calls <= limit, "{calls} calls");
            let longest = now.saturating_add(MAX_OPEN * 3 / 2);
            prop_assert_eq!(circuit.enter(longest), Ok(()));
        }
    }
}
