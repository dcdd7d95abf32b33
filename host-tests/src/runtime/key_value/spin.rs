//! `spin:key-value`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wasmtime::component::{Accessor, FutureReader, HasSelf, Resource, StreamReader};

use super::{OpenError, OpenStore};
use crate::runtime::bindings::spin::key_value::key_value::{
    Error, Host, HostStore, HostStoreWithStore,
};
use crate::runtime::instance_state::InstanceState;
use crate::store::{KeyValue, StoreError};

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Other(error.to_string())
    }
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::AccessDenied => Self::AccessDenied,
            OpenError::TableFull => Self::StoreTableFull,
        }
    }
}

impl Host for InstanceState {}

impl HostStore for InstanceState {
    fn drop(&mut self, handle: Resource<OpenStore>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

fn store<T>(
    accessor: &Accessor<T, HasSelf<InstanceState>>,
    handle: &Resource<OpenStore>,
) -> Result<Arc<dyn KeyValue>, Error> {
    accessor
        .with(|mut access| access.get().store(handle))
        .ok_or(Error::NoSuchStore)
}

impl<T: Send> HostStoreWithStore<T> for HasSelf<InstanceState> {
    async fn open(
        accessor: &Accessor<T, Self>,
        label: String,
    ) -> Result<Resource<OpenStore>, Error> {
        accessor
            .with(|mut access| access.get().open_store(&label))
            .map_err(Error::from)
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenStore>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let trap_next_read = accessor.with(|mut access| access.get().trap_next_read.clone());
        if trap_next_read.swap(false, Ordering::SeqCst) {
            return Err(wasmtime::format_err!("injected trap"));
        }
        Ok(match store(accessor, &handle) {
            Ok(store) => store.get(&key).await.map_err(Error::from),
            Err(error) => Err(error),
        })
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenStore>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), Error> {
        Ok(store(accessor, &handle)?.set(&key, &value).await?)
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenStore>,
        key: String,
    ) -> Result<(), Error> {
        Ok(store(accessor, &handle)?.delete(&key).await?)
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenStore>,
        key: String,
    ) -> Result<bool, Error> {
        Ok(store(accessor, &handle)?.exists(&key).await?)
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        handle: Resource<OpenStore>,
    ) -> wasmtime::Result<(StreamReader<String>, FutureReader<Result<(), Error>>)> {
        let keys = match store(accessor, &handle) {
            Ok(store) => store.get_keys().await.map_err(Error::from),
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
