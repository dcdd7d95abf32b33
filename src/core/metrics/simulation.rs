//! Many instances that count, write, fail and vanish, over one store.

use std::collections::BTreeMap;

use super::{Counter, PROBES, Recorder, Slot, block, probe};
use crate::core::time::Timestamp;

struct Instance {
    recorder: Recorder,
    slot: Option<u32>,
    /// Counted and not known to be written.
    unwritten: u64,
}

/// What the store did with a write.
#[derive(Clone, Copy)]
enum Fate {
    Done,
    /// It failed.
    Failed,
    /// It took place, and was said to have failed.
    DoneAndFailed,
}

struct World {
    random: fastrand::Rng,
    store: BTreeMap<u32, Vec<u8>>,
    now: Timestamp,
    failures: bool,
}

impl World {
    fn fate(&mut self) -> Fate {
        match self.random.u8(..10) {
            0 if self.failures => Fate::Failed,
            1 if self.failures => Fate::DoneAndFailed,
            _ => Fate::Done,
        }
    }

    /// Writes what an instance has counted, as the platform does.
    fn flush(&mut self, instance: &mut Instance, gives_back: bool) {
        let mut tried = 0;
        let mut next = instance.slot;
        while let Some(slot) = next.or_else(|| probe(tried, self.random.u64(..))) {
            let stored = self.store.get(&slot);
            let stored = stored.map_or(Slot::default(), |bytes| Slot::decode(bytes).unwrap());
            let Some(value) = instance.recorder.write(stored, self.now, gives_back) else {
                (instance.slot, next) = (None, None);
                tried += 1;
                continue;
            };
            let fate = self.fate();
            if !matches!(fate, Fate::Failed) {
                self.store.insert(slot, value.encode().unwrap());
            }
            if matches!(fate, Fate::Done) {
                instance.recorder.wrote();
                instance.slot = (!gives_back).then_some(slot);
                instance.unwritten = 0;
                return;
            }
            // It looks at the same slot again, now or at the next time.
            instance.slot = Some(slot);
            next = instance.slot;
            if self.random.bool() {
                return;
            }
        }
        assert!(tried == PROBES);
    }

    fn slots(&self) -> impl Iterator<Item = Slot> {
        self.store
            .values()
            .map(|bytes| Slot::decode(bytes).unwrap())
    }

    fn total(&self) -> u64 {
        self.slots().map(|slot| slot.counts.counter(0, 0)).sum()
    }
}

fn instance(random: &mut fastrand::Rng) -> Instance {
    Instance {
        recorder: Recorder::new(random.u64(1..)),
        slot: None,
        unwritten: 0,
    }
}

/// What was counted, what of it the store has, what vanished with its instances, and how many slots
/// there are.
fn run(seed: u64, failures: bool, vanishing: bool) -> (u64, u64, u64, usize) {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut instances: Vec<_> = (0..20).map(|_| instance(&mut random)).collect();
    let mut world = World {
        random,
        store: BTreeMap::new(),
        now: Timestamp(1_000_000),
        failures,
    };
    let (mut counted, mut vanished) = (0, 0);
    for _ in 0..2_000 {
        world.now.0 += world.random.u64(..200);
        let chosen = world.random.usize(..instances.len());
        let instance = &mut instances[chosen];
        match world.random.u8(..10) {
            0 => {
                while !instance.recorder.is_clean() {
                    world.flush(instance, true);
                }
                instances[chosen] = self::instance(&mut world.random);
            }
            1 if vanishing => {
                vanished += instance.unwritten;
                instances[chosen] = self::instance(&mut world.random);
            }
            2..=4 => world.flush(instance, false),
            _ => {
                let count = world.random.u64(1..9);
                instance.recorder.add(Counter::StreamsOpened, count);
                instance.unwritten += count;
                counted += count;
            }
        }
    }
    for instance in &mut instances {
        while !instance.recorder.is_clean() {
            world.flush(instance, true);
        }
    }
    (counted, world.total(), vanished, world.store.len())
}

#[test]
fn the_slots_add_up_to_what_was_counted() {
    for seed in 0..200 {
        let (counted, total, _, slots) = run(seed, false, false);
        assert_eq!(counted, total, "seed {seed}");
        assert!(slots <= block(3).end as usize, "seed {seed}: {slots} slots");
    }
}

#[test]
fn a_store_that_says_that_writes_failed_changes_nothing() {
    for seed in 0..200 {
        let (counted, total, _, slots) = run(seed, true, false);
        assert_eq!(counted, total, "seed {seed}");
        assert!(slots <= block(3).end as usize, "seed {seed}: {slots} slots");
    }
}

#[test]
fn what_is_missing_was_not_written_when_its_instance_vanished() {
    for seed in 0..200 {
        let (counted, total, vanished, slots) = run(seed, false, true);
        assert_eq!(counted, total + vanished, "seed {seed}");
        assert!(slots <= block(3).end as usize, "seed {seed}: {slots} slots");
    }
}
