//! Runnel with third-party clients. Each reads 1000 events over connections that are cut repeatedly, in
//! the middle of events too, and across a SIGKILL of the server. It must receive each event once, in order
//! and unchanged. [`prometheus`] checks `/metrics` with the parsers of Prometheus, and [`console`]
//! Runnel's own page in a browser.
//!
//! ```text
//! cargo test -p runnel-host --test clients
//! ```
//!
//! | test | requirements |
//! |---|---|
//! | [`chromium`], [`fetch_event_source`] | Node.js 20, npm, Chromium (`CHROMIUM`, else `/usr/bin/chromium`) |
//! | [`console`] | the same |
//! | [`eventsource`] | Node.js 20, npm; from 22.12 on, the newest major version is tested |
//! | [`httpx_sse`] | Python 3.10 as `python3`, with venv and pip |
//! | [`eventsource_client`] | none |
//! | [`curl`] | curl |
//! | [`prometheus`] | Python 3.10, for one half; promtool, for the other |
//!
//! Packages from npm and PyPI are installed once below the target directory, in the versions of
//! `package-lock.json` and `requirements.txt`. A test without its client is skipped, and prints the
//! reason to standard error. A summary of each client's behaviour is printed too.
//!
//! Like the black-box tests, these can test another server, which is not restarted then:
//!
//! ```text
//! RUNNEL_URL=http://127.0.0.1:3000 RUNNEL_TOKEN=… cargo test -p runnel-host --test clients
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod conformance;
mod events;
mod install;
mod proxy;
mod publisher;
mod subscriber;

mod chromium;
mod console;
mod curl;
mod eventsource;
mod eventsource_client;
mod fetch_event_source;
mod httpx_sse;
mod prometheus;

/// Prints a line that the test runner does not capture.
fn print_uncaptured(line: &str) {
    use std::io::Write as _;
    _ = writeln!(std::io::stderr(), "{line}");
}
