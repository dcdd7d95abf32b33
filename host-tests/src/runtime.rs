//! The component at run time: what a guest can call, and the life of its instances.

mod bindings;
mod clock;
mod environment;
mod key_value;
mod state;
mod variables;
mod worker;

use anyhow::{Context as _, Result, anyhow};
use wasmtime::Engine;
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime_wasi_http::p3::bindings::ServicePre;

pub(crate) use environment::Environment;
pub(crate) use state::{Grant, State};
pub(crate) use worker::Workers;

/// The body of a response: frames as the guest writes them. Dropping it is what a client that
/// disconnects does.
pub type Body = wasmtime_wasi_http::WasiBody;

/// Links a component with all this host provides.
pub(crate) fn link(engine: &Engine, component: &Component) -> Result<ServicePre<State>> {
    let linker = linker(engine).map_err(|error| anyhow!("{error:#}"))?;
    let instance = linker
        .instantiate_pre(component)
        .map_err(|error| anyhow!("{error:#}"))
        .context(
            "the component imports something the embedded host does not provide \
             (it has WASI, wasi:http 0.3, spin:key-value 3, spin:variables 3 and wasi:keyvalue)",
        )?;
    ServicePre::new(instance)
        .map_err(|error| anyhow!("{error:#}"))
        .context("the component does not export wasi:http/handler 0.3")
}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    // Rust's standard library still speaks WASI 0.2 on the target wasm32-wasip2.
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    bindings::Imports::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    Ok(linker)
}
