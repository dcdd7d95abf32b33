//! Runnel's decisions, free of I/O: no clock, no randomness, no store and no HTTP.
//!
//! State machines take time, random numbers and stored bytes as values and return actions and bytes for
//! the wire. Their drivers carry the actions out through two traits:
//! [`Environment`](environment::Environment) and [`KeyValueStore`](store::KeyValueStore), which
//! [`platform`](crate::platform) implements for Spin and the simulation with virtual time.

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
