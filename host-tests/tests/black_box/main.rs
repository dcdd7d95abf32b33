//! The guarantees that Runnel gives to its HTTP clients. The tests know a base URL and a publish
//! token, and nothing about the implementation.
//!
//! By default they start the embedded host on a free port with a temporary state directory:
//!
//! ```text
//! cargo test -p runnel-host --test black_box
//! ```
//!
//! They also run against any other server, for example one started with `spin up`, even if it holds
//! data already: each test creates its own channels. That server needs the settings of spin.toml:
//!
//! ```text
//! RUNNEL_URL=http://127.0.0.1:3000 RUNNEL_TOKEN=… cargo test -p runnel-host --test black_box
//! ```
//!
//! Tests that need other settings or stop the server are then skipped and print that they are (visible
//! with `-- --nocapture`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod channels;

mod attacks;
mod base_path;
mod caching;
mod channel_lifecycle;
mod cloud_events;
mod command_line;
mod concurrency;
mod configuration;
mod connections;
mod cors;
mod crash_recovery;
mod cursors;
mod event_filter;
mod html_forms;
mod limits;
mod links;
mod long_poll;
mod multi_channel;
mod observability;
mod openapi;
mod ops_files;
mod pagination;
mod publish_errors;
mod publishing;
mod raw_requests;
mod restart;
mod routing;
mod stalled_readers;
mod subscribing;
mod tokens;
mod unread_log;
