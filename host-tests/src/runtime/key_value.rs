//! `spin:key-value` and `wasi:keyvalue`, as Spin's `factor-key-value` has them.
//!
//! Calls of `spin:key-value` run beside each other. Those of `wasi:keyvalue` block the guest's whole
//! instance until they are answered.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wasmtime::component::{Accessor, FutureReader, HasSelf, Resource, StreamReader};

use super::bindings::spin::key_value::key_value as spin;
use super::bindings::wasi::keyvalue::{atomics, batch, store as wasi};
use super::environment::Alive;
use super::state::State;
use crate::store::{KeyValue, StoreError, Swap};

/// How many stores an instance may have open, and how many compare-and-swaps.
const CAPACITY: usize = 256;

/// A store a guest has opened.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct OpenStore {
    store: Arc<dyn KeyValue>,
    _counted: [Alive; 2],
}

/// A compare-and-swap a guest has begun.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct OpenSwap {
    store: Arc<dyn KeyValue>,
    key: String,
    /// What `current` read last; absent if it read nothing or was never called.
    seen: Option<Vec<u8>>,
}

enum OpenError {
    AccessDenied,
    TableFull,
}

impl State {
    fn open_store(&mut self, label: &str) -> Result<Resource<OpenStore>, OpenError> {
        let store = self
            .grant
            .stores
            .get(label)
            .ok_or(OpenError::AccessDenied)?;
        if self.open_stores.get() >= CAPACITY {
            return Err(OpenError::TableFull);
        }
        self.table
            .push(OpenStore {
                store: store.clone(),
                _counted: [self.open_stores.enter(), self.live_stores.enter()],
            })
            .map_err(|_| OpenError::TableFull)
    }

    fn store(&self, handle: &Resource<OpenStore>) -> Option<Arc<dyn KeyValue>> {
        Some(self.table.get(handle).ok()?.store.clone())
    }

    fn bucket(&self, handle: &Resource<OpenStore>) -> Result<Arc<dyn KeyValue>, wasi::Error> {
        self.store(handle).ok_or(wasi::Error::NoSuchStore)
    }

    fn begin_swap(
        &mut self,
        store: Arc<dyn KeyValue>,
        key: String,
        seen: Option<Vec<u8>>,
    ) -> Result<Resource<OpenSwap>, wasi::Error> {
        let full = || wasi::Error::Other("too many compare_and_swaps opened".to_owned());
        if self.swap_slots >= CAPACITY {
            return Err(full());
        }
        let handle = self
            .table
            .push(OpenSwap { store, key, seen })
            .map_err(|_| full())?;
        self.swap_slots += 1;
        Ok(handle)
    }
}

impl From<StoreError> for spin::Error {
    fn from(error: StoreError) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<StoreError> for wasi::Error {
    fn from(error: StoreError) -> Self {
        Self::Other(error.to_string())
    }
}

impl spin::Host for State {}

impl spin::HostStore for State {
    fn drop(&mut self, handle: Resource<OpenStore>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

fn opened<T>(
    accessor: &Accessor<T, HasSelf<State>>,
    handle: &Resource<OpenStore>,
) -> Result<Arc<dyn KeyValue>, spin::Error> {
    accessor
        .with(|mut access| access.get().store(handle))
        .ok_or(spin::Error::NoSuchStore)
}

impl<T: Send> spin::HostStoreWithStore<T> for HasSelf<State> {
    async fn open(
        accessor: &Accessor<T, Self>,
        label: String,
    ) -> Result<Resource<OpenStore>, spin::Error> {
        accessor
            .with(|mut access| access.get().open_store(&label))
            .map_err(|error| match error {
                OpenError::AccessDenied => spin::Error::AccessDenied,
                OpenError::TableFull => spin::Error::StoreTableFull,
            })
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, spin::Error>> {
        let trap = accessor.with(|mut access| access.get().trap.clone());
        if trap.swap(false, Ordering::SeqCst) {
            return Err(wasmtime::format_err!("a trap was asked for"));
        }
        Ok(match opened(accessor, &handle) {
            Ok(store) => store.get(&key).await.map_err(spin::Error::from),
            Err(error) => Err(error),
        })
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenStore>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), spin::Error> {
        Ok(opened(accessor, &handle)?.set(&key, &value).await?)
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenStore>,
        key: String,
    ) -> Result<(), spin::Error> {
        Ok(opened(accessor, &handle)?.delete(&key).await?)
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenStore>,
        key: String,
    ) -> Result<bool, spin::Error> {
        Ok(opened(accessor, &handle)?.exists(&key).await?)
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenStore>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), spin::Error>>)> {
        let keys = match opened(accessor, &handle) {
            Ok(store) => store.get_keys().await.map_err(spin::Error::from),
            Err(error) => Err(error),
        };
        let (keys, end) = match keys {
            Ok(keys) => (keys, Ok(())),
            Err(error) => (Vec::new(), Err(error)),
        };
        accessor.with(|mut access| {
            let keys = StreamReader::new(&mut access, keys)?;
            let end = FutureReader::new(&mut access, async { wasmtime::error::Ok(end) })?;
            Ok((keys, end))
        })
    }
}

impl wasi::Host for State {
    async fn open(&mut self, label: String) -> Result<Resource<OpenStore>, wasi::Error> {
        self.open_store(&label).map_err(|error| match error {
            OpenError::AccessDenied => wasi::Error::AccessDenied,
            OpenError::TableFull => wasi::Error::Other("store table full".to_owned()),
        })
    }
}

impl wasi::HostBucket for State {
    async fn get(
        &mut self,
        handle: Resource<OpenStore>,
        key: String,
    ) -> Result<Option<Vec<u8>>, wasi::Error> {
        Ok(self.bucket(&handle)?.get(&key).await?)
    }

    async fn set(
        &mut self,
        handle: Resource<OpenStore>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), wasi::Error> {
        Ok(self.bucket(&handle)?.set(&key, &value).await?)
    }

    async fn delete(
        &mut self,
        handle: Resource<OpenStore>,
        key: String,
    ) -> Result<(), wasi::Error> {
        Ok(self.bucket(&handle)?.delete(&key).await?)
    }

    async fn exists(
        &mut self,
        handle: Resource<OpenStore>,
        key: String,
    ) -> Result<bool, wasi::Error> {
        Ok(self.bucket(&handle)?.exists(&key).await?)
    }

    async fn list_keys(
        &mut self,
        handle: Resource<OpenStore>,
        cursor: Option<String>,
    ) -> Result<wasi::KeyResponse, wasi::Error> {
        if cursor.is_some() {
            return Err(wasi::Error::Other(
                "list_keys: cursor not supported".to_owned(),
            ));
        }
        let keys = self.bucket(&handle)?.get_keys().await?;
        Ok(wasi::KeyResponse { keys, cursor: None })
    }

    async fn drop(&mut self, handle: Resource<OpenStore>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl batch::Host for State {
    async fn get_many(
        &mut self,
        handle: Resource<OpenStore>,
        keys: Vec<String>,
    ) -> Result<Vec<(String, Option<Vec<u8>>)>, wasi::Error> {
        let pairs = self.bucket(&handle)?.get_many(&keys).await?;
        Ok(pairs
            .into_iter()
            .map(|(key, value)| (key, Some(value)))
            .collect())
    }

    async fn set_many(
        &mut self,
        handle: Resource<OpenStore>,
        pairs: Vec<(String, Vec<u8>)>,
    ) -> Result<(), wasi::Error> {
        Ok(self.bucket(&handle)?.set_many(&pairs).await?)
    }

    async fn delete_many(
        &mut self,
        handle: Resource<OpenStore>,
        keys: Vec<String>,
    ) -> Result<(), wasi::Error> {
        Ok(self.bucket(&handle)?.delete_many(&keys).await?)
    }
}

fn no_swap(_: wasmtime::component::ResourceTableError) -> wasi::Error {
    wasi::Error::Other("compare and swap not found".to_owned())
}

impl atomics::Host for State {
    async fn increment(
        &mut self,
        handle: Resource<OpenStore>,
        key: String,
        delta: i64,
    ) -> Result<i64, wasi::Error> {
        Ok(self.bucket(&handle)?.increment(&key, delta).await?)
    }

    async fn swap(
        &mut self,
        handle: Resource<OpenSwap>,
        value: Vec<u8>,
    ) -> Result<(), atomics::CasError> {
        let failed = atomics::CasError::StoreError;
        // Spin never frees the slot of a swap that was carried out, only that of one dropped
        // unused: an instance gets through 256 swaps in its life. Neither is it freed here.
        let swap = self.table.delete(handle).map_err(no_swap).map_err(failed)?;
        let outcome = swap
            .store
            .swap(&swap.key, swap.seen.as_deref(), &value)
            .await
            .map_err(|error| failed(error.into()))?;
        match outcome {
            Swap::Done => Ok(()),
            Swap::Lost => {
                // The interface wants a handle that has seen the newest value already.
                let OpenSwap { store, key, .. } = swap;
                let seen = store
                    .current(&key)
                    .await
                    .map_err(|error| failed(error.into()))?;
                let again = self.begin_swap(store, key, seen).map_err(failed)?;
                Err(atomics::CasError::CasFailed(again))
            }
        }
    }
}

impl atomics::HostCas for State {
    async fn new(
        &mut self,
        handle: Resource<OpenStore>,
        key: String,
    ) -> Result<Resource<OpenSwap>, wasi::Error> {
        let store = self.bucket(&handle)?;
        self.begin_swap(store, key, None)
    }

    async fn current(
        &mut self,
        handle: Resource<OpenSwap>,
    ) -> Result<Option<Vec<u8>>, wasi::Error> {
        let swap = self.table.get_mut(&handle).map_err(no_swap)?;
        swap.seen = swap.store.current(&swap.key).await?;
        Ok(swap.seen.clone())
    }

    async fn drop(&mut self, handle: Resource<OpenSwap>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        self.swap_slots -= 1;
        Ok(())
    }
}
