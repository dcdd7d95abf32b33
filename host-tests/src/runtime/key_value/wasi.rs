//! `wasi:keyvalue`.

use std::sync::Arc;

use wasmtime::component::{Resource, ResourceTableError};

use super::{OpenError, OpenStore, PendingSwap};
use crate::runtime::bindings::wasi::keyvalue::atomics::{self, CasError, HostCas};
use crate::runtime::bindings::wasi::keyvalue::batch;
use crate::runtime::bindings::wasi::keyvalue::store::{Error, Host, HostBucket, KeyResponse};
use crate::runtime::instance_state::InstanceState;
use crate::store::{KeyValue, StoreError, Swap};

/// The number of compare-and-swaps that an instance may begin without dropping them unused.
const MAX_BEGUN_SWAPS: usize = 256;

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::AccessDenied => Self::AccessDenied,
            OpenError::TableFull => Self::Other("store table full".to_owned()),
        }
    }
}

impl InstanceState {
    fn bucket(&self, handle: &Resource<OpenStore>) -> Result<Arc<dyn KeyValue>, Error> {
        self.store(handle).ok_or(Error::NoSuchStore)
    }

    fn begin_swap(&mut self, swap: PendingSwap) -> Result<Resource<PendingSwap>, Error> {
        let too_many = || Error::Other("too many compare_and_swaps opened".to_owned());
        if self.begun_swaps >= MAX_BEGUN_SWAPS {
            return Err(too_many());
        }
        let handle = self.table.push(swap).map_err(|_| too_many())?;
        self.begun_swaps += 1;
        Ok(handle)
    }
}

impl Host for InstanceState {
    async fn open(&mut self, label: String) -> Result<Resource<OpenStore>, Error> {
        Ok(self.open_store(&label)?)
    }
}

impl HostBucket for InstanceState {
    async fn get(
        &mut self,
        handle: Resource<OpenStore>,
        key: String,
    ) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.bucket(&handle)?.get(&key).await?)
    }

    async fn set(
        &mut self,
        handle: Resource<OpenStore>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), Error> {
        Ok(self.bucket(&handle)?.set(&key, &value).await?)
    }

    async fn delete(&mut self, handle: Resource<OpenStore>, key: String) -> Result<(), Error> {
        Ok(self.bucket(&handle)?.delete(&key).await?)
    }

    async fn exists(&mut self, handle: Resource<OpenStore>, key: String) -> Result<bool, Error> {
        Ok(self.bucket(&handle)?.exists(&key).await?)
    }

    async fn list_keys(
        &mut self,
        handle: Resource<OpenStore>,
        cursor: Option<String>,
    ) -> Result<KeyResponse, Error> {
        if cursor.is_some() {
            return Err(Error::Other("list_keys: cursor not supported".to_owned()));
        }
        let keys = self.bucket(&handle)?.get_keys().await?;
        Ok(KeyResponse { keys, cursor: None })
    }

    async fn drop(&mut self, handle: Resource<OpenStore>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

impl batch::Host for InstanceState {
    async fn get_many(
        &mut self,
        handle: Resource<OpenStore>,
        keys: Vec<String>,
    ) -> Result<Vec<(String, Option<Vec<u8>>)>, Error> {
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
    ) -> Result<(), Error> {
        Ok(self.bucket(&handle)?.set_many(&pairs).await?)
    }

    async fn delete_many(
        &mut self,
        handle: Resource<OpenStore>,
        keys: Vec<String>,
    ) -> Result<(), Error> {
        Ok(self.bucket(&handle)?.delete_many(&keys).await?)
    }
}

fn unknown_swap(_: ResourceTableError) -> Error {
    Error::Other("compare and swap not found".to_owned())
}

impl atomics::Host for InstanceState {
    async fn increment(
        &mut self,
        handle: Resource<OpenStore>,
        key: String,
        delta: i64,
    ) -> Result<i64, Error> {
        Ok(self.bucket(&handle)?.increment(&key, delta).await?)
    }

    async fn swap(
        &mut self,
        handle: Resource<PendingSwap>,
        value: Vec<u8>,
    ) -> Result<(), CasError> {
        // Spin frees the table entry of a swap only if the guest drops it unused, so an instance
        // can carry out 256 swaps in its life. `begun_swaps` therefore stays as it is.
        let PendingSwap {
            store,
            key,
            expected,
        } = self
            .table
            .delete(handle)
            .map_err(|error| CasError::StoreError(unknown_swap(error)))?;
        let store_error = |error: StoreError| CasError::StoreError(error.into());
        match store
            .swap(&key, expected.as_deref(), &value)
            .await
            .map_err(store_error)?
        {
            Swap::Done => Ok(()),
            Swap::Lost => {
                // The interface requires a new handle that has already read the current value.
                let expected = store.current(&key).await.map_err(store_error)?;
                let retry = self
                    .begin_swap(PendingSwap {
                        store,
                        key,
                        expected,
                    })
                    .map_err(CasError::StoreError)?;
                Err(CasError::CasFailed(retry))
            }
        }
    }
}

impl HostCas for InstanceState {
    async fn new(
        &mut self,
        handle: Resource<OpenStore>,
        key: String,
    ) -> Result<Resource<PendingSwap>, Error> {
        let store = self.bucket(&handle)?;
        self.begin_swap(PendingSwap {
            store,
            key,
            expected: None,
        })
    }

    async fn current(&mut self, handle: Resource<PendingSwap>) -> Result<Option<Vec<u8>>, Error> {
        let swap = self.table.get_mut(&handle).map_err(unknown_swap)?;
        swap.expected = swap.store.current(&swap.key).await?;
        Ok(swap.expected.clone())
    }

    async fn drop(&mut self, handle: Resource<PendingSwap>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        self.begun_swaps -= 1;
        Ok(())
    }
}
