//! The life of instances: how many requests one takes, and when it ends. The numbers are Spin 4.1's.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};
use wasmtime::component::GuestTaskId;
use wasmtime::{Store, StoreContextMut};
use wasmtime_wasi_http::WasiHttpView as _;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, Proxy, ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus,
};
use wasmtime_wasi_http::p3::bindings::ServicePre;

use super::environment::Environment;
use super::state::{Grant, State};

/// Requests an instance serves in its life.
const REQUESTS_PER_INSTANCE: usize = 128;
/// Requests of an instance that may wait for a response head at the same time.
const WAITING_PER_INSTANCE: usize = 16;
/// How long an instance without requests is kept.
const IDLE: Duration = Duration::from_secs(1);

/// Makes the instances of one Spin component.
pub(crate) struct Workers {
    pub(crate) service: ServicePre<State>,
    pub(crate) environment: Arc<Environment>,
    pub(crate) grant: Arc<Grant>,
}

impl HandlerState for Workers {
    type StoreData = State;
    type WorkerExpiration = Idle;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<State, Idle, Worker>> {
        let state = State::new(&self.environment, self.grant.clone());
        let mut store = Store::new(self.service.engine(), state);
        store.limiter(|state| &mut state.memory);
        // Only an engine that counts instructions takes it.
        _ = store.set_fuel(u64::MAX);
        let service = self.service.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy: Proxy::P3(service),
            view: |state| state.http(),
            expiration: Idle::default(),
            state: Worker {
                environment: self.environment.clone(),
                grant: self.grant.clone(),
            },
        })
    }
}

/// One instance, as the request handler asks about it.
pub(crate) struct Worker {
    environment: Arc<Environment>,
    grant: Arc<Grant>,
}

impl WorkerState for Worker {
    type StoreData = State;
    type RequestData = ();

    fn should_accept_request(&self, waiting: usize, total: usize) -> ShouldAccept {
        if total >= REQUESTS_PER_INSTANCE {
            ShouldAccept::Never
        } else if waiting >= WAITING_PER_INSTANCE {
            ShouldAccept::No
        } else {
            ShouldAccept::Yes
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, State>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        // No time limit for a request.
        Box::pin(std::future::pending())
    }

    fn drop(&self, store: Store<State>, result: Result<(), wasmtime::Error>) {
        if let Err(error) = result
            && !is_abandoned(&error)
        {
            self.environment.log(&format!(
                "the component {:?} trapped, and all its open requests with it: {error:#}",
                self.grant.component
            ));
        }
        if let Ok(left) = store.get_fuel() {
            self.environment.instructions.add(u64::MAX - left);
        }
        drop(store);
    }
}

/// Whether the worker merely went down with the runtime. wasmtime-wasi-http says the same of that and
/// of a panic in the host, which panics aloud anyway.
fn is_abandoned(error: &wasmtime::Error) -> bool {
    error.to_string() == "worker panicked" && !std::thread::panicking()
}

/// Ends an instance that has been idle for long enough.
#[derive(Default)]
pub(crate) struct Idle {
    /// The idle period: when the handler says it began (only to tell periods apart: under paused
    /// time that clock runs on) and the timer of its end.
    period: Option<(std::time::Instant, Pin<Box<Sleep>>)>,
}

impl WorkerExpiration for Idle {
    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        status: WorkerStatus,
        start: std::time::Instant,
    ) -> Poll<()> {
        if status != WorkerStatus::Idle {
            self.period = None;
            return Poll::Pending;
        }
        if self
            .period
            .as_ref()
            .is_none_or(|(began, _)| *began != start)
        {
            let end = Box::pin(tokio::time::sleep_until(Instant::now() + IDLE));
            self.period = Some((start, end));
        }
        match &mut self.period {
            Some((_, end)) => end.as_mut().poll(context),
            None => Poll::Pending,
        }
    }
}
