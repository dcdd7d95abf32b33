//! The laws that Runnel's parsers and plans keep on any input.
//!
//! Each law is a function from bytes that panics when it is broken; [`TARGETS`] names them all.
//! `cargo test` runs every one over its corpus and a thousand inputs near that. To look further,
//! guided by coverage, take cargo-fuzz, which needs a C++ compiler:
//!
//! ```sh
//! cargo install cargo-fuzz
//! cd host-tests
//! RUSTC_BOOTSTRAP=1 cargo fuzz run head -- -max_total_time=600
//! ```
//!
//! What a run finds goes to `fuzz/corpus/head`, ignored by git, and the next run begins with it; an
//! input that breaks a law goes to `fuzz/artifacts/head`. The committed corpus is a small part of
//! what such runs found, chosen for its coverage.
//!
//! | target | its input | the law |
//! |---|---|---|
//! | `head` | a stored head | it is read or refused; what is read is written back the same, and readers and writers can go on from it |
//! | `segment` | a stored segment | it is read or refused; what is read is written back the same |
//! | `cursor` | a last event ID | text and value are each other's inverse |
//! | `ndjson` | a batch | it is events or a problem; the events can be published and are read back from the log |
//! | `request` | path and query, content type, and body, on a line each | each is read or a problem |
//! | `frame` | an event | it arrives at a client as it was sent, and nothing else does |
//! | `append` | a sequence of appends, closes, purges and overtaken plans | the log holds what was acknowledged |

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a law that is broken panics

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

/// A law: a function that panics if its input breaks it.
pub type Law = fn(&[u8]);

/// Every law by the name of its fuzz target, which is also that of its corpus.
pub const TARGETS: [(&str, Law); 7] = [
    ("head", head),
    ("segment", segment),
    ("cursor", cursor),
    ("ndjson", ndjson),
    ("request", request),
    ("frame", frame),
    ("append", append),
];
