//! `spin:key-value` and `wasi:keyvalue`, with the behaviour of Spin's `factor-key-value`.
//!
//! Calls of `spin:key-value` run concurrently. A call of `wasi:keyvalue` blocks the whole instance of
//! the guest until it returns.

mod spin;
mod wasi;

use std::sync::Arc;

use wasmtime::component::Resource;

use super::instance_state::InstanceState;
use super::metrics::GaugeGuard;
use crate::store::KeyValue;

/// The number of stores that an instance may have open.
const MAX_OPEN_STORES: usize = 256;

/// A store that a guest has opened.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct OpenStore {
    store: Arc<dyn KeyValue>,
    _open: [GaugeGuard; 2],
}

/// A compare-and-swap that a guest has begun.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct PendingSwap {
    store: Arc<dyn KeyValue>,
    key: String,
    /// The value that `current` read last; `None` if the key was missing or `current` was not called.
    expected: Option<Vec<u8>>,
}

enum OpenError {
    AccessDenied,
    TableFull,
}

impl InstanceState {
    fn open_store(&mut self, label: &str) -> Result<Resource<OpenStore>, OpenError> {
        let store = self
            .capabilities
            .stores
            .get(label)
            .ok_or(OpenError::AccessDenied)?;
        if self.open_stores.get() >= MAX_OPEN_STORES {
            return Err(OpenError::TableFull);
        }
        self.table
            .push(OpenStore {
                store: store.clone(),
                _open: [self.open_stores.raise(), self.live_stores.raise()],
            })
            .map_err(|_| OpenError::TableFull)
    }

    fn store(&self, handle: &Resource<OpenStore>) -> Option<Arc<dyn KeyValue>> {
        Some(self.table.get(handle).ok()?.store.clone())
    }
}
