//! The component as it is deployed, run in the embedded host under conditions that a test controls:
//! its store, its clock, and clients that come, wait, read slowly and go.
//!
//! Most tests run under paused time, in which an hour passes at once and every wait is exact.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answer;
mod block;
mod commit_faults;
mod contention;
mod crash;
mod disconnect;
mod economy;
mod effort;
mod life;
mod log_lines;
mod long_poll;
mod metrics;
mod misfortune;
mod outage;
mod overload;
mod read_faults;
mod replay;
mod restart;
mod scenario;
mod several;
mod sharing;
mod site;
mod store;
mod subscriber;
mod trap;
mod unreadable;
mod walls;
