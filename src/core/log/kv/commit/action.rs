//! The commands and completions of a [`Commit`](super::Commit).

use std::time::Duration;

use bytes::Bytes;

use crate::core::log::kv::segment::{Parts, SegmentError, SegmentId};
use crate::core::log::{AppendError, Appended, Batch, CommitError};
use crate::core::store::{StoreError, SwapError};

/// A request to change a channel's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Appends these batches in order. A batch that is refused does not affect the others.
    Append(Vec<Batch>),
    /// Replaces the log by a new one.
    Purge,
}

/// The next command of a commit. The caller carries it out and reports the completion named there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin a compare-and-swap on the channel's head and read its value: [`Completion::Read`].
    Read,
    /// Increment the channel's creation counter of this period: [`Completion::Incremented`].
    Increment(u64),
    /// Read these segments: [`Completion::Segments`].
    ReadSegments(Vec<SegmentId>),
    /// Store these values under their keys, in any order: [`Completion::Written`].
    Write(Vec<(String, Bytes)>),
    /// Delete these keys: [`Completion::Written`].
    Delete(Vec<String>),
    /// Swap this value in for the one that was last read: [`Completion::Swapped`].
    Swap(Vec<u8>),
    /// Sleep: [`Completion::Slept`].
    Sleep(Duration),
    /// The commit has ended, with the outcomes of the batches in their order.
    Done(Vec<Result<Appended, AppendError>>),
    /// The commit has failed, for all batches alike.
    Failed(CommitError),
}

/// The completion of an [`Action`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// The value of the head.
    Read(Result<Option<Bytes>, StoreError>),
    /// The creation counter after the increment.
    Incremented(Result<i64, StoreError>),
    /// The segments that were read, in order.
    Segments(Vec<Result<Parts, SegmentError>>),
    /// The end of a write or a delete.
    Written(Result<(), StoreError>),
    /// The end of a swap.
    Swapped(Result<(), SwapError>),
    /// The end of a sleep.
    Slept,
}
