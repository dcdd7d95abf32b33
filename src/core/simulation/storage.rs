//! How much is stored in the long run: no more than retention, the trash and creation account for,
//! however many events there were and whoever died when.

use super::number;
use super::publisher::{Habits, LARGE_BYTES, Publisher};
use super::setting::{Outages, Setting};
use super::store::{Model, Size};
use super::world::World;
use crate::core::log::{MAX_GROUP_BYTES, Retention, segment::SEGMENT_BYTES};

const RETENTION: Retention = Retention {
    events: 1_000,
    bytes: 256 * 1024,
    seconds: 0,
};

/// At this pace the trash of half a minute is about as much as heads may list.
const HABITS: Habits = Habits {
    bytes: 400,
    large_one_in: 64,
    closes_one_in: 10_000,
    purge_millis: 120_000,
};

/// Segments that may be in the trash of a head after a commit, besides those that the commit has
/// just put there: 256, and up to 16 more that are not yet worth a call of the store.
const TRASH: usize = 256 + 16;

/// A head has fewer bytes than this.
const HEAD_BYTES: usize = 100_000;

/// A segment has fewer bytes than this: one large event, its time, and the segment's header.
const MOST_SEGMENT_BYTES: usize = LARGE_BYTES + 100;

/// How many segments so many bytes of records make at most. One ends where the first record of the
/// next would take it past the size of a segment, so any two neighbours have more than that.
const fn segments_of(bytes: usize) -> usize {
    2 * (bytes / SEGMENT_BYTES) + 2
}

/// The most there may be at any time in a store with so many counters.
const fn bound(counters: usize) -> Size {
    // Somebody may be storing, or have died storing, what can be sealed of a head.
    let kept = segments_of(RETENTION.bytes as usize) + segments_of(MAX_GROUP_BYTES);
    // A purge puts all of that into the trash.
    let segments = kept + TRASH + kept;
    Size {
        keys: 1 + counters + segments,
        bytes: HEAD_BYTES + counters * size_of::<i64>() + segments * MOST_SEGMENT_BYTES,
    }
}

fn setting() -> Setting {
    let publisher = |name| Publisher::new(name, name == 4, u32::MAX, HABITS);
    Setting {
        publishers: (0..=4).map(publisher).collect(),
        subscribers: 1,
        retention: RETENTION,
        outages: Outages {
            begin: 1_030_000,
            length: 8_000,
            every: 120_000,
        },
    }
}

/// What the store held on the way, as a table.
struct Ledger {
    most: Size,
    table: String,
}

impl Ledger {
    fn new() -> Self {
        let table = "| events | keys | bytes | most keys | most bytes | crashes | purges |\n\
                     |---|---|---|---|---|---|---|\n";
        Self {
            most: Size::default(),
            table: table.to_owned(),
        }
    }

    fn look(&mut self, size: Size) {
        self.most.keys = self.most.keys.max(size.keys);
        self.most.bytes = self.most.bytes.max(size.bytes);
    }

    fn note(&mut self, world: &World) {
        let (now, most, stats) = (world.store().size(), self.most, world.stats());
        self.table += &format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            stats.events, now.keys, now.bytes, most.keys, most.bytes, stats.crashes, stats.purges
        );
    }

    fn check(&self, bound: Size) -> Result<(), String> {
        if self.most.keys > bound.keys || self.most.bytes > bound.bytes {
            return Err(format!("law 6: {:?}, more than {bound:?}", self.most));
        }
        Ok(())
    }
}

/// Has so many thousands of events published and looks at the store before every turn.
fn publish(world: &mut World, thousands: u64, ledger: &mut Ledger) -> Result<(), String> {
    for thousand in 1..=thousands {
        world.until(|world| {
            ledger.look(world.store().size());
            world.events() >= thousand * 1_000
        })?;
        ledger.check(bound(world.store().counters()))?;
        world.keys_are_known()?;
        world.clients_come_back();
        if thousand * 10 % thousands < 10 {
            ledger.note(world);
        }
    }
    world.stop_publishing()?;
    world.rest()?;
    ledger.note(world);
    Ok(())
}

fn hold(model: Model) {
    let seed = number("RUNNEL_SIM_SEED", 1);
    let events = number("RUNNEL_SIM_EVENTS", 20_000);
    let mut world = World::new(model, setting(), fastrand::Rng::with_seed(seed));
    let mut ledger = Ledger::new();
    let held = publish(&mut world, events.div_ceil(1_000), &mut ledger);
    let counters = world.store().counters();
    println!(
        "{model:?}, {counters} counters, at most {:?}; the last line is at rest:\n\n{}",
        bound(counters),
        ledger.table
    );
    if let Err(broken) = held {
        panic!("{model:?}, RUNNEL_SIM_SEED={seed} RUNNEL_SIM_EVENTS={events}: {broken}");
    }
    assert!(world.stats().crashes > 0);
}

#[test]
fn storage_stays_bounded_on_sqlite_as_spin_does_it() {
    hold(Model::Sqlite);
}

#[test]
fn storage_stays_bounded_on_redis_as_spin_does_it() {
    hold(Model::Redis);
}

#[test]
fn storage_stays_bounded_on_dynamodb() {
    hold(Model::DynamoDb);
}

#[test]
fn storage_stays_bounded_on_a_sound_store() {
    hold(Model::Sound);
}
