//! One schedule: the actors in their world, and what is checked while they act.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::super::{AppliedSwap, Conditions, Model, Size, Violation, World};
use super::coverage::Coverage;
use super::ledger::Ledger;
use super::publisher::Publisher;
use super::scenario::Scenario;
use super::subscriber::Server;
use crate::core::channel::Channel;
use crate::core::log::kv::Head;
use crate::core::log::kv::key::head_key;

pub(super) struct Schedule {
    world: World,
    channel: Channel,
    publishers: Rc<Vec<Publisher>>,
    server: Server,
    ledger: Rc<RefCell<Ledger>>,
}

/// An instance that crashed starts again within this time, in milliseconds.
const RESTART_MILLIS: u64 = 500;

impl Schedule {
    pub(super) fn new(model: Model, scenario: Scenario, random: fastrand::Rng) -> Self {
        let world = World::new(model, scenario.conditions, random);
        let channel: Channel = "simulated".parse().unwrap();
        let ledger = Rc::new(RefCell::new(Ledger::new(scenario.retention)));
        let publishers = scenario.publishers.into_iter().enumerate();
        let publishers: Vec<_> = publishers
            .map(|(name, plan)| {
                let env = world.instance();
                let (channel, ledger) = (channel.clone(), ledger.clone());
                Publisher::new(env, name, plan, channel, scenario.retention, ledger)
            })
            .collect();
        let server = Server::new(
            world.instance(),
            scenario.subscribers,
            channel.clone(),
            scenario.served,
            ledger.clone(),
        );
        let schedule = Self {
            world,
            channel,
            publishers: Rc::new(publishers),
            server,
            ledger,
        };
        schedule.observe();
        for publisher in schedule.publishers.iter() {
            publisher.start(schedule.delay(5));
        }
        schedule.server.start(schedule.delay(5));
        schedule
    }

    fn delay(&self, below_millis: u64) -> Duration {
        Duration::from_millis(self.world.random(|random| random.u64(..below_millis)))
    }

    /// Watches heads take effect, and starts instances again that have crashed.
    fn observe(&self) {
        let (ledger, publishers) = (self.ledger.clone(), self.publishers.clone());
        let key = head_key(&self.channel);
        self.world.on_swap(move |swap| {
            if swap.key == key {
                let checked = head_written(swap, &publishers, &ledger);
                ledger.borrow_mut().note(checked);
            }
        });
        let (ledger, publishers) = (self.ledger.clone(), self.publishers.clone());
        let server = self.server.clone();
        self.world.on_crash(move |instance| {
            ledger.borrow_mut().coverage.crashes += 1;
            let delay = |random: u64| Duration::from_millis(1 + random % RESTART_MILLIS);
            if instance == server.env().id() {
                return server.start(delay(random(server.env())));
            }
            let mut publishers = publishers.iter();
            if let Some(publisher) = publishers.find(|publisher| publisher.env().id() == instance) {
                publisher.crashed();
                publisher.start(delay(random(publisher.env())));
            }
        });
    }

    /// Runs until the publishers have published everything and all is at rest.
    pub(super) fn run(self) -> Result<Coverage, Violation> {
        self.run_until(|schedule| schedule.is_all_published())?;
        self.come_to_rest()?;
        Ok(self.coverage())
    }

    pub(super) fn coverage(&self) -> Coverage {
        let stats = self.world.stats();
        let ledger = self.ledger.borrow();
        Coverage {
            events: ledger.checker.events(),
            calls: stats.calls,
            faults: stats.faults,
            late: stats.late,
            ..ledger.coverage.clone()
        }
    }

    pub(super) fn events(&self) -> u64 {
        self.ledger.borrow().checker.events()
    }

    /// Returns the size of the store, and the number of counters in it.
    pub(super) fn size(&self) -> (Size, usize) {
        self.world
            .stored(|storage| (storage.size(), storage.counters()))
    }

    fn is_all_published(&self) -> bool {
        self.publishers.iter().all(Publisher::is_done)
    }

    pub(super) fn run_until(
        &self,
        mut is_done: impl FnMut(&Self) -> bool,
    ) -> Result<(), Violation> {
        self.world
            .run_until(|| self.ledger.borrow().violation.is_some() || is_done(self))
            .map_err(|Violation(law)| Violation(format!("law 5: {law}")))?;
        match &self.ledger.borrow().violation {
            Some(violation) => Err(violation.clone()),
            None => Ok(()),
        }
    }

    /// Ends all faults; two commits, a minute apart, delete what is pending; clients come back. Then
    /// everything that is to be true at rest must be.
    pub(super) fn come_to_rest(&self) -> Result<(), Violation> {
        self.world.set_conditions(Conditions::CALM);
        self.server.calm();
        for _ in 0..2 {
            self.world.skip(Duration::from_secs(61));
            let publisher = self.publishers.first();
            let publisher = publisher.ok_or_else(|| Violation("no publisher".to_owned()))?;
            publisher.once_more();
            self.world.crash(publisher.env().id());
            publisher.start(Duration::from_millis(1));
            self.run_until(Self::is_all_published)?;
        }
        self.reconnect_clients();
        let rest = self.world.now().saturating_add(Duration::from_secs(10));
        self.run_until(|schedule| schedule.world.now() >= rest)?;
        self.keys_are_known()?;
        let ledger = self.ledger.borrow();
        self.world
            .stored(|storage| ledger.checker.segments_are_stored(storage, &self.channel))?;
        ledger.checker.publishers_at_rest()?;
        let mut clients = self.server.positions().into_iter();
        let now = self.world.now();
        clients.try_for_each(|last| ledger.checker.subscriber_at_rest(last, now))
    }

    /// Checks that every key in the store is one that the head knows.
    pub(super) fn keys_are_known(&self) -> Result<(), Violation> {
        let ledger = self.ledger.borrow();
        self.world
            .stored(|storage| ledger.checker.keys_are_known(storage, &self.channel))
    }

    /// Lets publishers finish their rounds, and begin no more.
    pub(super) fn stop_publishing(&self) -> Result<(), Violation> {
        self.publishers.iter().for_each(Publisher::stop);
        self.run_until(Self::is_all_published)
    }

    /// Restarts the server; all clients come back, also those that have seen the end of the channel.
    pub(super) fn reconnect_clients(&self) {
        self.server.forget_ends();
        self.world.crash(self.server.env().id());
        self.server.start(Duration::from_millis(1));
    }
}

fn random(env: &impl crate::core::environment::Environment) -> u64 {
    env.random()
}

fn head_written(
    swap: &AppliedSwap,
    publishers: &[Publisher],
    ledger: &RefCell<Ledger>,
) -> Result<(), Violation> {
    let invalid = |error: &dyn std::fmt::Display| Violation(format!("law 1: {error}"));
    let head = Head::decode(&swap.key, &swap.value).map_err(|error| invalid(&error))?;
    head.check().map_err(|error| invalid(&error))?;
    let mut publishers = publishers.iter();
    let purged =
        publishers.any(|publisher| publisher.env().id() == swap.instance && publisher.purges());
    let mut ledger = ledger.borrow_mut();
    let merged = ledger.checker.head_written(&head, purged, swap.at)?;
    ledger.coverage.merges += u64::from(merged);
    Ok(())
}
