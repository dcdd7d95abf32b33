//! Runnel with clients that others wrote: each reads 1000 events over connections that are cut again
//! and again, in mid-event too, and over a `kill -9` of the server, and must miss none, see none
//! twice and get each as it was published. And `/metrics` with the parsers of Prometheus.
//!
//! ```text
//! cargo test -p runnel-host --test clients
//! ```
//!
//! | test | what it needs |
//! |---|---|
//! | [`chromium`], [`fetch_event_source`] | Node.js 20, npm, Chromium (`CHROMIUM`, else `/usr/bin/chromium`) |
//! | [`console`], Runnel's own page | the same |
//! | [`eventsource`] | Node.js 20, npm; with 22.12 or newer the newest major version is tested |
//! | [`httpx_sse`] | Python 3.10 as `python3`, with venv and pip |
//! | [`eventsource_client`] | nothing |
//! | [`curl`] | curl |
//! | [`prometheus`] | Python 3.10, for one half; promtool, for the other |
//!
//! What comes from npm and PyPI is installed once, in the versions that `package-lock.json` and
//! `requirements.txt` name, below the target directory. A test whose client is not there says on
//! standard error that it is skipped, and why. What a client was seen to do is printed too.
//!
//! Like the black-box tests, these can be pointed at another server, which is not restarted then:
//!
//! ```text
//! RUNNEL_URL=http://127.0.0.1:3000 RUNNEL_TOKEN=… cargo test -p runnel-host --test clients
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../black_box/client.rs"]
#[allow(dead_code, reason = "the black-box tests need more of it")]
mod client;
#[path = "../black_box/stream.rs"]
#[allow(dead_code, reason = "the black-box tests need more of it")]
mod stream;

mod events;
mod install;
mod leash;
mod proxy;
mod publisher;
mod server;
mod subscriber;
mod trial;

mod chromium;
mod console;
mod curl;
mod eventsource;
mod eventsource_client;
mod fetch_event_source;
mod httpx_sse;
mod prometheus;

/// Prints a line that the test runner does not keep to itself.
fn say(line: &str) {
    use std::io::Write as _;
    _ = writeln!(std::io::stderr(), "{line}");
}
