//! The component: resumable Server-Sent Events for Spin. README.md says what it does; begin reading
//! with [`core`].

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod api;
pub mod core;
pub mod platform;

/// The one entry point; spin.toml says which paths reach it in which component. Natively, where
/// there is no host to call it, the crate is a library of its parts.
#[cfg(target_family = "wasm")]
#[spin_sdk::http_service]
async fn handle(request: api::Request) -> platform::Outgoing {
    platform::Outgoing(api::respond(request).await)
}
