//! The data of one instance of a component.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use wasmtime::ResourceLimiter;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{
    Error, ForbiddenHeaderFilter, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView,
    WasiHttpHooks, WasiHttpView,
};

use super::context::HostContext;
use super::metrics::{Gauge, GaugeGuard};
use crate::store::KeyValue;

/// The variables and stores that a component of the manifest has access to.
pub(crate) struct Capabilities {
    /// The name of the component.
    pub(crate) component: String,
    /// The rendered variables by name.
    pub(crate) variables: BTreeMap<String, String>,
    /// The stores by label.
    pub(crate) stores: BTreeMap<String, Arc<dyn KeyValue>>,
}

/// The data of one instance of a component.
pub(crate) struct InstanceState {
    pub(crate) table: ResourceTable,
    pub(crate) capabilities: Arc<Capabilities>,
    /// Stores that this instance has open.
    pub(crate) open_stores: Gauge,
    /// Stores that all instances of the host have open.
    pub(crate) live_stores: Gauge,
    /// Compare-and-swaps that this instance has begun and not dropped unused.
    pub(crate) begun_swaps: usize,
    pub(crate) memory: MemoryTracker,
    /// Set to make the next read trap.
    pub(crate) trap_next_read: Arc<AtomicBool>,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    http_hooks: HttpHooks,
    _live: GaugeGuard,
}

impl InstanceState {
    pub(crate) fn new(context: &HostContext, capabilities: Arc<Capabilities>) -> Self {
        Self {
            table: ResourceTable::new(),
            capabilities,
            open_stores: Gauge::default(),
            live_stores: context.live_stores.clone(),
            begun_swaps: 0,
            memory: MemoryTracker {
                own: 0,
                total: context.live_memory.clone(),
            },
            trap_next_read: context.trap_next_read.clone(),
            wasi: context.start_instance(),
            http: WasiHttpCtx::new(),
            http_hooks: HttpHooks,
            _live: context.live_instances.raise(),
        }
    }
}

/// Counts the bytes of linear memory of an instance without limiting them.
pub(crate) struct MemoryTracker {
    own: usize,
    /// The bytes of all live instances of the host.
    total: Gauge,
}

impl ResourceLimiter for MemoryTracker {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let growth = desired.saturating_sub(current);
        self.own += growth;
        self.total.add(growth);
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

impl Drop for MemoryTracker {
    fn drop(&mut self) {
        self.total.subtract(self.own);
    }
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for InstanceState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.http_hooks,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}

/// The bytes of a response that are taken from a guest at once, and so the largest frame of a body.
const BODY_CHUNK: usize = 64 * 1024;

/// The differences of this host from wasmtime's defaults.
struct HttpHooks;

type Transmission = Box<dyn Future<Output = Result<(), Error>> + Send>;

impl WasiHttpHooks for HttpHooks {
    /// Lets guests see all headers of a request, such as `host`: the wasmtime of Spin 4.1 removes none. The
    /// host rejects responses with such headers.
    fn forbidden_header_filter(&mut self) -> ForbiddenHeaderFilter {
        Arc::new(|_| false)
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK
    }

    /// Denies outgoing requests, as Spin does without `allowed_outbound_hosts`. Runnel makes none.
    fn send_request(
        &mut self,
        _request: http::Request<WasiBody>,
        _options: Option<RequestOptions>,
        _transmission: Transmission,
    ) -> Box<dyn Future<Output = Result<(http::Response<WasiBody>, Transmission), Error>> + Send>
    {
        Box::new(async { Err(Error::HttpRequestDenied) })
    }
}
