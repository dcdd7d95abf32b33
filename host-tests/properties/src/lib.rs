//! The properties that Runnel's parsers and commit plans keep on any input.
//!
//! Each property is a function from bytes that panics if the property is violated; [`TARGETS`] lists
//! them. `cargo test` runs each over its corpus and a thousand mutations of it. To search further,
//! guided by coverage, use cargo-fuzz, which needs a C++ compiler:
//!
//! ```sh
//! cargo install cargo-fuzz
//! cd host-tests
//! RUSTC_BOOTSTRAP=1 cargo fuzz run head -- -max_total_time=600
//! ```
//!
//! A run adds the inputs it finds to `fuzz/corpus/head`, where git ignores them and the next run
//! starts from them. An input that violates a property is written to `fuzz/artifacts/head`. The
//! committed corpus is a small part of what such runs found, chosen for its coverage.
//!
//! | target | input | property |
//! |---|---|---|
//! | `head` | a stored head | It is decoded or rejected. A decoded head is encoded to the same value, and readers and writers can continue from it. |
//! | `segment` | a stored segment | It is decoded or rejected. A decoded segment is encoded to the same value. |
//! | `cursor` | a last event ID | Parsing and printing are inverse to each other. |
//! | `ndjson` | a batch | It is parsed or a problem. Its events can be published and are read back from the log. |
//! | `request` | path and query, content type, and body, each on a line | Each is parsed or a problem. |
//! | `frame` | an event | A client receives it as it was sent, and nothing else. |
//! | `append` | a sequence of appends, closes, purges and plans that lose the race | The log holds the acknowledged events. |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a violated property panics

mod api;
mod append;
mod cursor;
mod frame;
mod log;

pub use api::{ndjson, request};
pub use append::append;
pub use cursor::cursor;
pub use frame::frame;
pub use log::{head, segment};

/// A property: a function that panics if its input violates it.
pub type Property = fn(&[u8]);

/// The properties by the name of their fuzz target and corpus.
pub const TARGETS: [(&str, Property); 7] = [
    ("head", head),
    ("segment", segment),
    ("cursor", cursor),
    ("ndjson", ndjson),
    ("request", request),
    ("frame", frame),
    ("append", append),
];
