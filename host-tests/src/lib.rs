//! The embedded host of Runnel: runs the very wasm file that Spin runs, without Spin.
//!
//! It serves two purposes. The binary of this package is a development server for machines that
//! have no Spin (`cargo run` in the project's root); the library is the harness of every test that
//! needs the component as it is deployed. A test talks to the component without a network and, if
//! it wishes, under paused time:
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use bytes::Bytes;
//! use http_body_util::{BodyExt, Full};
//! use runnel_host::{Application, Host};
//!
//! let application = Application::load_default()?; // builds and compiles once in a process
//! let host = Host::builder(&application)
//!     .variable("publish_token", "secret")
//!     .seed(1)
//!     .build()?;
//! let request = http::Request::get("/health").body(Full::<Bytes>::default())?;
//! let response = host.request(request).await;
//! assert_eq!(response.status(), 200);
//! let body = response.into_body().collect().await?.to_bytes();
//! # Ok(())
//! # }
//! ```
//!
//! What it shares with Spin 4.1: the routes, variables and store labels of `spin.toml`, the
//! semantics of Spin's SQLite key-value store (quirks included), the life of component instances
//! and the headers a component is given. What it leaves out: TLS, outgoing requests, and every
//! interface Runnel does not import.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod component;
mod host;
pub mod manifest;
mod route;
mod runtime;
mod server;
mod socket;
pub mod store;
mod tail;

pub use component::{Application, Build};
pub use host::{Host, HostBuilder};
pub use manifest::Manifest;
pub use runtime::Body;
pub use server::{ServeOptions, Server};
