//! The commands of the state machines of this module.

use crate::core::log::StartFrom;
use crate::core::time::Instant;

/// A replayed chunk ends with the event that takes it to this size: 64 KiB.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// The next command of a stream or a long-poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send these bytes, which are whole blocks, then ask again.
    Emit(Vec<u8>),
    /// Read from the log of the channel at this index, and report the page to
    /// [`MergedReader::page_read`](super::MergedReader::page_read). Ask again at once: other channels may
    /// have something to do meanwhile.
    Read(usize, ReadRequest),
    /// Ask again at this time, or when a page was read.
    Wait(Instant),
    /// Nothing more follows.
    End,
}

/// A read of one channel's log: the arguments of [`LogReader::read`](crate::core::log::LogReader::read).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRequest {
    /// The start of the page.
    pub from: StartFrom,
    /// The size of the page, in bytes of records.
    pub max_bytes: u64,
    /// The time to read.
    pub when: ReadWhen,
}

/// The time to carry out a [`ReadRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadWhen {
    /// Now.
    Now,
    /// Now, of a newer state if the reader's schedule allows to ask for one.
    Refreshed,
    /// When there is news: [`LogReader::news`](crate::core::log::LogReader::news).
    OnNews,
    /// The same, after [`LogReader::invalidate`](crate::core::log::LogReader::invalidate).
    Invalidated,
}
