//! The only code that touches Spin and WASI.

mod carrier;
pub mod clock;
pub mod committer;
pub mod config;
pub mod limiter;
pub mod log;
pub mod metrics;
pub mod random;
mod response;
pub mod segments;
pub mod store;
pub mod tail;
mod write;

pub use carrier::rest;
pub use response::{Body, Outgoing, Stall};
pub use write::WriteTimeout;

/// The body of a request, read as it arrives.
pub use spin_sdk::wasip3::http_compat::IncomingRequestBody as RequestBody;
