//! Virtual time, faults, and the actors' turns.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::checker::Checker;
use super::publisher::Publisher;
use super::store::{Answer, Call, Model, Store};
use super::subscriber::Subscriber;
use crate::core::channel::Channel;
use crate::core::log::{Head, Now, Retention, head_key};
use crate::core::time::{Millis, Mono};

/// What an actor wants next.
pub(super) enum Next {
    Call(Call),
    Sleep(u64),
    /// Nothing until the end.
    Rest,
}

/// What happened in a schedule, so that it can be seen that something did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stats {
    pub(super) events: u64,
    pub(super) read: u64,
    pub(super) streams: u64,
    pub(super) gaps: u64,
    pub(super) ends: u64,
    pub(super) purges: u64,
    pub(super) repeated: u64,
    pub(super) failures: u64,
    crashes: u64,
    calls: u64,
    faults: u64,
    late: u64,
}

impl Stats {
    pub(super) fn add(&mut self, other: &Self) {
        let Self {
            events,
            read,
            streams,
            gaps,
            ends,
            purges,
            repeated,
            failures,
            crashes,
            calls,
            faults,
            late,
        } = other;
        let sums = [
            (&mut self.events, events),
            (&mut self.read, read),
            (&mut self.streams, streams),
            (&mut self.gaps, gaps),
            (&mut self.ends, ends),
            (&mut self.purges, purges),
            (&mut self.repeated, repeated),
            (&mut self.failures, failures),
            (&mut self.crashes, crashes),
            (&mut self.calls, calls),
            (&mut self.faults, faults),
            (&mut self.late, late),
        ];
        for (sum, value) in sums {
            *sum += value;
        }
    }

    pub(super) fn everything_happened(&self, model: Model) -> bool {
        let Self {
            events,
            read,
            streams,
            gaps,
            ends,
            purges,
            repeated,
            failures,
            crashes,
            calls,
            faults,
            late,
        } = *self;
        let always = [
            events, read, streams, gaps, ends, purges, repeated, failures, crashes, calls, faults,
        ];
        always.iter().all(|&count| count > 0) && (late > 0) == model.is_remote()
    }
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
}

/// Something that will happen.
enum Turn {
    /// The call takes effect; if somebody still waits for it, its answer is noted.
    Effect {
        call: Call,
        by: usize,
        answered: Option<usize>,
    },
    /// The actor is woken, with the answer of its call if it made one.
    Wake {
        actor: usize,
        life: u64,
        answer: Option<usize>,
    },
}

pub(super) struct World {
    model: Model,
    scene: Scene,
    now: u64,
    order: u64,
    turns: BinaryHeap<Reverse<(u64, u64, usize)>>,
    pending: Vec<Option<Turn>>,
    answers: Vec<Option<Answer>>,
    actors: Vec<Actor>,
    /// How often each actor has died: what was meant for an earlier life does not reach it.
    lives: Vec<u64>,
    store: Store,
    faults: bool,
    /// A time in which every call fails.
    outage: std::ops::Range<u64>,
}

/// Enough for every schedule to come to rest; reaching it means that something spins.
const MAX_TURNS: u64 = 400_000;

impl World {
    pub(super) fn new(model: Model, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let publishers = random.usize(2..=4);
        let publisher = |name, purges, commits| {
            Actor::Publisher(Box::new(Publisher::new(name, purges, commits)))
        };
        let mut actors: Vec<_> = (0..publishers)
            .map(|name| publisher(name, false, random.u32(5..=25)))
            .collect();
        if random.bool() {
            actors.push(publisher(publishers, true, random.u32(1..=3)));
        }
        actors.extend(
            (0..random.usize(1..=3)).map(|_| Actor::Subscriber(Box::new(Subscriber::new()))),
        );
        let mut sometimes = |number: u64, otherwise| if random.bool() { number } else { otherwise };
        let retention = Retention {
            events: sometimes(20, 1_000_000),
            bytes: sometimes(100_000, 1 << 40),
            seconds: sometimes(1, 0),
        };
        let outage = 1_000_000 + random.u64(..3_000);
        let outage = outage
            ..outage
                + if random.u8(..4) == 0 {
                    random.u64(..15_000)
                } else {
                    0
                };
        Self {
            model,
            scene: Scene {
                channel: "simulated".parse().unwrap(),
                retention,
                random,
                checker: Checker::default(),
                stats: Stats::default(),
            },
            now: 1_000_000,
            order: 0,
            turns: BinaryHeap::new(),
            pending: vec![],
            answers: vec![],
            lives: vec![0; actors.len()],
            actors,
            store: Store::new(model),
            faults: true,
            outage,
        }
    }

    pub(super) fn run(mut self) -> Result<Stats, String> {
        for actor in 0..self.actors.len() {
            let delay = self.scene.random.u64(..5);
            self.wake(actor, delay, None);
        }
        self.until(|world| world.publishers().all(|publisher| publisher.is_done()))?;
        // Rest: no more faults; two commits, a minute apart, empty the trash; clients come back.
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
            self.until(|world| world.publishers().all(|publisher| publisher.is_done()))?;
        }
        for actor in 0..self.actors.len() {
            if let Actor::Subscriber(subscriber) = &mut self.actors[actor] {
                subscriber.come_back();
                self.lives[actor] += 1;
                self.wake(actor, 1, None);
            }
        }
        let rest = self.now + 10_000;
        self.until(|world| world.now >= rest)?;
        self.scene.checker.publishers_at_rest()?;
        self.scene
            .checker
            .store_at_rest(&self.store, &self.scene.channel)?;
        for actor in &self.actors {
            if let Actor::Subscriber(subscriber) = actor {
                self.scene.checker.subscriber_at_rest(subscriber.last())?;
            }
        }
        self.scene.stats.events = self.scene.checker.events();
        Ok(self.scene.stats)
    }

    fn publishers(&self) -> impl Iterator<Item = &Publisher> {
        self.actors.iter().filter_map(|actor| match actor {
            Actor::Publisher(publisher) => Some(publisher.as_ref()),
            Actor::Subscriber(_) => None,
        })
    }

    fn until(&mut self, done: impl Fn(&Self) -> bool) -> Result<(), String> {
        let mut turns = 0;
        while !done(self) {
            let Some(Reverse((at, _, turn))) = self.turns.pop() else {
                return Ok(());
            };
            self.now = self.now.max(at);
            if let Some(turn) = self.pending[turn].take() {
                self.take(turn)?;
            }
            turns += 1;
            if turns > MAX_TURNS {
                return Err("law 5: something spins".to_owned());
            }
        }
        Ok(())
    }

    fn push(&mut self, delay: u64, turn: Turn) {
        self.order += 1;
        self.pending.push(Some(turn));
        self.turns.push(Reverse((
            self.now + delay,
            self.order,
            self.pending.len() - 1,
        )));
    }

    fn wake(&mut self, actor: usize, delay: u64, answer: Option<usize>) {
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
            Turn::Wake { actor, life, .. } if life != self.lives[actor] => Ok(()),
            Turn::Wake { actor, .. } if self.faults && self.scene.random.u16(..400) == 0 => {
                self.crash(actor);
                Ok(())
            }
            Turn::Wake { actor, answer, .. } => {
                let answer = answer.and_then(|answer| self.answers[answer].take());
                self.step(actor, answer)
            }
        }
    }

    fn crash(&mut self, actor: usize) {
        self.scene.stats.crashes += 1;
        self.lives[actor] += 1;
        match &mut self.actors[actor] {
            Actor::Publisher(publisher) => publisher.crash(&mut self.scene.checker),
            Actor::Subscriber(subscriber) => subscriber.crash(),
        }
        let delay = self.scene.random.u64(1..=500);
        self.wake(actor, delay, None);
    }

    fn step(&mut self, actor: usize, answer: Option<Answer>) -> Result<(), String> {
        let now = Now {
            mono: Mono(self.now),
            wall: Millis(1_700_000_000_000 + self.now),
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
        let slot = self.answers.len();
        self.answers.push(None);
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
            true if self.outage.contains(&self.now) => 0,
            true => self.scene.random.u8(..100),
            false => u8::MAX,
        };
        match fault {
            // Before the effect.
            0..=2 => {
                self.scene.stats.faults += 1;
                self.answers[slot] = Some(call.failed());
                self.wake(actor, there + back, Some(slot));
            }
            // After the effect.
            3..=4 => {
                self.scene.stats.faults += 1;
                self.answers[slot] = Some(call.failed());
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
                self.answers[slot] = Some(call.failed());
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

    fn effect(&mut self, call: Call, by: usize, answered: Option<usize>) -> Result<(), String> {
        let (answer, written) = self.store.apply(call, self.now, &mut self.scene.random);
        if let Some(slot) = answered {
            self.answers[slot] = Some(answer);
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
