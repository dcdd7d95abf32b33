//! The key-value store.
//!
//! Single values are read and written through `spin:key-value`, whose calls do not block other requests of
//! the instance. Swaps, counters and batches need `wasi:keyvalue`, whose calls block the whole instance
//! for a round trip: only the component that publishes and the one that serves `/metrics` make them.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::fmt;
use std::fmt::{Debug, Display};
use std::rc::Rc;

use bytes::Bytes;
use spin_sdk::experimental::wasi::keyvalue::{atomics, batch, store as wasi_store};
use spin_sdk::key_value::Store;

use crate::core::store::{KeyValueStore, StoreError, SwapError};

/// The label of the store in spin.toml.
const LABEL: &str = "default";

/// The store that Spin gives a component. It is opened on first use.
#[derive(Default)]
pub struct SpinStore {
    store: OnceCell<Rc<Store>>,
    bucket: OnceCell<Rc<wasi_store::Bucket>>,
}

impl fmt::Debug for SpinStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpinStore").finish_non_exhaustive()
    }
}

/// A compare-and-swap under way.
pub struct SpinCas {
    key: String,
    cas: atomics::Cas,
}

impl Debug for SpinCas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpinCas")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

fn failed(call: impl Display, error: impl Display) -> StoreError {
    StoreError {
        call: call.to_string(),
        message: error.to_string(),
    }
}

/// As [`failed`], for errors of `wasi:keyvalue`, which have no text of their own.
fn wasi_failed(call: impl Display, error: impl Debug) -> StoreError {
    failed(call, format_args!("{error:?}"))
}

impl SpinStore {
    async fn store(&self) -> Result<Rc<Store>, StoreError> {
        if let Some(store) = self.store.get() {
            return Ok(store.clone());
        }
        let opened = Store::open(LABEL).await;
        let opened = opened.map_err(|error| failed("open", error))?;
        Ok(self.store.get_or_init(|| Rc::new(opened)).clone())
    }

    fn bucket(&self) -> Result<Rc<wasi_store::Bucket>, StoreError> {
        if let Some(bucket) = self.bucket.get() {
            return Ok(bucket.clone());
        }
        let opened = wasi_store::open(LABEL).map_err(|error| wasi_failed("open", error))?;
        Ok(self.bucket.get_or_init(|| Rc::new(opened)).clone())
    }
}

impl KeyValueStore for SpinStore {
    type Cas = SpinCas;

    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let value = self.store().await?.get(key).await;
        let value = value.map_err(|error| failed(format_args!("get {key}"), error))?;
        Ok(value.map(Bytes::from))
    }

    async fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let values = batch::get_many(&*self.bucket()?, keys);
        let values = values.map_err(|error| wasi_failed("get_many", error))?;
        let mut values: HashMap<_, _> = values.into_iter().collect();
        let values = keys.iter().map(|key| values.remove(key).flatten());
        Ok(values.map(|value| value.map(Bytes::from)).collect())
    }

    async fn set(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        let stored = self.store().await?.set(key, value).await;
        stored.map_err(|error| failed(format_args!("set {key}"), error))
    }

    async fn set_many(&self, values: Vec<(String, Bytes)>) -> Result<(), StoreError> {
        let values = values.into_iter();
        let values: Vec<_> = values.map(|(key, value)| (key, Vec::from(value))).collect();
        let stored = batch::set_many(&*self.bucket()?, &values);
        stored.map_err(|error| wasi_failed("set_many", error))
    }

    async fn delete_many(&self, keys: &[String]) -> Result<(), StoreError> {
        let deleted = batch::delete_many(&*self.bucket()?, keys);
        deleted.map_err(|error| wasi_failed("delete_many", error))
    }

    async fn increment(&self, key: &str) -> Result<i64, StoreError> {
        let sum = atomics::increment(&*self.bucket()?, key, 1);
        sum.map_err(|error| wasi_failed(format_args!("increment {key}"), error))
    }

    async fn read_for_swap(&self, key: &str) -> Result<(SpinCas, Option<Bytes>), StoreError> {
        let bucket = self.bucket()?;
        let read =
            atomics::Cas::new(&bucket, key).and_then(|cas| cas.current().map(|value| (cas, value)));
        let (cas, value) =
            read.map_err(|error| wasi_failed(format_args!("compare-and-swap of {key}"), error))?;
        let key = key.to_owned();
        Ok((SpinCas { key, cas }, value.map(Bytes::from)))
    }

    async fn swap(&self, SpinCas { key, cas }: SpinCas, value: &[u8]) -> Result<(), SwapError> {
        atomics::swap(cas, value).map_err(|error| match error {
            atomics::CasError::CasFailed(_) => SwapError::Lost,
            atomics::CasError::StoreError(error) => {
                wasi_failed(format_args!("swap {key}"), error).into()
            }
        })
    }
}
