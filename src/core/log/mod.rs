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
mod claim;
mod commit;
mod format;
#[cfg(test)]
mod golden;
mod group;
mod head;
mod key;
pub(crate) mod mistake;
mod position;
mod record;
mod retention;
pub mod segment;
mod task;

pub use append::{
    Append, Appended, Batch, Change, IDEMPOTENCY_MILLIS, MAX_GROUP_BYTES, NewEvent, Refused,
    Repeat, append, purge,
};
pub use commit::{Commit, Contention};
pub use format::FormatError;
pub use group::{Answer, Lane, Lead, Outcome, Place};
pub use head::{
    Committed, Head, IDEMPOTENCY_KEYS, RECENT_COMMITS, Remembered, Sealed, SegmentRef, Trashed,
};
pub use key::{create_key, head_key, segment_key};
pub use position::{Gap, GapReason, Location, Position, Start};
pub use record::{Record, Records, Run, TRACE};
pub use retention::Retention;
pub use task::{Event, Failure, Now, SwapError, Task, Work};
