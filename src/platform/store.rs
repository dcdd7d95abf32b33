//! The key-value store.
//!
//! Reading goes through `spin:key-value`, whose calls other requests of the instance do not wait
//! for. Writing needs the atomics of `wasi:keyvalue`, whose calls stop the whole instance for a
//! round trip: only the component that publishes makes them.

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;
use spin_sdk::experimental::wasi::keyvalue::{atomics, batch, store as wasi_store};
use spin_sdk::key_value::Store;

use super::{clock, metrics};
use crate::core::log::SwapError;
use crate::core::metrics::{Call, CallOutcome};

/// The label of the store in spin.toml.
const LABEL: &str = "default";

/// How many swaps an instance tries in its life: 250. Spin never frees the slot of a swap that was
/// carried out, and has 256; a swap that is lost needs another for a moment.
const SWAPS: u32 = 250;

thread_local! {
    static SWAPPED: Cell<u32> = const { Cell::new(0) };
    static STORE: OnceCell<Rc<Store>> = const { OnceCell::new() };
    static BUCKET: OnceCell<Rc<wasi_store::Bucket>> = const { OnceCell::new() };
}

/// Reads a value; `None` if there is none.
///
/// # Errors
/// What the store said.
pub async fn get(key: &str) -> Result<Option<Bytes>, String> {
    let asked = CallTimer::begin(Call::Get);
    let value = match opened().await {
        Ok(store) => store.get(key).await.map_err(|error| error.to_string()),
        Err(error) => Err(error),
    };
    let value = asked.answered(value);
    let value = value.map_err(|error| format!("get {key}: {error}"))?;
    Ok(value.map(Bytes::from))
}

/// Stores a value.
///
/// # Errors
/// What the store said; it may be stored then.
pub async fn set(key: &str, value: &[u8]) -> Result<(), String> {
    let asked = CallTimer::begin(Call::Set);
    let stored = match opened().await {
        Ok(store) => store
            .set(key, value)
            .await
            .map_err(|error| error.to_string()),
        Err(error) => Err(error),
    };
    let stored = asked.answered(stored);
    stored.map_err(|error| format!("set {key}: {error}"))
}

/// A call under way, to be counted when it is answered.
struct CallTimer {
    call: Call,
    began: u64,
}

impl CallTimer {
    fn begin(call: Call) -> Self {
        let began = clock::micros();
        Self { call, began }
    }

    fn answered<T, E>(self, answer: Result<T, E>) -> Result<T, E> {
        let outcome = match answer {
            Ok(_) => CallOutcome::Ok,
            Err(_) => CallOutcome::Error,
        };
        self.came_to(outcome);
        answer
    }

    fn came_to(self, outcome: CallOutcome) {
        let took = clock::micros().saturating_sub(self.began);
        metrics::called(self.call, outcome, took);
    }
}

async fn opened() -> Result<Rc<Store>, String> {
    if let Some(store) = STORE.with(|cell| cell.get().cloned()) {
        return Ok(store);
    }
    let opened = Store::open(LABEL)
        .await
        .map_err(|error| format!("opening the store: {error}"))?;
    Ok(STORE.with(|cell| cell.get_or_init(|| Rc::new(opened)).clone()))
}

fn bucket() -> Result<Rc<wasi_store::Bucket>, String> {
    if let Some(bucket) = BUCKET.with(|cell| cell.get().cloned()) {
        return Ok(bucket);
    }
    let opened =
        wasi_store::open(LABEL).map_err(|error| format!("opening the store: {error:?}"))?;
    Ok(BUCKET.with(|cell| cell.get_or_init(|| Rc::new(opened)).clone()))
}

/// How many times as long to wait between swaps as with all of them left: 4 times with half of them, 16
/// times with a quarter. What is waited for meanwhile is committed together.
#[must_use]
pub fn restraint() -> u64 {
    let left = SWAPS.saturating_sub(SWAPPED.get());
    let times = SWAPS.checked_div(left).unwrap_or(SWAPS);
    u64::from(times).saturating_pow(2)
}

/// A compare-and-swap under way: the value of a key as it was read.
pub struct Cas {
    key: String,
    cas: atomics::Cas,
}

impl Cas {
    /// Reads the value of `key`, to be swapped for another.
    ///
    /// # Errors
    /// What the store said.
    pub fn read(key: &str) -> Result<(Self, Option<Bytes>), String> {
        let bucket = bucket()?;
        let failed = |error| format!("compare-and-swap of {key}: {error:?}");
        let asked = CallTimer::begin(Call::Read);
        let read =
            atomics::Cas::new(&bucket, key).and_then(|cas| cas.current().map(|value| (cas, value)));
        let (cas, value) = asked.answered(read).map_err(failed)?;
        Ok((
            Self {
                key: key.to_owned(),
                cas,
            },
            value.map(Bytes::from),
        ))
    }

    /// Stores `value` if nobody has stored another since.
    ///
    /// # Errors
    /// Whether the swap was lost or the store failed; either may be said of a swap that took place. Or
    /// that this instance has no swap left.
    pub fn swap(self, value: &[u8]) -> Result<(), SwapError> {
        if SWAPPED.get() >= SWAPS {
            return Err(SwapError::Spent);
        }
        SWAPPED.set(SWAPPED.get().saturating_add(1));
        let asked = CallTimer::begin(Call::Swap);
        let swapped = atomics::swap(self.cas, value).map_err(|error| match error {
            atomics::CasError::CasFailed(_) => SwapError::Lost,
            atomics::CasError::StoreError(error) => {
                SwapError::Store(format!("swapping {}: {error:?}", self.key))
            }
        });
        asked.came_to(match &swapped {
            Ok(()) => CallOutcome::Ok,
            Err(SwapError::Lost) => CallOutcome::Lost,
            Err(SwapError::Store(_) | SwapError::Spent) => CallOutcome::Error,
        });
        swapped
    }
}

/// Adds 1 to the counter under `key` and returns the sum.
///
/// # Errors
/// What the store said.
pub fn increment(key: &str) -> Result<i64, String> {
    let bucket = bucket()?;
    let asked = CallTimer::begin(Call::Increment);
    let sum = asked.answered(atomics::increment(&bucket, key, 1));
    sum.map_err(|error| format!("increment {key}: {error:?}"))
}

/// Reads several values at once, in the order of their keys; `None` where there is none. The instance
/// waits for that.
///
/// # Errors
/// What the store said.
pub fn get_many(keys: &[String]) -> Result<Vec<Option<Bytes>>, String> {
    let values = batch::get_many(&*bucket()?, keys);
    let values = values.map_err(|error| format!("get_many: {error:?}"))?;
    let mut values: HashMap<_, _> = values.into_iter().collect();
    let found = keys.iter().map(|key| values.remove(key).flatten());
    Ok(found.map(|value| value.map(Bytes::from)).collect())
}

/// Stores values under their keys.
///
/// # Errors
/// What the store said; some may be stored then.
pub fn set_many(values: Vec<(String, Bytes)>) -> Result<(), String> {
    let values: Vec<_> = values
        .into_iter()
        .map(|(key, value)| (key, Vec::from(value)))
        .collect();
    let bucket = bucket()?;
    let asked = CallTimer::begin(Call::SetMany);
    let stored = asked.answered(batch::set_many(&bucket, &values));
    stored.map_err(|error| format!("set_many: {error:?}"))
}

/// Deletes keys, whether they are there or not.
///
/// # Errors
/// What the store said; some may be deleted then.
pub fn delete_many(keys: &[String]) -> Result<(), String> {
    let bucket = bucket()?;
    let asked = CallTimer::begin(Call::DeleteMany);
    let deleted = asked.answered(batch::delete_many(&bucket, keys));
    deleted.map_err(|error| format!("delete_many: {error:?}"))
}
