//! The lifecycle of instances: how many requests one serves and when it ends. The limits are those
//! of Spin 4.1.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};
use wasmtime::component::GuestTaskId;
use wasmtime::{Store, StoreContextMut};
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, Proxy, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;

use super::context::HostContext;
use super::instance_state::{Capabilities, InstanceState};

/// Requests that an instance serves in its life.
const MAX_REQUESTS: usize = 128;
/// Requests of an instance that may wait for a response head at the same time.
const MAX_WAITING_REQUESTS: usize = 16;
/// The time that an instance without requests is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(1);

/// Creates the instances of one component.
pub(crate) struct ComponentHandler {
    pub(crate) service: ServicePre<InstanceState>,
    pub(crate) context: Arc<HostContext>,
    pub(crate) capabilities: Arc<Capabilities>,
}

impl HandlerState for ComponentHandler {
    type StoreData = InstanceState;
    type WorkerExpiration = IdleTimeout;
    type WorkerState = InstanceWorker;

    async fn instantiate(
        &self,
    ) -> wasmtime::Result<Instance<InstanceState, IdleTimeout, InstanceWorker>> {
        let state = InstanceState::new(&self.context, self.capabilities.clone());
        let mut store = Store::new(self.service.engine(), state);
        store.limiter(|state| &mut state.memory);
        // Fails unless the engine meters fuel.
        _ = store.set_fuel(u64::MAX);
        let service = self.service.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy: Proxy::P3(service),
            view: |state| state.http(),
            expiration: IdleTimeout::default(),
            state: InstanceWorker {
                context: self.context.clone(),
                component: self.capabilities.component.clone(),
            },
        })
    }
}

/// Admits requests to one instance and reports its end.
pub(crate) struct InstanceWorker {
    context: Arc<HostContext>,
    component: String,
}

impl WorkerState for InstanceWorker {
    type StoreData = InstanceState;
    type RequestData = ();

    fn should_accept_request(&self, waiting: usize, total: usize) -> ShouldAccept {
        if total >= MAX_REQUESTS {
            ShouldAccept::Never
        } else if waiting >= MAX_WAITING_REQUESTS {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, InstanceState>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        // Requests have no time limit.
        Box::pin(std::future::pending())
    }

    fn drop(&self, store: Store<InstanceState>, result: Result<(), wasmtime::Error>) {
        if let Err(error) = result
            && !is_runtime_shutdown(&error)
        {
            self.context.log(&format!(
                "the component {:?} trapped; all its open requests end: {error:#}",
                self.component
            ));
        }
        if let Ok(remaining) = store.get_fuel() {
            self.context.instructions.add(u64::MAX - remaining);
        }
        drop(store);
    }
}

/// Returns true if the worker ended only because the runtime did. wasmtime-wasi-http has the same
/// error for a panic in the host, which has its own message already.
fn is_runtime_shutdown(error: &wasmtime::Error) -> bool {
    error.to_string() == "worker panicked" && !std::thread::panicking()
}

/// Ends an instance that has been idle for [`IDLE_TIMEOUT`].
#[derive(Default)]
pub(crate) struct IdleTimeout {
    idle: Option<IdlePeriod>,
}

struct IdlePeriod {
    /// The start as the handler reports it. It only tells periods apart: under paused time this
    /// clock runs on, so that it cannot time them.
    start: std::time::Instant,
    timer: Pin<Box<Sleep>>,
}

impl WorkerExpiration for IdleTimeout {
    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        status: WorkerStatus,
        start: std::time::Instant,
    ) -> Poll<()> {
        if status != WorkerStatus::Idle {
            self.idle = None;
            return Poll::Pending;
        }
        if self.idle.as_ref().is_some_and(|idle| idle.start != start) {
            self.idle = None;
        }
        let idle = self.idle.get_or_insert_with(|| IdlePeriod {
            start,
            timer: Box::pin(sleep(IDLE_TIMEOUT)),
        });
        idle.timer.as_mut().poll(context)
    }
}
