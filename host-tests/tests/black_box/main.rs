//! What Runnel promises to whoever speaks HTTP with it, and nothing else: these tests know a base
//! URL and a publish token.
//!
//! Without further ado they start the embedded host, on a free port and a folder of its own:
//!
//! ```text
//! cargo test -p runnel-host --test black_box
//! ```
//!
//! They are as good for any other server, such as a `spin up`, also one with old data, for each test
//! makes up channels of its own. The server must have the settings of spin.toml:
//!
//! ```text
//! RUNNEL_URL=http://127.0.0.1:3000 RUNNEL_TOKEN=… cargo test -p runnel-host --test black_box
//! ```
//!
//! Tests that need other settings, or that stop the server, are skipped then, and say so (seen with
//! `-- --nocapture`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod channel;
mod channels;
mod client;
mod server;
mod stream;

mod attacks;
mod bad_paths;
mod bad_publishing;
mod closing;
mod cloud_events;
mod command_line;
mod concurrency;
mod connections;
mod cors;
mod crash;
mod cursors;
mod filter;
mod forms;
mod limits;
mod links;
mod long_poll;
mod observing;
mod openapi;
mod operations;
mod pages;
mod publishing;
mod restart;
mod settings;
mod several;
mod subscribing;
mod tokens;
