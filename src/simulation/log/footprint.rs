//! The size of the store in the long run: no more than retention, pending deletes and creation account
//! for, after any number of events and crashes.

use super::super::{Conditions, Model, Outages, Size, Violation};
use super::number;
use super::scenario::{Habits, LARGE_BYTES, PublisherPlan, Scenario};
use super::schedule::Schedule;
use crate::core::log::Retention;
use crate::core::log::kv::segment::SEGMENT_BYTES;
use crate::core::log::kv::{MAX_GROUP_BYTES, MERGED_BYTES};

const RETENTION: Retention = Retention {
    events: 1_000,
    bytes: 256 * 1024,
    max_age: None,
};

/// At this pace the pending deletes of half a minute are about as many as heads may list.
const HABITS: Habits = Habits {
    bytes: 400,
    large_one_in: 64,
    closes_one_in: 10_000,
    purge_millis: 120_000,
};

/// The most segments that a head lists for deletion after a commit, besides those that the commit has
/// just dropped: 256, and up to 16 more that are not worth a call of the store yet.
const PENDING_DELETES: usize = 256 + 16;

/// A head has fewer bytes than this.
const HEAD_BYTES: usize = 100_000;

/// A segment has fewer bytes than this: one large event, its time, and the header.
const MOST_SEGMENT_BYTES: usize = LARGE_BYTES + 100;

/// Returns the most segments that this many bytes of records make. A segment ends where the first record
/// of the next would take it past its size, so any two neighbours have more than that.
const fn segments_of(bytes: usize) -> usize {
    2 * (bytes / SEGMENT_BYTES) + 2
}

/// Returns the largest size at any time of a store with this many counters.
const fn bound(counters: usize) -> Size {
    // Whole segments are dropped, so up to a merged one is kept besides what retention asks for.
    let kept_bytes = RETENTION.bytes as usize + MERGED_BYTES as usize;
    // An instance may be storing, or have crashed storing, what can be sealed of a head, and a merge.
    let kept = segments_of(kept_bytes) + segments_of(MAX_GROUP_BYTES) + 1;
    // A purge lists all of that for deletion; a commit that merges lists the sources.
    let segments = kept + PENDING_DELETES + kept;
    // Of the pending deletes, one in seven is a merged segment, the others are its sources; a few merges
    // were not listed.
    let merged = segments / 5;
    Size {
        keys: 1 + counters + segments,
        bytes: HEAD_BYTES
            + counters * size_of::<i64>()
            + (segments - merged) * MOST_SEGMENT_BYTES
            + merged * (MERGED_BYTES as usize + 100),
    }
}

fn scenario() -> Scenario {
    let publisher = |purges| PublisherPlan {
        purges,
        rounds: u32::MAX,
        habits: HABITS,
    };
    Scenario {
        publishers: [false, false, false, false, true].map(publisher).to_vec(),
        subscribers: 1,
        retention: RETENTION,
        served: RETENTION,
        conditions: Conditions {
            outages: Some(Outages {
                begin: 1_030_000,
                length: 8_000,
                every: 120_000,
            }),
            ..Conditions::ROUGH
        },
    }
}

/// The largest size so far, and a table of sizes on the way.
struct Sizes {
    most: Size,
    table: String,
}

impl Sizes {
    fn new() -> Self {
        let table = "| events | keys | bytes | most keys | most bytes | crashes | purges |\n\
                     |---|---|---|---|---|---|---|\n";
        Self {
            most: Size::default(),
            table: table.to_owned(),
        }
    }

    fn observe(&mut self, size: Size) {
        self.most.keys = self.most.keys.max(size.keys);
        self.most.bytes = self.most.bytes.max(size.bytes);
    }

    fn add_row(&mut self, schedule: &Schedule) {
        let (now, most, coverage) = (schedule.size().0, self.most, schedule.coverage());
        self.table += &format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            coverage.events,
            now.keys,
            now.bytes,
            most.keys,
            most.bytes,
            coverage.crashes,
            coverage.purges
        );
    }

    fn check(&self, bound: Size) -> Result<(), Violation> {
        if self.most.keys > bound.keys || self.most.bytes > bound.bytes {
            let law = format!("law 6: {:?}, more than {bound:?}", self.most);
            return Err(Violation(law));
        }
        Ok(())
    }
}

/// Publishes `thousands` of thousands of events, and observes the size of the store at every step.
fn publish(schedule: &Schedule, thousands: u64, sizes: &mut Sizes) -> Result<(), Violation> {
    for thousand in 1..=thousands {
        schedule.run_until(|schedule| {
            sizes.observe(schedule.size().0);
            schedule.events() >= thousand * 1_000
        })?;
        sizes.check(bound(schedule.size().1))?;
        schedule.keys_are_known()?;
        schedule.reconnect_clients();
        if thousand * 10 % thousands < 10 {
            sizes.add_row(schedule);
        }
    }
    schedule.stop_publishing()?;
    schedule.come_to_rest()?;
    sizes.add_row(schedule);
    Ok(())
}

fn check_footprint(model: Model) {
    let seed = number("RUNNEL_SIM_SEED", 1);
    let events = number("RUNNEL_SIM_EVENTS", 20_000);
    let schedule = Schedule::new(model, scenario(), fastrand::Rng::with_seed(seed));
    let mut sizes = Sizes::new();
    let result = publish(&schedule, events.div_ceil(1_000), &mut sizes);
    let counters = schedule.size().1;
    println!(
        "{model:?}, {counters} counters, at most {:?}; the last line is at rest:\n\n{}",
        bound(counters),
        sizes.table
    );
    if let Err(violation) = result {
        panic!("{model:?}, RUNNEL_SIM_SEED={seed} RUNNEL_SIM_EVENTS={events}: {violation}");
    }
    assert!(schedule.coverage().crashes > 0);
}

#[test]
fn the_footprint_is_bounded_on_sqlite_as_spin_uses_it() {
    check_footprint(Model::Sqlite);
}

#[test]
fn the_footprint_is_bounded_on_redis_as_spin_uses_it() {
    check_footprint(Model::Redis);
}

#[test]
fn the_footprint_is_bounded_on_dynamodb() {
    check_footprint(Model::DynamoDb);
}

#[test]
fn the_footprint_is_bounded_on_a_sound_store() {
    check_footprint(Model::Sound);
}
