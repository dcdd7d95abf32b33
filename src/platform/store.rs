//! The key-value store.
//!
//! Reading goes through `spin:key-value`, whose calls other requests of the instance do not wait
//! for. Writing needs the atomics of `wasi:keyvalue`, whose calls stop the whole instance for a
//! round trip: only the component that publishes makes them.

use std::cell::OnceCell;
use std::rc::Rc;

use bytes::Bytes;
use spin_sdk::experimental::wasi::keyvalue::{atomics, batch, store as wasi_store};
use spin_sdk::key_value::Store;

use crate::core::log::SwapError;

/// The label of the store in spin.toml.
const LABEL: &str = "default";

thread_local! {
    static STORE: OnceCell<Rc<Store>> = const { OnceCell::new() };
    static BUCKET: OnceCell<Rc<wasi_store::Bucket>> = const { OnceCell::new() };
}

/// Reads a value; `None` if there is none.
///
/// # Errors
/// What the store said.
pub async fn get(key: &str) -> Result<Option<Bytes>, String> {
    let value = opened()
        .await?
        .get(key)
        .await
        .map_err(|error| format!("get {key}: {error}"))?;
    Ok(value.map(Bytes::from))
}

/// Stores a value.
///
/// # Errors
/// What the store said; it may be stored then.
pub async fn set(key: &str, value: &[u8]) -> Result<(), String> {
    let stored = opened().await?.set(key, value).await;
    stored.map_err(|error| format!("set {key}: {error}"))
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
        let cas = atomics::Cas::new(&bucket, key).map_err(failed)?;
        let value = cas.current().map_err(failed)?;
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
    /// Whether the swap was lost or the store failed. Either may be said of a swap that took place.
    pub fn swap(self, value: &[u8]) -> Result<(), SwapError> {
        atomics::swap(self.cas, value).map_err(|error| match error {
            atomics::CasError::CasFailed(_) => SwapError::Lost,
            atomics::CasError::StoreError(error) => {
                SwapError::Store(format!("swapping {}: {error:?}", self.key))
            }
        })
    }
}

/// Adds 1 to the counter under `key` and returns the sum.
///
/// # Errors
/// What the store said.
pub fn increment(key: &str) -> Result<i64, String> {
    atomics::increment(&*bucket()?, key, 1).map_err(|error| format!("increment {key}: {error:?}"))
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
    batch::set_many(&*bucket()?, &values).map_err(|error| format!("set_many: {error:?}"))
}

/// Deletes keys, whether they are there or not.
///
/// # Errors
/// What the store said; some may be deleted then.
pub fn delete_many(keys: &[String]) -> Result<(), String> {
    batch::delete_many(&*bucket()?, keys).map_err(|error| format!("delete_many: {error:?}"))
}
