//! The fixtures of tests that need a running Runnel.
//!
//! | fixture | the server runs | controlled by the test |
//! |---|---|---|
//! | [`Fixture`] | in this process, without a network | store faults, clock, seed |
//! | [`HostProcess`] | as a child process | start, SIGTERM, SIGKILL, restart |
//! | [`Server::from_env`] | anywhere, such as `spin up` | nothing |
//!
//! [`Server`] sends requests over HTTP to the latter two; [`shared_server`] returns whichever of them
//! is used. [`Channel`] publishes and subscribes with a channel name of its own, and [`Stream`] reads
//! events with a parser that is not Runnel's. [`Subscriber`] reads the stream of a [`Fixture`] frame by
//! frame, and rejects bytes that are well-formed but not as Runnel writes them.
//!
//! This is a crate, and not a module that each test binary includes, so that it is compiled once and
//! the compiler warns of dead code in the test binaries only where it is theirs.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a fixture fails the test"
)]

mod channel;
mod child_process;
mod fixture;
mod frame;
mod host_process;
mod mounted_application;
mod request;
mod response;
mod server;
mod store;
mod stream;
mod subscriber;

use std::time::Duration;

pub use channel::{Channel, split_id};
pub use child_process::ChildProcess;
pub use fixture::{
    CHANNEL, Fixture, TOKEN, assert_no_trap, authorized, authorized_with, data_in_order, host, log,
    numbered_text, publish, send,
};
pub use frame::{Event, Frame, is_bookkeeping};
pub use host_process::{HostProcess, can_start_hosts, host_command, terminate_when_announced};
pub use mounted_application::MountedApplication;
pub use request::{Error, OpenResponse, Request};
pub use response::Response;
pub use server::{Server, shared_server};
pub use store::TestStore;
pub use stream::{Stream, data, ids};
pub use subscriber::Subscriber;

/// Bounds every wait for a response, an event or the end of a task.
pub const TIMEOUT: Duration = Duration::from_secs(60);
