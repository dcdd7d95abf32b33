//! A simulated world: virtual time, a store that misbehaves, and instances that crash.
//!
//! A [`World`] runs the tasks of many instances on one thread. Everything that is left to chance is
//! drawn from one generator, so a seed always makes the same schedule. An instance reaches its world
//! through the traits that production uses: [`SimulatedEnvironment`] is its clock, its random numbers
//! and its tasks, [`SimulatedStore`] is a handle to the one store that all instances share. So a
//! simulation drives the very code that production runs.
//!
//! Every call of the store takes its time, may fail before or after its effect, or takes effect only
//! after it was reported failed. [`World::crash`] ends all tasks of an instance between two of their
//! steps; what the instance had asked of the store still happens.

mod conditions;
mod environment;
mod executor;
mod log;
mod storage;
mod store;
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use thiserror::Error;

pub(crate) use conditions::{Conditions, Outages};
pub(crate) use environment::SimulatedEnvironment;
pub(crate) use executor::TaskId;
pub(crate) use storage::{Model, Size, Storage};
pub(crate) use store::SimulatedStore;

use executor::Tasks;

use crate::core::time::{ClockReading, Instant, Timestamp};

/// The monotonic clock at the beginning, in milliseconds.
const FIRST_MILLISECOND: u64 = 1_000_000;

/// The wall clock when the monotonic clock shows 0.
const WALL_CLOCK_OFFSET: u64 = 1_700_000_000_000;

/// Steps after which a run is given up, because something spins.
const MAX_STEPS: u64 = 400_000;

/// Log lines that are kept for a test to read.
const MAX_LOG_LINES: usize = 100;

/// An instance: tasks that crash together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct InstanceId(usize);

/// A broken law.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub(crate) struct Violation(pub(crate) String);

/// A swap that took effect, whatever its caller was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AppliedSwap {
    pub(crate) instance: InstanceId,
    pub(crate) at: Instant,
    pub(crate) key: String,
    pub(crate) value: Bytes,
}

/// Counts of what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    /// Calls of the store.
    pub(crate) calls: u64,
    /// Calls that failed and never took effect later than their answer.
    pub(crate) faults: u64,
    /// Calls that took effect after they were reported failed.
    pub(crate) late: u64,
    /// Crashes that [`Conditions::crash_one_in`] brought about.
    pub(crate) crashes: u64,
}

/// Returns what the wall clock shows at `now`.
pub(crate) const fn wall_clock(now: Instant) -> Timestamp {
    Timestamp(WALL_CLOCK_OFFSET + now.0)
}

/// The world of a simulation. What it still holds ends when this is dropped.
pub(crate) struct World(Rc<State>);

/// A scheduled action; its key is the time it is due at and a sequence number.
type Event = Box<dyn FnOnce(&Rc<State>)>;
type EventKey = (Instant, u64);

type SwapHook = Box<dyn FnMut(&AppliedSwap)>;
type CrashHook = Box<dyn FnMut(InstanceId)>;

struct State {
    now: Cell<Instant>,
    scheduled: Cell<u64>,
    events: RefCell<BTreeMap<EventKey, Event>>,
    tasks: RefCell<Tasks>,
    instances: Cell<usize>,
    random: RefCell<fastrand::Rng>,
    conditions: Cell<Conditions>,
    storage: RefCell<Storage>,
    stats: Cell<Stats>,
    on_swap: RefCell<Option<SwapHook>>,
    on_crash: RefCell<Option<CrashHook>>,
    violation: RefCell<Option<Violation>>,
    log: RefCell<VecDeque<String>>,
}

impl World {
    /// Creates a world without instances, over an empty store.
    pub(crate) fn new(model: Model, conditions: Conditions, random: fastrand::Rng) -> Self {
        Self(Rc::new(State {
            now: Cell::new(Instant(FIRST_MILLISECOND)),
            scheduled: Cell::new(0),
            events: RefCell::default(),
            tasks: RefCell::default(),
            instances: Cell::new(0),
            random: RefCell::new(random),
            conditions: Cell::new(conditions),
            storage: RefCell::new(Storage::new(model)),
            stats: Cell::default(),
            on_swap: RefCell::default(),
            on_crash: RefCell::default(),
            violation: RefCell::default(),
            log: RefCell::default(),
        }))
    }

    /// Adds an instance.
    pub(crate) fn instance(&self) -> SimulatedEnvironment {
        let id = InstanceId(self.0.instances.get());
        self.0.instances.set(id.0 + 1);
        SimulatedEnvironment::new(self.0.clone(), id)
    }

    /// Runs a task of the test, which belongs to no instance and never crashes.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) -> TaskId {
        self.0.spawn(None, task.boxed_local())
    }

    /// Ends one task where it stands, as when a client disconnects.
    pub(crate) fn kill(&self, task: TaskId) {
        self.0.kill(task);
    }

    /// Ends all tasks of an instance where they stand. Calls of the store that are under way still take
    /// effect. The instance may spawn again.
    pub(crate) fn crash(&self, instance: InstanceId) {
        self.0.crash(instance);
    }

    /// Calls `hook` for every swap that takes effect, before anything else happens.
    pub(crate) fn on_swap(&self, hook: impl FnMut(&AppliedSwap) + 'static) {
        *self.0.on_swap.borrow_mut() = Some(Box::new(hook));
    }

    /// Calls `hook` after every crash that [`Conditions::crash_one_in`] brings about.
    pub(crate) fn on_crash(&self, hook: impl FnMut(InstanceId) + 'static) {
        *self.0.on_crash.borrow_mut() = Some(Box::new(hook));
    }

    /// Changes the conditions from now on.
    pub(crate) fn set_conditions(&self, conditions: Conditions) {
        self.0.conditions.set(conditions);
    }

    /// Reports a broken law. The first report ends [`run_until`](Self::run_until).
    pub(crate) fn report(&self, violation: Violation) {
        self.0.report(violation);
    }

    /// Runs until `is_done`, which is asked before each step, or until nothing is left to do.
    pub(crate) fn run_until(&self, mut is_done: impl FnMut() -> bool) -> Result<(), Violation> {
        for _ in 0..MAX_STEPS {
            if let Some(violation) = self.0.violation.borrow().clone() {
                return Err(violation);
            }
            if is_done() || !self.0.step() {
                return Ok(());
            }
        }
        Err(Violation("something spins".to_owned()))
    }

    /// Runs for `duration`; then the clock shows that it has passed.
    pub(crate) fn run_for(&self, duration: Duration) -> Result<(), Violation> {
        let until = self.now().saturating_add(duration);
        let is_over = Rc::new(Cell::new(false));
        let flag = is_over.clone();
        self.0.schedule(until, move |_| flag.set(true));
        self.run_until(|| is_over.get())
    }

    /// Lets time pass in which nothing happens; what was due meanwhile is late.
    pub(crate) fn skip(&self, duration: Duration) {
        self.0.now.set(self.now().saturating_add(duration));
    }

    pub(crate) fn now(&self) -> Instant {
        self.0.now.get()
    }

    /// Draws from the generator of the world.
    pub(crate) fn random<T>(&self, draw: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        draw(&mut self.0.random.borrow_mut())
    }

    /// Reads what is stored, as it is at this moment.
    pub(crate) fn stored<T>(&self, read: impl FnOnce(&Storage) -> T) -> T {
        read(&self.0.storage.borrow())
    }

    pub(crate) fn stats(&self) -> Stats {
        self.0.stats.get()
    }

    /// Returns the newest lines of the logs of all instances.
    pub(crate) fn log(&self) -> Vec<String> {
        self.0.log.borrow().iter().cloned().collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Tasks, events and hooks have handles to the world, which would keep each other alive. What is
        // dropped may use the world, so it is dropped while nothing is borrowed.
        drop(self.0.tasks.borrow_mut().remove_all());
        drop(self.0.events.take());
        drop((self.0.on_swap.take(), self.0.on_crash.take()));
    }
}

impl State {
    fn clock(&self) -> ClockReading {
        let monotonic = self.now.get();
        ClockReading {
            monotonic,
            wall: wall_clock(monotonic),
        }
    }

    /// Schedules `event` for `at`, after all that is already scheduled for that time.
    fn schedule(&self, at: Instant, event: impl FnOnce(&Rc<Self>) + 'static) -> EventKey {
        let sequence = self.scheduled.get() + 1;
        self.scheduled.set(sequence);
        let key = (at, sequence);
        self.events.borrow_mut().insert(key, Box::new(event));
        key
    }

    fn after(&self, delay_millis: u64) -> Instant {
        Instant(self.now.get().0 + delay_millis)
    }

    fn cancel(&self, event: EventKey) {
        let event = self.events.borrow_mut().remove(&event);
        drop(event);
    }

    /// Polls a task that was woken, else moves the clock to the next event. Returns false if there is
    /// neither.
    fn step(self: &Rc<Self>) -> bool {
        let woken = self.tasks.borrow_mut().next_woken();
        if let Some(task) = woken {
            self.poll(task);
            return true;
        }
        let Some(((at, _), event)) = self.events.borrow_mut().pop_first() else {
            return false;
        };
        self.now.set(self.now.get().max(at));
        event(self);
        true
    }

    fn spawn(&self, instance: Option<InstanceId>, task: LocalBoxFuture<'static, ()>) -> TaskId {
        self.tasks.borrow_mut().insert(instance, task)
    }

    fn kill(&self, task: TaskId) {
        let killed = self.tasks.borrow_mut().remove(task);
        drop(killed);
    }

    fn crash(&self, instance: InstanceId) {
        let crashed = self.tasks.borrow_mut().remove_all_of(instance);
        drop(crashed);
    }

    fn poll(&self, id: TaskId) {
        let Some(mut poll) = self.tasks.borrow_mut().begin_poll(id) else {
            return;
        };
        if let Some(instance) = poll.instance
            && self.draws_crash()
        {
            let ended = self.tasks.borrow_mut().end_poll(id, poll, true);
            drop(ended);
            self.count(|stats| stats.crashes += 1);
            self.crash(instance);
            return self.crashed(instance);
        }
        let has_ended = poll.run();
        let violation = self.tasks.borrow().violation();
        if let Some(violation) = violation {
            self.report(violation);
        }
        let ended = self.tasks.borrow_mut().end_poll(id, poll, has_ended);
        drop(ended);
    }

    fn draws_crash(&self) -> bool {
        let one_in = self.conditions.get().crash_one_in;
        one_in.is_some_and(|one_in| self.random.borrow_mut().u16(..one_in) == 0)
    }

    fn crashed(&self, instance: InstanceId) {
        // The hook may do anything with the world, so it is not borrowed meanwhile.
        let hook = self.on_crash.borrow_mut().take();
        if let Some(mut hook) = hook {
            hook(instance);
            self.on_crash.borrow_mut().get_or_insert(hook);
        }
    }

    fn applied(&self, swap: &AppliedSwap) {
        let hook = self.on_swap.borrow_mut().take();
        if let Some(mut hook) = hook {
            hook(swap);
            self.on_swap.borrow_mut().get_or_insert(hook);
        }
    }

    fn report(&self, violation: Violation) {
        self.violation.borrow_mut().get_or_insert(violation);
    }

    fn count(&self, change: impl FnOnce(&mut Stats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }

    fn write_log_line(&self, line: &[u8]) {
        let mut log = self.log.borrow_mut();
        if log.len() == MAX_LOG_LINES {
            log.pop_front();
        }
        log.push_back(String::from_utf8_lossy(line).trim_end().to_owned());
    }

    /// Draws the time that a call travels in one direction, in milliseconds. A local store answers within
    /// the millisecond; now and then any call takes long.
    fn draw_delay(&self) -> u64 {
        if self.conditions.get().is_instant {
            return 0;
        }
        let is_remote = self.storage.borrow().model().is_remote();
        let usual = if is_remote { 8 } else { 1 };
        let mut random = self.random.borrow_mut();
        if random.u8(..50) == 0 {
            random.u64(..60)
        } else {
            random.u64(..=usual)
        }
    }
}
