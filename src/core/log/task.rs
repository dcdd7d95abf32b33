//! What a [`Commit`](super::Commit) is told, and what it says.

use bytes::Bytes;

use super::{Appended, Batch, FormatError, Refused};
use crate::core::time::{Millis, Mono};

/// The time by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For intervals.
    pub mono: Mono,
    /// For records.
    pub wall: Millis,
}

/// What a commit is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Append these batches in order, each for itself: one that is refused does not hold up others.
    Append(Vec<Batch>),
    /// Begin a new log.
    Purge,
}

/// What to do next. Each is answered by the [`Event`] named there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Begin a compare-and-swap on the channel's head and read its value: [`Event::Read`].
    Read,
    /// Increment the channel's creation counter for this turn: [`Event::Claimed`].
    Claim(u64),
    /// Store these values under their keys, in any order: [`Event::Stored`].
    Write(Vec<(String, Bytes)>),
    /// Delete these keys: [`Event::Stored`].
    Delete(Vec<String>),
    /// Swap this value in for what was last read: [`Event::Swapped`].
    Swap(Vec<u8>),
    /// Let so many milliseconds pass: [`Event::Slept`].
    Sleep(u64),
    /// The commit is over; what the batches are answered, in their order.
    Done(Vec<Result<Appended, Refused>>),
    /// The commit is over and failed for all batches alike.
    Failed(Failure),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
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
pub enum Failure {
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
