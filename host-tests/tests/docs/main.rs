//! README.md and docs/ are correct: links resolve, the configuration tables match spin.toml, and the
//! examples work against a real server.
//!
//! ```text
//! cargo test -p runnel-host --test docs
//! ```
//!
//! docs/contributing.md documents the info strings that the examples use.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../clients/leash.rs"]
mod leash;
#[path = "../clients/server.rs"]
#[allow(dead_code, reason = "the client tests need more of it")]
mod server;

mod expected;
mod markdown;
mod session;

mod examples;
mod links;
mod variables;
mod wording;
