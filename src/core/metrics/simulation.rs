//! Many instances that count, write, fail and crash, over one store.

use std::rc::Rc;
use std::time::Duration;

use super::{Activity, Counter, Metrics, MetricsWriter, Slot, block};
use crate::core::environment::Environment;
use crate::core::logging::Logger;
use crate::core::store::StoreClient;
use crate::simulation::{Conditions, Model, SimulatedEnvironment, SimulatedStore, World};

const INSTANCES: usize = 20;

/// The counter that everything is counted by.
const COUNTER: Counter = Counter::StreamsOpened;

/// One write in five fails, half of them after their effect. The store is local: once a call has failed,
/// it is over.
const FAILING: Conditions = Conditions {
    fail_before_percent: 10,
    fail_after_percent: 10,
    ..Conditions::CALM
};

/// An instance, until it is idle and has written everything, or crashes.
struct LiveInstance {
    env: SimulatedEnvironment,
    metrics: Metrics,
    writer: MetricsWriter<SimulatedEnvironment, SimulatedStore>,
    /// Keeps it busy.
    activity: Option<Activity>,
}

impl LiveInstance {
    fn begin(world: &World, env: &SimulatedEnvironment) -> Self {
        let metrics = Metrics::new(world.random(|random| random.u64(1..)));
        let store = StoreClient::new(env.clone(), env.store(), metrics.clone());
        let logger = Logger::new(env.clone(), metrics.clone());
        let writer = MetricsWriter::new(env.clone(), store, metrics.clone(), logger);
        writer.set_interval(Some(Duration::from_secs(
            world.random(|random| random.u64(1..=5)),
        )));
        Self {
            env: env.clone(),
            activity: Some(writer.begin_activity()),
            metrics,
            writer,
        }
    }

    fn unwritten(&self) -> u64 {
        self.metrics.with(|recorder| recorder.unwritten(COUNTER))
    }

    fn ambiguous(&self) -> u64 {
        self.metrics.with(|recorder| recorder.ambiguous(COUNTER))
    }
}

/// The results of a run.
#[derive(Debug)]
struct Totals {
    /// Everything that was counted.
    counted: u64,
    /// The part of it that is stored.
    stored: u64,
    /// The part of it that was not known to be stored when its instance crashed.
    lost: u64,
    /// The part of it that may be stored twice: its write was reported as failed, and two other instances
    /// owned the slot before its own could see the outcome.
    ambiguous: u64,
    /// The number of slots.
    slots: usize,
}

/// The times at which instances crash.
#[derive(Clone, Copy, PartialEq)]
enum Crashes {
    Never,
    /// At any time but during a write.
    BetweenWrites,
    AtAnyTime,
}

/// Runs a schedule. With `idle` instances become idle and release their slots now and then.
fn run(seed: u64, model: Model, conditions: Conditions, crashes: Crashes, idle: bool) -> Totals {
    let world = World::new(model, conditions, fastrand::Rng::with_seed(seed));
    let envs: Vec<_> = (0..INSTANCES).map(|_| world.instance()).collect();
    let mut instances: Vec<_> = envs
        .iter()
        .map(|env| LiveInstance::begin(&world, env))
        .collect();
    let (mut counted, mut lost, mut ambiguous) = (0, 0, 0);
    for _ in 0..2_000 {
        let pause = world.random(|random| random.u64(..200));
        world.run_for(Duration::from_millis(pause)).unwrap();
        let instance = &mut instances[world.random(|random| random.usize(..INSTANCES))];
        match world.random(|random| random.u8(..10)) {
            0 if idle => instance.activity = None,
            1 if crashes != Crashes::Never => {
                let is_writing = instance.metrics.with(|recorder| recorder.is_in_doubt());
                if crashes == Crashes::AtAnyTime || !is_writing {
                    lost += instance.unwritten();
                    ambiguous += instance.ambiguous();
                    world.crash(instance.env.id());
                    *instance = LiveInstance::begin(&world, &instance.env.clone());
                }
            }
            2..=4 => instance.activity = Some(instance.writer.begin_activity()),
            _ => {
                // Counts outside of any activity would be written with those of the next.
                let activity = instance.writer.begin_activity();
                instance.activity.get_or_insert(activity);
                let count = world.random(|random| random.u64(1..9));
                instance.metrics.add(COUNTER, count);
                counted += count;
            }
        }
    }
    finish(&world, &mut instances);
    let slots = stored_slots(&world);
    Totals {
        counted,
        stored: slots.iter().map(|slot| slot.counts.counter(0, 0)).sum(),
        lost,
        ambiguous: ambiguous + instances.iter().map(LiveInstance::ambiguous).sum::<u64>(),
        slots: slots.len(),
    }
}

/// Lets all instances become idle and write the rest, without further failures.
fn finish(world: &World, instances: &mut [LiveInstance]) {
    world.set_conditions(Conditions::CALM);
    for instance in instances.iter_mut() {
        // An instance that gave its counts up after too many failures writes them with its next request.
        instance.activity = Some(instance.writer.begin_activity());
        instance.activity = None;
    }
    world.run_until(|| false).unwrap();
    assert!(instances.iter().all(|instance| instance.unwritten() == 0));
}

fn stored_slots(world: &World) -> Vec<Slot> {
    let reader = world.instance();
    let metrics = Metrics::new(1);
    let store = StoreClient::new(reader.clone(), reader.store(), metrics.clone());
    let logger = Logger::new(reader.clone(), metrics.clone());
    let writer = MetricsWriter::new(reader.clone(), store, metrics, logger);
    let slots = Rc::new(std::cell::RefCell::new(None));
    let found = slots.clone();
    reader.spawn(async move {
        *found.borrow_mut() = Some(writer.read_slots().await.unwrap());
    });
    world.run_until(|| slots.borrow().is_some()).unwrap();
    slots.take().unwrap()
}

#[test]
fn the_slots_add_up_to_what_was_counted() {
    for seed in 0..200 {
        let totals = run(seed, Model::Sound, Conditions::CALM, Crashes::Never, true);
        assert_eq!(totals.counted, totals.stored, "seed {seed}");
        assert!(
            totals.slots <= block(3).end as usize,
            "seed {seed}: {totals:?}"
        );
    }
}

#[test]
fn writes_that_are_reported_failed_are_neither_lost_nor_counted_twice() {
    for seed in 0..200 {
        let totals = run(seed, Model::Sqlite, FAILING, Crashes::Never, false);
        assert_eq!(totals.counted, totals.stored, "seed {seed}: {totals:?}");
        assert!(
            totals.slots <= block(3).end as usize,
            "seed {seed}: {totals:?}"
        );
    }
}

#[test]
fn only_a_slot_that_two_others_have_owned_hides_the_outcome_of_a_write() {
    for seed in 0..200 {
        let totals = run(seed, Model::Sqlite, FAILING, Crashes::Never, true);
        let range = totals.counted..=totals.counted + totals.ambiguous;
        assert!(range.contains(&totals.stored), "seed {seed}: {totals:?}");
        assert!(
            totals.slots <= block(3).end as usize,
            "seed {seed}: {totals:?}"
        );
    }
}

#[test]
fn swaps_that_are_always_reported_lost_change_nothing() {
    for seed in 0..50 {
        let totals = run(seed, Model::Redis, Conditions::CALM, Crashes::Never, true);
        assert_eq!(totals.counted, totals.stored, "seed {seed}");
        assert!(
            totals.slots <= block(3).end as usize,
            "seed {seed}: {totals:?}"
        );
    }
}

#[test]
fn only_counts_that_were_not_written_are_lost_with_their_instance() {
    for seed in 0..200 {
        let totals = run(
            seed,
            Model::Sound,
            Conditions::CALM,
            Crashes::BetweenWrites,
            true,
        );
        assert_eq!(totals.counted, totals.stored + totals.lost, "seed {seed}");
        assert!(
            totals.slots <= block(3).end as usize,
            "seed {seed}: {totals:?}"
        );
    }
}

#[test]
fn a_crash_during_a_write_neither_loses_other_counts_nor_counts_twice() {
    for seed in 0..200 {
        let totals = run(seed, Model::Sound, FAILING, Crashes::AtAnyTime, true);
        let Totals {
            counted,
            stored,
            lost,
            ambiguous,
            ..
        } = totals;
        let range = counted.saturating_sub(lost)..=counted + ambiguous;
        assert!(range.contains(&stored), "seed {seed}: {totals:?}");
    }
}
