//! The only code that touches Spin and WASI.

pub mod clock;
pub mod committer;
pub mod config;
pub mod log;
pub mod random;
pub mod store;
pub mod tail;

/// The body of a request, read as it arrives.
pub use spin_sdk::wasip3::http_compat::IncomingRequestBody as RequestBody;
