//! The handle of an instance to its store.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::{KeyValueStore, StoreError, SwapError};
use crate::core::environment::Environment;
use crate::core::limit::Circuit;
use crate::core::metrics::{Call, CallOutcome, Metrics};

/// The number of swaps that an instance tries in its life. Spin has 256 handles for swaps in an instance
/// and never frees that of a successful one; a lost one needs another for a moment.
const SWAP_BUDGET: u32 = 250;

/// A handle to the store of an instance. Clones share everything.
#[derive(Debug)]
pub struct StoreClient<E, S>(Rc<Shared<E, S>>);

#[derive(Debug)]
struct Shared<E, S> {
    env: E,
    store: S,
    metrics: Metrics,
    swaps: Cell<u32>,
    circuit: RefCell<Circuit>,
}

impl<E, S> Clone for StoreClient<E, S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E: Environment, S: KeyValueStore> StoreClient<E, S> {
    /// Creates the handle to `store`. Calls are counted in `metrics`.
    pub fn new(env: E, store: S, metrics: Metrics) -> Self {
        Self(Rc::new(Shared {
            env,
            store,
            metrics,
            swaps: Cell::new(0),
            circuit: RefCell::default(),
        }))
    }

    /// Runs `action` on the circuit breaker in front of the store.
    pub fn circuit<T>(&self, action: impl FnOnce(&mut Circuit) -> T) -> T {
        action(&mut self.0.circuit.borrow_mut())
    }

    /// Returns the factor by which to stretch the waits between swaps: 1 with the whole budget left, 4
    /// with half of it, 16 with a quarter. What arrives meanwhile is committed together.
    #[must_use]
    pub fn swap_backoff_factor(&self) -> u32 {
        let left = SWAP_BUDGET.saturating_sub(self.0.swaps.get());
        let factor = SWAP_BUDGET.checked_div(left).unwrap_or(SWAP_BUDGET);
        factor.saturating_pow(2)
    }

    /// Reads a value: [`KeyValueStore::get`].
    ///
    /// # Errors
    /// The store's error.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        self.timed(Call::Get, self.0.store.get(key)).await
    }

    /// Reads several values: [`KeyValueStore::get_many`]. The call is not counted, because only `/metrics` makes it.
    ///
    /// # Errors
    /// The store's error.
    pub async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.0.store.get_many(keys).await
    }

    /// Stores a value: [`KeyValueStore::set`].
    ///
    /// # Errors
    /// The store's error; the value may be stored all the same.
    pub async fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.timed(Call::Set, self.0.store.set(key, value)).await
    }

    /// Stores values: [`KeyValueStore::set_many`].
    ///
    /// # Errors
    /// The store's error; some values may be stored all the same.
    pub async fn set_many(&self, values: Vec<(String, Bytes)>) -> Result<(), StoreError> {
        self.timed(Call::SetMany, self.0.store.set_many(values))
            .await
    }

    /// Deletes keys: [`KeyValueStore::delete_many`].
    ///
    /// # Errors
    /// The store's error; some keys may be deleted all the same.
    pub async fn delete_many(&self, keys: &[String]) -> Result<(), StoreError> {
        self.timed(Call::DeleteMany, self.0.store.delete_many(keys))
            .await
    }

    /// Increments a counter: [`KeyValueStore::increment`].
    ///
    /// # Errors
    /// The store's error; the counter may be incremented all the same.
    pub async fn increment(&self, key: &str) -> Result<i64, StoreError> {
        self.timed(Call::Increment, self.0.store.increment(key))
            .await
    }

    /// Begins a compare-and-swap: [`KeyValueStore::read_for_swap`].
    ///
    /// # Errors
    /// The store's error.
    pub async fn read_for_swap(&self, key: &str) -> Result<(S::Cas, Option<Bytes>), StoreError> {
        self.timed(Call::Read, self.0.store.read_for_swap(key))
            .await
    }

    /// Completes a compare-and-swap: [`KeyValueStore::swap`].
    ///
    /// # Errors
    /// Those of the store, and [`SwapError::Exhausted`] once the budget of swaps is spent.
    pub async fn swap(&self, cas: S::Cas, value: &[u8]) -> Result<(), SwapError> {
        if self.0.swaps.get() >= SWAP_BUDGET {
            return Err(SwapError::Exhausted);
        }
        self.0.swaps.set(self.0.swaps.get().saturating_add(1));
        let started = self.0.env.uptime();
        let swapped = self.0.store.swap(cas, value).await;
        let outcome = match &swapped {
            Ok(()) => CallOutcome::Ok,
            Err(SwapError::Lost) => CallOutcome::Lost,
            Err(SwapError::Store(_) | SwapError::Exhausted) => CallOutcome::Error,
        };
        self.record(Call::Swap, outcome, started);
        swapped
    }

    async fn timed<T>(
        &self,
        call: Call,
        answer: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let started = self.0.env.uptime();
        let answer = answer.await;
        let outcome = if answer.is_ok() {
            CallOutcome::Ok
        } else {
            CallOutcome::Error
        };
        self.record(call, outcome, started);
        answer
    }

    fn record(&self, call: Call, outcome: CallOutcome, started: Duration) {
        let took = self.0.env.uptime().saturating_sub(started);
        self.0.metrics.store_call(call, outcome, took);
    }
}
