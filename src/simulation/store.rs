//! The store as one instance reaches it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;

use super::conditions::Fate;
use super::environment::Alarm;
use super::{AppliedSwap, InstanceId, State};
use crate::core::store::{KeyValueStore, StoreError, SwapError};

/// A late effect comes up to this much later than the answer, in milliseconds.
const MAX_LATE_MILLIS: u64 = 300;

/// A handle of one instance to the store that all instances share.
#[derive(Clone)]
pub(crate) struct SimulatedStore {
    world: Rc<State>,
    instance: InstanceId,
}

/// A value as it was read, to be swapped for another.
#[derive(Clone, Debug)]
pub(crate) struct SimulatedCas {
    key: String,
    expected: Option<Bytes>,
}

impl SimulatedStore {
    pub(super) const fn new(world: Rc<State>, instance: InstanceId) -> Self {
        Self { world, instance }
    }

    /// Makes a call. `effect` happens once or never, even if the caller crashes meanwhile; its result is
    /// the answer unless the call is reported failed.
    async fn call<T: 'static>(
        &self,
        name: &str,
        key: &str,
        effect: impl FnOnce(&Rc<State>) -> T + 'static,
    ) -> Result<T, StoreError> {
        let (alarm, answer) = (Rc::new(Alarm::default()), Rc::new(RefCell::new(None)));
        self.begin(&alarm, &answer, effect);
        poll_fn(|context| alarm.poll(context)).await;
        answer.take().ok_or_else(|| StoreError {
            call: format!("{name} {key}"),
            message: "injected".to_owned(),
        })
    }

    /// Schedules the effect and the answer of a call, which need not have to do with each other.
    fn begin<T: 'static>(
        &self,
        alarm: &Rc<Alarm>,
        answer: &Rc<RefCell<Option<T>>>,
        effect: impl FnOnce(&Rc<State>) -> T + 'static,
    ) {
        let world = &self.world;
        world.count(|stats| stats.calls += 1);
        let (there, back) = (world.draw_delay(), world.draw_delay());
        match self.draw_fate() {
            Fate::Done => {
                let answer = answer.clone();
                world.schedule(world.after(there), move |world| {
                    answer.replace(Some(effect(world)));
                });
            }
            Fate::FailedBefore => world.count(|stats| stats.faults += 1),
            Fate::FailedAfter => {
                world.count(|stats| stats.faults += 1);
                world.schedule(world.after(there), move |world| drop(effect(world)));
            }
            Fate::Late => {
                world.count(|stats| stats.late += 1);
                let late = world.random.borrow_mut().u64(1..=MAX_LATE_MILLIS);
                let at = world.after(there + back + late);
                world.schedule(at, move |world| drop(effect(world)));
            }
        }
        let alarm = alarm.clone();
        world.schedule(world.after(there + back), move |_| alarm.ring());
    }

    fn draw_fate(&self) -> Fate {
        let is_remote = self.world.storage.borrow().model().is_remote();
        let (conditions, now) = (self.world.conditions.get(), self.world.now.get());
        conditions.draw_fate(now, is_remote, &mut self.world.random.borrow_mut())
    }
}

impl State {
    fn read(&self, key: &str) -> Option<Bytes> {
        let random = &mut self.random.borrow_mut();
        self.storage.borrow().read(key, self.now.get(), random)
    }

    fn set(&self, key: &str, value: Option<Bytes>) {
        self.storage.borrow_mut().set(key, value, self.now.get());
    }
}

impl KeyValueStore for SimulatedStore {
    type Cas = SimulatedCas;

    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let owned = key.to_owned();
        self.call("get", key, move |world| world.read(&owned)).await
    }

    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let owned = keys.to_vec();
        let read = move |world: &Rc<State>| owned.iter().map(|key| world.read(key)).collect();
        self.call("get_many", "", read).await
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let (owned, value) = (key.to_owned(), Bytes::copy_from_slice(value));
        let set = move |world: &Rc<State>| world.set(&owned, Some(value));
        self.call("set", key, set).await
    }

    async fn set_many(&self, values: Vec<(String, Bytes)>) -> Result<(), StoreError> {
        let set = move |world: &Rc<State>| {
            for (key, value) in values {
                world.set(&key, Some(value));
            }
        };
        self.call("set_many", "", set).await
    }

    async fn delete_many(&self, keys: &[String]) -> Result<(), StoreError> {
        let owned = keys.to_vec();
        let delete = move |world: &Rc<State>| owned.iter().for_each(|key| world.set(key, None));
        self.call("delete_many", "", delete).await
    }

    async fn increment(&self, key: &str) -> Result<i64, StoreError> {
        let owned = key.to_owned();
        let increment = move |world: &Rc<State>| world.storage.borrow_mut().increment(&owned);
        self.call("increment", key, increment).await
    }

    async fn read_for_swap(&self, key: &str) -> Result<(SimulatedCas, Option<Bytes>), StoreError> {
        let owned = key.to_owned();
        let read = move |world: &Rc<State>| world.storage.borrow().value(&owned).cloned();
        let value = self.call("read for swap", key, read).await?;
        let cas = SimulatedCas {
            key: key.to_owned(),
            expected: value.clone(),
        };
        Ok((cas, value))
    }

    async fn swap(&self, cas: SimulatedCas, value: &[u8]) -> Result<(), SwapError> {
        let (instance, value) = (self.instance, Bytes::copy_from_slice(value));
        let SimulatedCas { key, expected } = cas;
        let name = key.clone();
        let swap = move |world: &Rc<State>| {
            let at = world.now.get();
            let mut storage = world.storage.borrow_mut();
            let (answer, took_place) = storage.swap(&key, expected.as_ref(), value.clone(), at);
            drop(storage);
            if took_place {
                world.applied(&AppliedSwap {
                    instance,
                    at,
                    key,
                    value,
                });
            }
            answer
        };
        self.call("swap", &name, swap).await?
    }
}
