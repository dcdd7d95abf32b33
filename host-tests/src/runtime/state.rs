//! What belongs to one instance of a component.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView,
};

use super::environment::{Alive, Environment, Gauge};
use crate::store::KeyValue;

/// What one Spin component is and may do.
pub(crate) struct Grant {
    /// Its name in the manifest.
    pub(crate) component: String,
    /// Its variables, rendered.
    pub(crate) variables: BTreeMap<String, String>,
    /// The stores it may open, by label.
    pub(crate) stores: BTreeMap<String, Arc<dyn KeyValue>>,
}

/// What belongs to one instance of a component.
pub(crate) struct State {
    pub(crate) table: ResourceTable,
    pub(crate) grant: Arc<Grant>,
    /// Stores this instance has open.
    pub(crate) open_stores: Gauge,
    /// Compare-and-swaps this instance has begun and not dropped unused.
    pub(crate) swap_slots: usize,
    /// Stores open in the whole host.
    pub(crate) live_stores: Gauge,
    pub(crate) memory: LinearMemory,
    /// Whether the next read is to end its instance.
    pub(crate) trap: Arc<AtomicBool>,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: NoOutgoingRequests,
    _alive: Alive,
}

impl State {
    pub(crate) fn new(environment: &Environment, grant: Arc<Grant>) -> Self {
        Self {
            table: ResourceTable::new(),
            grant,
            open_stores: Gauge::default(),
            swap_slots: 0,
            live_stores: environment.live_stores.clone(),
            memory: LinearMemory {
                own: 0,
                live: environment.live_memory.clone(),
            },
            trap: environment.trap.clone(),
            wasi: environment.wasi(),
            http: WasiHttpCtx::new(),
            hooks: NoOutgoingRequests,
            _alive: environment.live_instances.enter(),
        }
    }
}

/// Counts the linear memory of an instance; it limits nothing.
pub(crate) struct LinearMemory {
    own: usize,
    /// That of all instances in the whole host.
    live: Gauge,
}

impl ResourceLimiter for LinearMemory {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        self.own += more;
        self.live.add(more);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        _desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(true)
    }
}

impl Drop for LinearMemory {
    fn drop(&mut self) {
        self.live.subtract(self.own);
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

/// Runnel calls nobody; Spin would deny it too, for want of `allowed_outbound_hosts`.
struct NoOutgoingRequests;

type Transmission = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for NoOutgoingRequests {
    fn send_request(
        &mut self,
        _request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _sent: Transmission,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, Transmission), Error>> + Send>
    {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}
