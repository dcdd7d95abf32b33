//! The component at run time: the interfaces that a guest can call, and the lifecycle of instances.

mod bindings;
mod context;
mod guest_clock;
mod handler;
mod instance_state;
mod key_value;
mod metrics;
mod variables;

use thiserror::Error;
use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime_wasi_http::p3::bindings::ServicePre;

pub(crate) use context::{HostContext, Output};
pub(crate) use handler::ComponentHandler;
pub(crate) use instance_state::{Capabilities, InstanceState};

/// The body of a response: frames as the guest writes them. Dropping it disconnects the client.
pub type Body = wasmtime_wasi_http::WasiBody;

/// A component that does not fit this host.
#[derive(Debug, Error)]
pub enum LinkError {
    /// The host's own interfaces cannot be defined.
    #[error("cannot define the interfaces of the embedded host")]
    Define(#[source] wasmtime::Error),
    /// The component imports an interface that the host lacks.
    #[error(
        "the component imports something the embedded host does not provide \
         (it has WASI, wasi:http 0.3, spin:key-value 3, spin:variables 3 and wasi:keyvalue)"
    )]
    Imports(#[source] wasmtime::Error),
    /// The component is not an HTTP service.
    #[error("the component does not export wasi:http/handler 0.3")]
    Exports(#[source] wasmtime::Error),
}

/// Links a component with the interfaces that this host provides.
pub(crate) fn link(
    engine: &Engine,
    component: &Component,
) -> Result<ServicePre<InstanceState>, LinkError> {
    let linker = linker(engine).map_err(LinkError::Define)?;
    let instance = linker
        .instantiate_pre(component)
        .map_err(LinkError::Imports)?;
    ServicePre::new(instance).map_err(LinkError::Exports)
}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<InstanceState>> {
    let mut linker = Linker::new(engine);
    // Rust's standard library still speaks WASI 0.2 on the target wasm32-wasip2.
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    bindings::Imports::add_to_linker::<InstanceState, HasSelf<InstanceState>>(
        &mut linker,
        |state| state,
    )?;
    Ok(linker)
}
