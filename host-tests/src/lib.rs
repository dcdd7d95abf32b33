//! The embedded host of Runnel: runs the wasm file that Spin runs, without Spin.
//!
//! The binary of this package is a development server for machines without Spin (`cargo run` in the
//! project's root). The library is the harness of the tests that need the component as it is
//! deployed. A test calls the component without a network and, if needed, under paused time:
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
//! The host shares with Spin 4.1 the routes, variables and store labels of `spin.toml`, the semantics
//! of the SQLite key-value store (quirks included), the lifecycle of component instances, and the
//! headers that a component receives. It lacks TLS, outgoing requests, and every interface that Runnel
//! does not import.
//!
//! | module | content |
//! |---|---|
//! | [`manifest`] | `spin.toml` |
//! | [`application`] | the manifest and its compiled components |
//! | `route_table` | the component of a path |
//! | `runtime` | the interfaces that a guest can call, and the lifecycle of instances |
//! | [`store`] | the key-value stores |
//! | `host` | dispatches requests to components |
//! | `server` | serves a host over TCP |
//! | [`output`] | standard output and standard error |

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod application;
mod host;
pub mod manifest;
pub mod output;
mod route_table;
mod runtime;
mod server;
pub mod store;

pub use application::{Application, BuildMode};
pub use host::{Host, HostBuilder, HostError};
pub use manifest::Manifest;
pub use route_table::UnsupportedRoute;
pub use runtime::{Body, LinkError};
pub use server::{Server, ServerOptions};
