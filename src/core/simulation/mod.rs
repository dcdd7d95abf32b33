//! Deterministic simulation of writers and readers over a store that misbehaves.
//!
//! One seed makes one schedule: several publishers, a purger and several subscribers run the real
//! [`Commit`](super::log::Commit) and [`EventStream`](super::stream::EventStream) against a model of a store,
//! in virtual time. Every call of the store takes its time, may fail before or after its effect,
//! or take effect only after it was reported failed; every actor may die between any two calls and
//! starts again. The [`Checker`](checker::Checker) sees every head as it takes effect and every
//! block a subscriber gets, and holds them against the laws of the log:
//!
//! 1. An acknowledged event is in the log once, under the id it was acknowledged with, and every
//!    later reader gets it once and in order, until retention drops it.
//! 2. A batch is in the log whole or not at all, and nothing after the end of a closed log.
//! 3. No two events share an id, and no id of a purged log is one of the new.
//! 4. What was reported as not appended is not in the log, and nothing is in it twice.
//! 5. A reader is never stuck, and a gap it is told of is one.
//! 6. No key stays in the store that the head does not know.
//!
//! A failing schedule prints its seed. `RUNNEL_SIM_SEED=17 cargo test -p runnel simulation` runs
//! that one again, `RUNNEL_SIM_SCHEDULES=100000` that many from there on.
//!
//! How much is stored in the long run is looked at in [`storage`]:
//! `RUNNEL_SIM_EVENTS=1000000 cargo test -p runnel storage -- --nocapture` does so for a million
//! events on each of the stores.

mod checker;
mod publisher;
mod setting;
mod stats;
mod storage;
mod store;
mod subscriber;
mod world;

use self::setting::Setting;
use self::stats::Stats;
use self::store::Model;
use self::world::World;
use crate::core::log::mutant::{ACTIVE, Mutant};

/// Runs one schedule and says what law it broke, if any.
fn run(model: Model, seed: u64) -> Result<Stats, String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let setting = Setting::drawn(&mut random);
    World::new(model, setting, random).run()
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Runs the schedules that the environment asks for.
fn hold(model: Model) {
    let first = number("RUNNEL_SIM_SEED", 0);
    let count = number("RUNNEL_SIM_SCHEDULES", if first > 0 { 1 } else { 2_000 });
    let mut total = Stats::default();
    for seed in first..first + count {
        match run(model, seed) {
            Ok(stats) => total.add(&stats),
            Err(broken) => panic!("{model:?}, RUNNEL_SIM_SEED={seed}: {broken}"),
        }
    }
    println!("{model:?}: {count} schedules, {total:?}");
    if count >= 100 {
        assert!(
            total.everything_happened(model),
            "the schedules leave something out: {total:?}"
        );
    }
}

#[test]
fn the_laws_hold_on_sqlite_as_spin_does_it() {
    hold(Model::Sqlite);
}

#[test]
fn the_laws_hold_on_redis_as_spin_does_it() {
    hold(Model::Redis);
}

#[test]
fn the_laws_hold_on_dynamodb() {
    hold(Model::DynamoDb);
}

#[test]
fn the_laws_hold_on_a_sound_store() {
    hold(Model::Sound);
}

#[test]
fn a_seed_makes_the_same_schedule_again() {
    assert_eq!(run(Model::Redis, 7), run(Model::Redis, 7));
}

/// How many of 300 schedules break a law with this mutant in the code.
fn caught(mutant: Mutant, model: Model) -> usize {
    ACTIVE.set(Some(mutant));
    let broken = (0..300).filter(|&seed| run(model, seed).is_err()).count();
    ACTIVE.set(None);
    broken
}

#[test]
fn a_writer_that_forgets_its_nonce_is_caught() {
    assert!(caught(Mutant::ForgetsItsNonce, Model::Redis) > 100);
    assert!(caught(Mutant::ForgetsItsNonce, Model::Sound) > 10);
}

#[test]
fn a_writer_that_creates_unasked_is_caught() {
    assert!(caught(Mutant::CreatesUnasked, Model::Sqlite) > 10);
}

#[test]
fn a_writer_that_trims_before_the_swap_is_caught() {
    assert!(caught(Mutant::TrimsBeforeTheSwap, Model::Sound) > 10);
}
