//! What a [`Commit`](super::Commit) is told, and what it says.

use bytes::Bytes;

use super::{AppendError, Appended, Batch, FormatError};

/// What a commit is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Append these batches in order, each for itself: one that is refused does not hold up others.
    Append(Vec<Batch>),
    /// Begin a new log.
    Purge,
}

/// What to do next. Each is answered by the [`Completion`] named there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin a compare-and-swap on the channel's head and read its value: [`Completion::Read`].
    Read,
    /// Increment the channel's creation counter for this turn: [`Completion::Claimed`].
    CreationLease(u64),
    /// Store these values under their keys, in any order: [`Completion::Stored`].
    Write(Vec<(String, Bytes)>),
    /// Delete these keys: [`Completion::Stored`].
    Delete(Vec<String>),
    /// Swap this value in for what was last read: [`Completion::Swapped`].
    Swap(Vec<u8>),
    /// Let so many milliseconds pass: [`Completion::Slept`].
    Sleep(u64),
    /// The commit is over; what the batches are answered, in their order.
    Done(Vec<Result<Appended, AppendError>>),
    /// The commit is over and failed for all batches alike.
    Failed(CommitError),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Completion {
    /// The value of the head, or what the store said.
    Read(Result<Option<Bytes>, String>),
    /// The creation counter after the increment.
    Claimed(Result<i64, String>),
    /// Whether everything was stored or deleted.
    Stored(Result<(), String>),
    /// How the swap ended.
    Swapped(Result<(), SwapError>),
    /// The time has passed.
    Slept,
}

/// How a swap can fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwapError {
    /// The store says that the value was changed in between.
    Lost,
    /// The store had an error.
    Store(String),
    /// It was not tried: the host lets this instance swap no more.
    Spent,
}

/// Why a commit was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitError {
    /// Too many others write to the channel, and patience or swaps have run out. Nothing was appended.
    Contended,
    /// The store does not work. Nothing was appended.
    Store(String),
    /// The store has been failing and was not asked; it is worth a try in so many milliseconds.
    /// Nothing was appended.
    Away(u64),
    /// The store failed in mid-commit and has not worked since: the events may be in the log.
    Unknown(String),
    /// The stored head cannot be used. Nothing was appended.
    Format(FormatError),
}
