//! The event log of a channel, as values.
//!
//! One small value, the [`Head`], is the single point of truth: swapping it commits. It holds the
//! newest records itself and a directory of sealed, immutable [segments](segment) before them.
//!
//! ```text
//! head!{channel}                 epoch, directory, recent commits, newest records
//! seg!{channel}!{epoch}!{first}  a run of records that no longer changes
//! create!{channel}!{turn}        a counter that says who creates the head
//! ```
//!
//! [`append()`] plans a change of the head, [`Commit`] carries it through whatever
//! the store answers, and [`Head::locate`] says where a reader finds the record it wants.

mod append;
mod commit;
mod creation;
mod format;
#[cfg(test)]
mod golden;
mod group;
mod head;
mod key;
pub(crate) mod mutant;
mod position;
mod record;
mod retention;
pub mod segment;
mod task;

pub use append::{
    Append, AppendError, Appended, Batch, Change, IDEMPOTENCY_MILLIS, IdempotencyKey,
    MAX_GROUP_BYTES, NewEvent, append, purge,
};
pub use commit::{Commit, Contention};
pub use format::FormatError;
pub use group::{Answer, CommitQueue, GroupLeader, Outcome, Ticket};
pub use head::{
    CommitRecord, Head, IDEMPOTENCY_KEYS, IdempotencyEntry, PendingDelete, RECENT_COMMITS,
    SegmentId, SegmentMeta,
};
pub use key::{create_key, head_key, segment_key};
pub use position::{Gap, GapReason, Location, Resolved, StartFrom};
pub use record::{Record, RecordBatch, Records, TRACE};
pub use retention::Retention;
pub use crate::core::time::ClockReading;
pub use task::{Action, CommitError, Completion, Request, SwapError};
