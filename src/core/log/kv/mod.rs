//! The engine for key-value stores: a log on any store with get, set, delete and compare-and-swap.
//!
//! One small value, the [`Head`], is the point of truth and of linearisation: swapping it commits. It
//! holds the newest records itself and a directory of sealed, immutable [segments](segment) before
//! them; [`key`] has the schema. [`append()`] plans a change of the head, [`Commit`] carries it through
//! whatever the store answers, and [`CommitQueue`] lets publishes that meet in an instance share a
//! commit. [`KvLog`] drives them against a store, and [`KvReader`] reads for one subscriber by way of
//! caches that the readers of an instance share.

mod append;
mod commit;
mod commit_queue;
mod creation_lease;
pub mod format;
#[cfg(test)]
mod golden;
mod head;
mod head_cache;
pub mod key;
mod kv_log;
mod kv_reader;
mod locate;
mod merge;
pub(crate) mod mutant;
mod poll_schedule;
mod retention;
pub mod segment;
mod segment_cache;
mod shared_head;
#[cfg(test)]
mod simulation;

use std::time::Duration;

pub use append::{Append, Change, IDEMPOTENCY_WINDOW, MAX_GROUP_BYTES, append, purge};
pub use commit::{Action, Commit, Completion, Contention, Request};
pub use commit_queue::{CommitQueue, GroupLeader, Ticket};
pub use head::{Head, IDEMPOTENCY_KEYS, IdempotencyEntry, InvariantError, RECENT_COMMITS};
pub use kv_log::KvLog;
pub use kv_reader::KvReader;
pub use locate::Location;
pub use merge::{MERGED_BYTES, Merge};
pub use poll_schedule::PollInterval;

/// The time for which readers wait for one that reads what they want; then they read it themselves.
/// While a stream writes to its client, its reads are not polled, and a client may stall for long: 1 s.
const SHARED_READ_TIMEOUT: Duration = Duration::from_secs(1);
