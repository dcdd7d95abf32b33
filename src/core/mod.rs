//! Runnel's decisions, free of I/O: no clock, no randomness, no store and no HTTP.
//!
//! Time, random numbers and stored bytes come in as values; plans and bytes for the wire go out.
//! [`api`](crate::api) and [`platform`](crate::platform) carry the plans out.

pub mod access;
pub mod backoff;
pub mod cache;
pub mod channel;
pub mod environment;
pub mod limit;
pub mod log;
pub mod logging;
pub mod metrics;
pub mod parking;
pub mod problem;
pub mod sse;
pub mod store;
pub mod stream;
pub mod time;
pub mod trace;
