//! The component: resumable Server-Sent Events for Spin. README.md introduces it, and docs/http-api.md
//! specifies the HTTP API. Start reading with [`core`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]
// No request and no stored value may end an instance, and all its streams, by a panic.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::exit,
        clippy::get_unwrap,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable
    )
)]

pub mod api;
pub mod config;
pub mod core;
pub mod instance;
pub mod platform;
#[cfg(test)]
mod simulation;

#[cfg(target_family = "wasm")]
thread_local! {
    static INSTANCE: std::rc::Rc<platform::Instance> = std::rc::Rc::new(platform::instance());
}

/// The entry point of every component in spin.toml, which determines the paths that reach it. Native
/// builds have no host to call it: there the crate is a library of its parts.
#[cfg(target_family = "wasm")]
#[spin_sdk::http_service]
async fn handle(request: api::Request) -> platform::Outgoing {
    let instance = INSTANCE.with(std::rc::Rc::clone);
    platform::Outgoing {
        response: api::respond(&instance, request).await,
        parking: instance.parking.clone(),
    }
}
