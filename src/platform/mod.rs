//! The only code that touches Spin and WASI.

mod environment;
mod outgoing;
mod store;
mod variables;
mod write;

pub use environment::SpinEnvironment;
pub use outgoing::{Body, Outgoing, Stall};
pub use store::SpinStore;
pub use variables::SpinVariables;
pub use write::WriteTimeout;

/// The body of a request, read as it arrives.
pub use spin_sdk::wasip3::http_compat::IncomingRequestBody as RequestBody;

/// An instance on Spin.
pub type Instance = crate::instance::Instance<SpinEnvironment, SpinStore>;

/// Creates the state of an instance that has served nothing yet.
#[must_use]
pub fn instance() -> Instance {
    Instance::new(SpinEnvironment, SpinStore::default(), SpinVariables)
}
