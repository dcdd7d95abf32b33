//! A circuit in front of a store that fails: publishers are answered at once instead of after a
//! wait, and the store is left alone but for a probe now and then.

use std::num::NonZeroU64;

use crate::core::time::Instant;

/// So many failures in a row open the circuit.
const FAILURES: u32 = 5;

/// How long the circuit stays open at first and at most, jitter excluded, in milliseconds. It doubles
/// with each probe that fails.
const OPEN_MILLIS: (u64, u64) = (1_000, 16_000);

/// A probe that has not been heard of for so long is given up, in milliseconds: longer than a commit
/// takes to fail.
const PROBE_MILLIS: u64 = 10_000;

/// Whether the store is worth asking.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Circuit {
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The store is asked; so many calls in a row have failed.
    Closed { failures: u32 },
    /// Nobody asks before this time; then one does. `times`: how often it has opened since the store
    /// worked.
    Open { until: Instant, times: u32 },
    /// One is asking; if nothing is heard of it before this time, another does.
    Probing { until: Instant, times: u32 },
}

impl Default for State {
    fn default() -> Self {
        Self::Closed { failures: 0 }
    }
}

impl Circuit {
    /// Whether to ask the store. If the circuit is open and it is time for a probe, the caller is it.
    ///
    /// # Errors
    /// In how many milliseconds to come back.
    pub fn enter(&mut self, now: Instant) -> Result<(), u64> {
        match self.state {
            State::Closed { .. } => Ok(()),
            State::Open { until, .. } | State::Probing { until, .. } if now < until => {
                Err(until.since(now))
            }
            State::Open { times, .. } | State::Probing { times, .. } => {
                let until = now.after(PROBE_MILLIS);
                self.state = State::Probing { until, times };
                Ok(())
            }
        }
    }

    /// Whether the store is left alone, but for a probe.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !matches!(self.state, State::Closed { .. })
    }

    /// The store works.
    pub fn works(&mut self) {
        self.state = State::default();
    }

    /// The store has failed. `random`, any number, keeps instances from probing together.
    pub fn failed(&mut self, now: Instant, random: u64) {
        let times = match self.state {
            State::Closed { failures } => match failures.saturating_add(1) {
                failures if failures < FAILURES => {
                    self.state = State::Closed { failures };
                    return;
                }
                _ => 1,
            },
            // Of one that had entered before it opened: nothing new.
            State::Open { .. } => return,
            State::Probing { times, .. } => times.saturating_add(1),
        };
        let (shortest, longest) = OPEN_MILLIS;
        let base =
            longest.min(shortest.saturating_mul(2_u64.saturating_pow(times.saturating_sub(1))));
        let until =
            now.after(base.saturating_add(random % NonZeroU64::MIN.saturating_add(base / 2)));
        self.state = State::Open { until, times };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn opened(now: Instant) -> Circuit {
        let mut circuit = Circuit::default();
        for _ in 0..FAILURES {
            assert_eq!(circuit.enter(now), Ok(()));
            circuit.failed(now, 0);
        }
        circuit
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_not_before() {
        let mut circuit = Circuit::default();
        for _ in 0..100 {
            for _ in 1..FAILURES {
                circuit.failed(Instant(0), 0);
                assert_eq!(circuit.enter(Instant(0)), Ok(()));
            }
            circuit.works();
        }
        assert_eq!(opened(Instant(0)).enter(Instant(0)), Err(1_000));
    }

    #[test]
    fn one_probe_at_a_time_finds_the_way_back() {
        let mut circuit = opened(Instant(0));
        assert_eq!(circuit.enter(Instant(999)), Err(1));
        assert_eq!(circuit.enter(Instant(1_000)), Ok(()));
        assert_eq!(circuit.enter(Instant(1_000)), Err(PROBE_MILLIS));
        circuit.works();
        assert_eq!(circuit, Circuit::default());
    }

    #[test]
    fn a_probe_that_fails_doubles_the_wait_up_to_the_longest() {
        let mut circuit = opened(Instant(0));
        let (mut now, mut waits) = (Instant(0), vec![]);
        for _ in 0..7 {
            let wait = circuit.enter(now).unwrap_err();
            waits.push(wait);
            now = now.after(wait);
            assert_eq!(circuit.enter(now), Ok(()));
            circuit.failed(now, 0);
        }
        assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 16_000, 16_000]);
    }

    #[test]
    fn failures_of_those_who_were_under_way_do_not_lengthen_it() {
        let mut circuit = opened(Instant(0));
        for _ in 0..100 {
            circuit.failed(Instant(1), 0);
        }
        assert_eq!(circuit.enter(Instant(1)), Err(999));
    }

    #[test]
    fn a_probe_that_is_never_heard_of_is_followed_by_another() {
        let mut circuit = opened(Instant(0));
        assert_eq!(circuit.enter(Instant(1_000)), Ok(()));
        let again = Instant(1_000 + PROBE_MILLIS);
        assert_eq!(circuit.enter(again), Ok(()));
    }

    proptest! {
        /// Law: while the store fails, it is asked by few, however many come; when it works again,
        /// everybody is let through within the longest wait.
        #[test]
        fn an_outage_of_minutes_is_asked_about_a_few_times(pauses in prop::collection::vec(0_u64..50, 1_000), random: u64) {
            let (mut circuit, mut now, mut asked) = (Circuit::default(), Instant(0), 0_u64);
            for pause in pauses.iter().cycle().take(20_000) {
                now = now.after(*pause);
                if circuit.enter(now).is_ok() {
                    asked += 1;
                    circuit.failed(now, random);
                }
            }
            prop_assert!(asked <= u64::from(FAILURES) + 5 + now.0 / OPEN_MILLIS.1, "{asked}");
            let longest = now.after(OPEN_MILLIS.1 * 3 / 2);
            prop_assert_eq!(circuit.enter(longest), Ok(()));
        }
    }
}
