//! The component: resumable Server-Sent Events for Spin. README.md introduces it and docs/http-api.md
//! specifies what it serves; start reading with [`core`].

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

pub mod config;
pub mod core;
pub mod config;
pub mod core;
pub mod instance;
pub mod platform;
#[cfg(test)]
mod simulation;
