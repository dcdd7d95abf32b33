//! Writers and readers of a log in a simulated world.
//!
//! One seed makes one schedule: several publishers, a purger and several subscribers, each with the log
//! engine, the caches and the loops that production runs, over a store that misbehaves. Instances crash
//! between any two of their steps and start again; subscribers are cut off and resume. The
//! [`Checker`](checker::Checker) sees every head as it takes effect and every block that a subscriber
//! gets, and holds them against the laws of the log:
//!
//! 1. An acknowledged event is in the log once, under the id of its acknowledgement, and every later
//!    reader gets it once and in order, until retention drops it. No reader gets an event that retention
//!    does not keep, and none is told that one is gone that it does keep.
//! 2. A batch is in the log whole or not at all, and nothing follows the end of a closed log.
//! 3. No two events share an id, and no id of a purged log is one of the new.
//! 4. An event that was reported as not appended is not in the log, and no event is in it twice.
//! 5. A reader is never stuck, and every gap that is reported to it is one.
//! 6. No key stays in the store that the head does not know.
//!
//! A failing schedule prints its seed. `RUNNEL_SIM_SEED=17 cargo test -p runnel simulation` runs that
//! schedule again, `RUNNEL_SIM_SCHEDULES=100000` that many from there on.
//!
//! [`footprint`] holds the size of the store against a bound in the long run:
//! `RUNNEL_SIM_EVENTS=1000000 cargo test -p runnel footprint -- --nocapture` does so for a million events
//! on each of the stores.

mod checker;
mod coverage;
mod footprint;
mod ledger;
mod publisher;
mod scenario;
mod schedule;
mod subscriber;

use std::ops::Range;

use self::coverage::Coverage;
use self::scenario::Scenario;
use self::schedule::Schedule;
use super::{Model, Violation};
use crate::core::log::Retention;
use crate::core::log::kv::mutant::{ACTIVE, Mutant};

fn run(model: Model, seed: u64) -> Result<Coverage, Violation> {
    let mut random = fastrand::Rng::with_seed(seed);
    let scenario = Scenario::draw(&mut random);
    Schedule::new(model, scenario, random).run()
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Runs the schedules that the environment variables ask for.
fn check_laws(model: Model) {
    let first = number("RUNNEL_SIM_SEED", 0);
    let count = number("RUNNEL_SIM_SCHEDULES", if first > 0 { 1 } else { 2_000 });
    let mut total = Coverage::default();
    for seed in first..first + count {
        match run(model, seed) {
            Ok(coverage) => total.add(&coverage),
            Err(violation) => panic!("{model:?}, RUNNEL_SIM_SEED={seed}: {violation}"),
        }
    }
    println!("{model:?}: {count} schedules, {total:?}");
    if count >= 100 {
        assert!(
            total.is_complete(model),
            "the schedules leave something out: {total:?}"
        );
    }
}

#[test]
fn the_laws_hold_on_sqlite_as_spin_uses_it() {
    check_laws(Model::Sqlite);
}

#[test]
fn the_laws_hold_on_redis_as_spin_uses_it() {
    check_laws(Model::Redis);
}

#[test]
fn the_laws_hold_on_dynamodb() {
    check_laws(Model::DynamoDb);
}

#[test]
fn the_laws_hold_on_a_sound_store() {
    check_laws(Model::Sound);
}

#[test]
fn a_seed_always_makes_the_same_schedule() {
    assert_eq!(run(Model::Redis, 7), run(Model::Redis, 7));
}

/// Returns how many of 300 schedules break a law with this mistake in the code.
fn caught(mutant: Mutant, model: Model) -> usize {
    caught_in(0..300, mutant, model)
}

fn caught_in(seeds: Range<u64>, mutant: Mutant, model: Model) -> usize {
    ACTIVE.set(Some(mutant));
    let broken = seeds.clone().filter(|&seed| run(model, seed).is_err());
    let broken = broken.count();
    ACTIVE.set(None);
    println!("{mutant:?} on {model:?}: {broken} of the schedules {seeds:?} break a law");
    broken
}

#[test]
fn a_writer_that_forgets_its_nonce_is_caught() {
    assert!(caught(Mutant::ForgetsItsNonce, Model::Redis) > 100);
    assert!(caught(Mutant::ForgetsItsNonce, Model::Sound) > 10);
}

#[test]
fn a_writer_that_creates_without_a_lease_is_caught() {
    assert!(caught(Mutant::CreatesUnasked, Model::Sqlite) > 10);
}

#[test]
fn a_reader_that_serves_all_that_is_stored_is_caught() {
    let is_caught = |seed| {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut scenario = Scenario::draw(&mut random);
        scenario.served = Retention {
            events: u64::MAX,
            bytes: u64::MAX,
            max_age: None,
        };
        Schedule::new(Model::Sound, scenario, random).run().is_err()
    };
    let caught = (0..300).filter(|&seed| is_caught(seed)).count();
    println!("{caught} of 300 schedules break a law");
    assert!(caught > 50);
}

#[test]
fn a_writer_that_drops_a_record_in_a_merge_is_caught() {
    assert!(caught(Mutant::MergeDropsARecord, Model::Sound) > 10);
}

#[test]
fn a_writer_that_lists_merged_segments_without_storing_them_is_caught() {
    assert!(caught(Mutant::ListsUnstoredMerges, Model::Sound) > 10);
}

#[test]
fn a_writer_that_deletes_the_sources_of_a_merge_before_its_swap_is_caught() {
    assert!(caught(Mutant::DeletesBeforeTheMerge, Model::Sound) > 3);
}

#[test]
fn a_writer_that_forgets_a_merge_that_was_not_listed_is_caught() {
    assert!(caught_in(0..1_000, Mutant::ForgetsMerges, Model::Sound) > 0);
}

#[test]
fn a_writer_that_trims_before_the_swap_is_caught() {
    assert!(caught(Mutant::TrimsBeforeTheSwap, Model::Sound) > 10);
}
