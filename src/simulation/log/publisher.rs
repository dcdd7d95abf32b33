//! Publishers, and one that purges.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use futures::future::join_all;

use super::super::{SimulatedEnvironment, SimulatedStore, Violation};
use super::checker::Report;
use super::ledger::Ledger;
use super::scenario::{LARGE_BYTES, PublisherPlan};
use crate::core::channel::Channel;
use crate::core::environment::Environment;
use crate::core::log::kv::KvLog;
use crate::core::log::{
    AppendError, Appended, Batch, CommitError, IdempotencyKey, Log, NewEvent, Retention,
};
use crate::core::metrics::Metrics;
use crate::core::parking::Parking;
use crate::core::store::StoreClient;

/// An instance ends after this many rounds, before it has used up its swaps.
const ROUNDS_OF_AN_INSTANCE: u32 = 40;

pub(super) type SimulatedLog = KvLog<SimulatedEnvironment, SimulatedStore>;

/// Creates the log engine of a new instance.
pub(super) fn new_log(
    env: &SimulatedEnvironment,
    parking: &Parking<SimulatedEnvironment>,
) -> SimulatedLog {
    let metrics = Metrics::new(1);
    let store = StoreClient::new(env.clone(), env.store(), metrics.clone());
    KvLog::new(env.clone(), store, metrics, parking.clone())
}

/// An instance that publishes or purges in rounds. Clones are handles to the same publisher.
#[derive(Clone)]
pub(super) struct Publisher {
    env: SimulatedEnvironment,
    name: usize,
    channel: Channel,
    retention: Retention,
    ledger: Rc<RefCell<Ledger>>,
    state: Rc<RefCell<State>>,
}

struct State {
    plan: PublisherPlan,
    /// The number of events made so far.
    made: u64,
    is_busy: bool,
    /// The batches being published, by their number in the checker.
    in_flight: Vec<usize>,
    /// Batches whose outcome is unknown and that can safely be published again.
    to_repeat: Vec<usize>,
    /// The time that the log has asked the publisher to wait.
    retry_after: Duration,
}

impl Publisher {
    pub(super) fn new(
        env: SimulatedEnvironment,
        name: usize,
        plan: PublisherPlan,
        channel: Channel,
        retention: Retention,
        ledger: Rc<RefCell<Ledger>>,
    ) -> Self {
        let state = State {
            plan,
            made: 0,
            is_busy: false,
            in_flight: vec![],
            to_repeat: vec![],
            retry_after: Duration::ZERO,
        };
        Self {
            env,
            name,
            channel,
            retention,
            ledger,
            state: Rc::new(RefCell::new(state)),
        }
    }

    pub(super) const fn env(&self) -> &SimulatedEnvironment {
        &self.env
    }

    pub(super) fn purges(&self) -> bool {
        self.state.borrow().plan.purges
    }

    pub(super) fn is_done(&self) -> bool {
        let state = self.state.borrow();
        state.plan.rounds == 0 && !state.is_busy
    }

    /// Publishes one more round, and never purges again.
    pub(super) fn once_more(&self) {
        let mut state = self.state.borrow_mut();
        state.plan.rounds = 1;
        state.plan.purges = false;
    }

    /// Ends after the present round.
    pub(super) fn stop(&self) {
        self.state.borrow_mut().plan.rounds = 0;
    }

    /// Starts the instance after `delay`.
    pub(super) fn start(&self, delay: Duration) {
        let publisher = self.clone();
        self.env.spawn(async move {
            publisher.env.sleep(delay).await;
            publisher.run().await;
        });
    }

    /// Notes that the instance has crashed: the outcome of what it was doing is unknown to its clients.
    pub(super) fn crashed(&self) {
        let mut state = self.state.borrow_mut();
        state.is_busy = false;
        for batch in std::mem::take(&mut state.in_flight) {
            self.report(&mut state, batch, Report::Unknown);
        }
    }

    async fn run(&self) {
        let parking = Parking::new(self.env.clone());
        let mut log = new_log(&self.env, &parking);
        let mut rounds = 0;
        while self.begin_round() {
            if self.purges() {
                self.purge(&log).await;
            } else {
                self.publish(&log).await;
            }
            self.state.borrow_mut().is_busy = false;
            rounds += 1;
            if rounds % ROUNDS_OF_AN_INSTANCE == 0 {
                log = new_log(&self.env, &parking);
            }
            self.env.sleep(self.pause()).await;
        }
    }

    fn begin_round(&self) -> bool {
        let mut state = self.state.borrow_mut();
        let Some(left) = state.plan.rounds.checked_sub(1) else {
            return false;
        };
        state.plan.rounds = left;
        state.is_busy = true;
        true
    }

    fn pause(&self) -> Duration {
        let mut state = self.state.borrow_mut();
        let (plan, retry_after) = (state.plan, std::mem::take(&mut state.retry_after));
        let longest = if plan.purges {
            plan.habits.purge_millis
        } else {
            60
        };
        retry_after + Duration::from_millis(1 + self.env.random() % longest)
    }

    async fn purge(&self, log: &SimulatedLog) {
        let purged = log.purge(&self.channel, self.retention).await;
        let mut ledger = self.ledger.borrow_mut();
        match purged {
            Ok(()) => ledger.coverage.purges += 1,
            Err(_) => ledger.coverage.failures += 1,
        }
    }

    async fn publish(&self, log: &SimulatedLog) {
        let batches = self.batches();
        let numbers = self.state.borrow().in_flight.clone();
        let appends = numbers.into_iter().zip(batches);
        join_all(appends.map(async |(number, batch)| {
            let result = log.append(&self.channel, batch, self.retention).await;
            self.appended(number, result);
        }))
        .await;
    }

    fn appended(&self, batch: usize, result: Result<Appended, AppendError>) {
        let report = match result {
            Ok(appended) => {
                let mut ledger = self.ledger.borrow_mut();
                ledger.coverage.repeated += u64::from(appended.repeated);
                Report::Appended(appended)
            }
            Err(AppendError::Closed) => Report::Closed,
            Err(AppendError::KeyReused) => {
                self.violated("law 4: a key is taken for one that was used for something else");
                Report::NotAppended
            }
            Err(AppendError::Commit(error)) => {
                self.ledger.borrow_mut().coverage.failures += 1;
                match error {
                    CommitError::OutcomeUnknown(_) => Report::Unknown,
                    CommitError::Format(error) => {
                        self.violated(&format!("law 1: the head cannot be read: {error}"));
                        Report::NotAppended
                    }
                    CommitError::CircuitOpen(retry_after) => {
                        self.state.borrow_mut().retry_after = retry_after;
                        Report::NotAppended
                    }
                    CommitError::Contended | CommitError::Store(_) | CommitError::Timeout => {
                        Report::NotAppended
                    }
                }
            }
        };
        let mut state = self.state.borrow_mut();
        state.in_flight.retain(|number| *number != batch);
        self.report(&mut state, batch, report);
    }

    fn report(&self, state: &mut State, batch: usize, report: Report) {
        let mut ledger = self.ledger.borrow_mut();
        ledger.checker.report(batch, report);
        let may_be_repeated = matches!(report, Report::Unknown | Report::NotAppended);
        if may_be_repeated && ledger.checker.batch(batch).keyed {
            state.to_repeat.push(batch);
        }
    }

    fn violated(&self, law: &str) {
        let violation = Violation(law.to_owned());
        self.ledger.borrow_mut().violation.get_or_insert(violation);
    }

    /// Makes some new batches, and takes those to be repeated.
    fn batches(&self) -> Vec<Batch> {
        let mut random = fastrand::Rng::with_seed(self.env.random());
        let mut state = self.state.borrow_mut();
        let mut numbers = std::mem::take(&mut state.to_repeat);
        // A head remembers a bounded number of keys, so batches are repeated before others are made.
        let new = if numbers.len() < 3 {
            random.u8(1..=3)
        } else {
            0
        };
        for _ in 0..new {
            let events = (0..random.u8(1..=3)).map(|_| {
                state.made += 1;
                format!("{}/{}", self.name, state.made)
            });
            let events = events.collect();
            let mut ledger = self.ledger.borrow_mut();
            numbers.push(ledger.checker.publish(events, random.bool()));
        }
        let batches = numbers
            .iter()
            .map(|number| self.batch(*number, &state.plan, &mut random))
            .collect();
        state.in_flight = numbers;
        batches
    }

    fn batch(&self, number: usize, plan: &PublisherPlan, random: &mut fastrand::Rng) -> Batch {
        let ledger = self.ledger.borrow();
        let published = ledger.checker.batch(number);
        let events = published.events.iter().map(|token| {
            let filler = if random.u32(..plan.habits.large_one_in) == 0 {
                LARGE_BYTES
            } else {
                random.usize(..plan.habits.bytes)
            };
            NewEvent {
                event_type: None,
                data: format!("{token} {}", "x".repeat(filler)),
                trace: None,
            }
        });
        let events = events.collect();
        let digest = |part: u128| (number as u128 * 2 + part).to_le_bytes();
        Batch {
            events,
            close: random.u32(..plan.habits.closes_one_in) == 0,
            idempotency_key: published.keyed.then(|| IdempotencyKey {
                key: digest(0),
                content: digest(1),
            }),
        }
    }
}
