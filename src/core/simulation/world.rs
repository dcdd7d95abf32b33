//! Virtual time, faults, and the actors' turns.

use std::collections::BTreeMap;

use super::checker::Checker;
use super::publisher::Publisher;
use super::setting::{Outages, Setting};
use super::stats::Stats;
use super::store::{Answer, Call, Model, Store};
use super::subscriber::Subscriber;
use crate::core::channel::Channel;
use crate::core::log::{ClockReading, Head, Retention, head_key};
use crate::core::stream::SharedFrames;
use crate::core::time::{Instant, Timestamp};

/// What an actor wants next.
pub(super) enum Next {
    Call(Call),
    Sleep(u64),
    /// Nothing until the end.
    Rest,
}

enum Actor {
    Publisher(Box<Publisher>),
    Subscriber(Box<Subscriber>),
}

/// What every actor works with.
pub(super) struct Scene {
    pub(super) channel: Channel,
    pub(super) retention: Retention,
    pub(super) random: fastrand::Rng,
    pub(super) checker: Checker,
    pub(super) stats: Stats,
    /// What the subscribers share, as streams of one instance do.
    pub(super) frames: SharedFrames,
}

/// Little enough that much of it is forgotten in each run.
const SHARED_BYTES: usize = 4_000;

/// Something that will happen.
enum Turn {
    /// The call takes effect; if somebody still waits for it, its answer is noted.
    Effect {
        call: Call,
        by: usize,
        answered: Option<u64>,
    },
    /// The actor is woken, with the answer of its call if it made one.
    Wake {
        actor: usize,
        life: u64,
        answer: Option<u64>,
    },
}

pub(super) struct World {
    model: Model,
    scene: Scene,
    now: u64,
    /// How many turns were ever to come: turns of the same time are taken in order.
    order: u64,
    /// By when they are and by their order.
    turns: BTreeMap<(u64, u64), Turn>,
    /// Answers that are on their way, by the number of their call.
    answers: BTreeMap<u64, Answer>,
    actors: Vec<Actor>,
    /// How often each actor has died: what was meant for an earlier life does not reach it.
    lives: Vec<u64>,
    store: Store,
    faults: bool,
    outages: Outages,
}

/// Enough for every schedule to come to rest; reaching it means that something spins.
const MAX_TURNS: u64 = 400_000;

impl World {
    pub(super) fn new(model: Model, setting: Setting, random: fastrand::Rng) -> Self {
        let publishers = setting.publishers.into_iter();
        let mut actors: Vec<_> = publishers
            .map(|publisher| Actor::Publisher(Box::new(publisher)))
            .collect();
        actors.extend(
            (0..setting.subscribers).map(|_| Actor::Subscriber(Box::new(Subscriber::new()))),
        );
        let mut world = Self {
            model,
            scene: Scene {
                channel: "simulated".parse().unwrap(),
                retention: setting.retention,
                random,
                checker: Checker::default(),
                stats: Stats::default(),
                frames: SharedFrames::new(SHARED_BYTES),
            },
            now: 1_000_000,
            order: 0,
            turns: BTreeMap::new(),
            answers: BTreeMap::new(),
            lives: vec![0; actors.len()],
            actors,
            store: Store::new(model),
            faults: true,
            outages: setting.outages,
        };
        for actor in 0..world.actors.len() {
            let delay = world.scene.random.u64(..5);
            world.wake(actor, delay, None);
        }
        world
    }

    /// Runs until the publishers have published all they wanted to and everything is at rest.
    pub(super) fn run(mut self) -> Result<Stats, String> {
        self.until(Self::is_all_published)?;
        self.rest()?;
        Ok(self.stats())
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            events: self.events(),
            ..self.scene.stats.clone()
        }
    }

    pub(super) const fn store(&self) -> &Store {
        &self.store
    }

    pub(super) fn events(&self) -> u64 {
        self.scene.checker.events()
    }

    fn is_all_published(&self) -> bool {
        self.actors.iter().all(|actor| match actor {
            Actor::Publisher(publisher) => publisher.is_done(),
            Actor::Subscriber(_) => true,
        })
    }

    /// No more faults; two commits, a minute apart, empty the trash; clients come back. Then all
    /// that is to be true at rest must be.
    pub(super) fn rest(&mut self) -> Result<(), String> {
        self.faults = false;
        for _ in 0..2 {
            self.now += 61_000;
            let publisher = self
                .actors
                .iter()
                .position(|actor| matches!(actor, Actor::Publisher(_)));
            let publisher = publisher.ok_or("no publisher")?;
            if let Some(Actor::Publisher(publisher)) = self.actors.get_mut(publisher) {
                publisher.once_more();
            }
            self.lives[publisher] += 1;
            self.wake(publisher, 1, None);
            self.until(Self::is_all_published)?;
        }
        self.clients_come_back();
        let rest = self.now + 10_000;
        self.until(|world| world.now >= rest)?;
        self.scene.checker.publishers_at_rest()?;
        self.keys_are_known()?;
        for actor in &self.actors {
            if let Actor::Subscriber(subscriber) = actor {
                self.scene.checker.subscriber_at_rest(subscriber.last())?;
            }
        }
        Ok(())
    }

    /// Every key in the store is one that the head knows.
    pub(super) fn keys_are_known(&self) -> Result<(), String> {
        self.scene
            .checker
            .keys_are_known(&self.store, &self.scene.channel)
    }

    /// Publishers finish the commits that they are at, and make no more.
    pub(super) fn stop_publishing(&mut self) -> Result<(), String> {
        for actor in &mut self.actors {
            if let Actor::Publisher(publisher) = actor {
                publisher.stop();
            }
        }
        self.until(Self::is_all_published)
    }

    /// Subscribers begin new streams, also those that were told of an end.
    pub(super) fn clients_come_back(&mut self) {
        for actor in 0..self.actors.len() {
            if let Actor::Subscriber(subscriber) = &mut self.actors[actor] {
                subscriber.come_back();
                self.lives[actor] += 1;
                self.wake(actor, 1, None);
            }
        }
    }

    pub(super) fn until(&mut self, mut done: impl FnMut(&Self) -> bool) -> Result<(), String> {
        let mut turns = 0;
        while !done(self) {
            let Some(((at, _), turn)) = self.turns.pop_first() else {
                return Ok(());
            };
            self.now = self.now.max(at);
            self.take(turn)?;
            turns += 1;
            if turns > MAX_TURNS {
                return Err("law 5: something spins".to_owned());
            }
        }
        Ok(())
    }

    fn push(&mut self, delay: u64, turn: Turn) {
        self.order += 1;
        self.turns.insert((self.now + delay, self.order), turn);
    }

    fn wake(&mut self, actor: usize, delay: u64, answer: Option<u64>) {
        let life = self.lives[actor];
        self.push(
            delay,
            Turn::Wake {
                actor,
                life,
                answer,
            },
        );
    }

    fn take(&mut self, turn: Turn) -> Result<(), String> {
        match turn {
            Turn::Effect { call, by, answered } => self.effect(call, by, answered),
            Turn::Wake {
                actor,
                life,
                answer,
            } => {
                let answer = answer.and_then(|answer| self.answers.remove(&answer));
                if life != self.lives[actor] {
                    return Ok(());
                }
                if self.faults && self.scene.random.u16(..400) == 0 {
                    self.crash(actor);
                    return Ok(());
                }
                self.step(actor, answer)
            }
        }
    }

    fn crash(&mut self, actor: usize) {
        self.lives[actor] += 1;
        match &mut self.actors[actor] {
            Actor::Publisher(publisher) => {
                self.scene.stats.crashes += 1;
                publisher.crash(&mut self.scene.checker);
            }
            Actor::Subscriber(subscriber) => {
                self.scene.stats.disconnects += 1;
                subscriber.crash();
            }
        }
        let delay = self.scene.random.u64(1..=500);
        self.wake(actor, delay, None);
    }

    fn step(&mut self, actor: usize, answer: Option<Answer>) -> Result<(), String> {
        let now = ClockReading {
            monotonic: Instant(self.now),
            wall: Timestamp(1_700_000_000_000 + self.now),
        };
        let next = match &mut self.actors[actor] {
            Actor::Publisher(publisher) => publisher.step(answer, now, &mut self.scene),
            Actor::Subscriber(subscriber) => subscriber.step(answer, now, &mut self.scene)?,
        };
        match next {
            Next::Rest => {}
            Next::Sleep(millis) => self.wake(actor, millis.max(1), None),
            Next::Call(call) => self.call(actor, call),
        }
        Ok(())
    }

    /// Schedules a call's effect and its answer, which need not have to do with each other.
    fn call(&mut self, actor: usize, call: Call) {
        self.scene.stats.calls += 1;
        let slot = self.scene.stats.calls;
        // A local store answers within the millisecond; now and then any call takes long.
        let most = if self.model.is_remote() { 8 } else { 1 };
        let mut delay = || {
            if self.scene.random.u8(..50) == 0 {
                self.scene.random.u64(..60)
            } else {
                self.scene.random.u64(..=most)
            }
        };
        let (there, back) = (delay(), delay());
        let fault = match self.faults {
            true if self.outages.contain(self.now) => 0,
            true => self.scene.random.u8(..100),
            false => u8::MAX,
        };
        match fault {
            // Before the effect.
            0..=2 => {
                self.scene.stats.faults += 1;
                self.answers.insert(slot, call.failed());
                self.wake(actor, there + back, Some(slot));
            }
            // After the effect.
            3..=4 => {
                self.scene.stats.faults += 1;
                self.answers.insert(slot, call.failed());
                self.push(
                    there,
                    Turn::Effect {
                        call,
                        by: actor,
                        answered: None,
                    },
                );
                self.wake(actor, there + back, Some(slot));
            }
            // Reported failed, in effect later.
            5..=6 if self.model.is_remote() => {
                self.scene.stats.late += 1;
                self.answers.insert(slot, call.failed());
                self.wake(actor, there + back, Some(slot));
                let late = there + back + self.scene.random.u64(1..=300);
                self.push(
                    late,
                    Turn::Effect {
                        call,
                        by: actor,
                        answered: None,
                    },
                );
            }
            _ => {
                self.push(
                    there,
                    Turn::Effect {
                        call,
                        by: actor,
                        answered: Some(slot),
                    },
                );
                self.wake(actor, there + back, Some(slot));
            }
        }
    }

    fn effect(&mut self, call: Call, by: usize, answered: Option<u64>) -> Result<(), String> {
        let (answer, written) = self.store.apply(call, self.now, &mut self.scene.random);
        if let Some(slot) = answered {
            self.answers.insert(slot, answer);
        }
        if let Some((key, value)) = written
            && key == head_key(&self.scene.channel)
        {
            let head = Head::decode(&key, &value).map_err(|error| error.to_string())?;
            let purged =
                matches!(&self.actors[by], Actor::Publisher(publisher) if publisher.purges);
            self.scene.checker.head_written(&head, purged)?;
        }
        Ok(())
    }
}
