//! README.md and docs/ are correct: links resolve, the files, tests and types that they name exist, the
//! configuration tables match spin.toml, and the examples work against a real server.
//!
//! ```text
//! cargo test -p runnel-host --test docs
//! ```
//!
//! docs/contributing.md documents the info strings that the examples use.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod expected;
mod markdown;
mod session;
mod sources;

mod commands;
mod examples;
mod links;
mod names;
mod paths;
mod variables;
mod wording;
