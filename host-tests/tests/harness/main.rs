//! The deployed component in an embedded host, under conditions that a test controls: store faults,
//! the clock, and clients that connect, wait, read slowly and disconnect.
//!
//! Most tests run under paused time: an hour passes at once, and every wait is exact.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod outcome;
mod scenario;

mod commit_faults;
mod contention;
mod crash;
mod disconnect;
mod instruction_count;
mod layering;
mod lifetime;
mod log_lines;
mod long_poll;
mod metrics;
mod multi_channel;
mod outage;
mod overload;
mod read_faults;
mod replay;
mod restart;
mod retention;
mod sharing;
mod store_calls;
mod trap;
mod unreadable;
mod wrong_tokens;
