//! The log of a channel: an ordered, durable sequence of events, from which retention drops the oldest.
//!
//! [`Log`] is all that streams, long-polls, the channel state and publishing know of it; an engine
//! implements it over a kind of store. [`kv`] is the engine for key-value stores.
//!
//! Every engine keeps these laws:
//!
//! 1. Every later reader reads an acknowledged event exactly once, in the order of seqs, until retention
//!    drops it. No reader gets an event that [retention](Retention) does not keep.
//! 2. A batch is visible whole or not at all. Nothing is appended after a close.
//! 3. No two events share an id, and ids of a purged or lost log are never reused by its successor.
//! 4. An unknown outcome is settled before the publisher is answered, or the answer says that it is
//!    unknown.
//! 5. A reader learns from each [`Page`] whether it follows directly on the position it asked for.
//! 6. Nothing grows without bound: no key that a crash leaves behind stays for good.

mod append;
pub mod kv;
mod page;
mod record;
mod retention;
#[cfg(test)]
mod sample;
mod start;
mod summary;

pub use append::{
    AppendError, Appended, Batch, CommitError, IdempotencyKey, MAX_BATCH_BYTES, NewEvent,
};
pub use kv::PollInterval;
pub use kv::format::FormatError;
pub use page::{LogState, News, Page, PageBatch, ReadError};
pub use record::{Record, RecordBatch, Records, TRACE};
pub use retention::Retention;
pub use start::{Gap, GapReason, Resolved, StartFrom};
pub use summary::{Summary, summary};

use crate::core::channel::Channel;
use crate::core::time::Instant;

/// A log engine: the logs of all channels. Clones are handles to the same engine.
pub trait Log: Clone + 'static {
    /// Reads one channel for one subscriber.
    type Reader: LogReader;

    /// Appends a batch: all of it or nothing. Batches that meet in an instance may share a commit.
    ///
    /// # Errors
    /// [`AppendError`] says whether nothing was appended or the outcome is unknown.
    fn append(
        &self,
        channel: &Channel,
        batch: Batch,
        retention: Retention,
    ) -> impl Future<Output = Result<Appended, AppendError>>;

    /// Closes the channel: nothing can be appended any more. Closing a closed channel changes nothing.
    ///
    /// # Errors
    /// As [`Log::append`].
    fn close(
        &self,
        channel: &Channel,
        retention: Retention,
    ) -> impl Future<Output = Result<Appended, AppendError>> {
        let batch = Batch {
            close: true,
            ..Batch::default()
        };
        self.append(channel, batch, retention)
    }

    /// Replaces the log of the channel by an empty one of another epoch. Does nothing if there is none.
    ///
    /// # Errors
    /// [`CommitError`] says whether nothing was changed or the outcome is unknown.
    fn purge(
        &self,
        channel: &Channel,
        retention: Retention,
    ) -> impl Future<Output = Result<(), CommitError>>;

    /// Creates a reader of one channel.
    fn reader(&self, channel: &Channel, options: ReaderOptions) -> Self::Reader;
}

/// One subscriber's reader of one channel. Readers of an instance share what they read.
pub trait LogReader: 'static {
    /// Reads the log's state and the records that follow `from`: at least one if there are any, and no
    /// more than about `max_bytes` of them. With 0 it returns only the records that come with the state
    /// at no extra cost, possibly none.
    ///
    /// A first read, and one after [`News::Ready`] or [`LogReader::invalidate`], asks the store; others
    /// may go on with the state that was read before.
    ///
    /// # Errors
    /// [`ReadError::Missing`] if records that the log promises cannot be had; otherwise the error of the
    /// store, or of a value in it that cannot be used.
    fn read(
        &mut self,
        from: &StartFrom,
        max_bytes: u64,
    ) -> impl Future<Output = Result<Page, ReadError>>;

    /// Returns the result of [`LogReader::read`] if it is to be had without waiting; otherwise `None`.
    fn try_read(&mut self, from: &StartFrom, max_bytes: u64) -> Option<Result<Page, ReadError>>;

    /// Returns whether a read of what follows may find something new now, or when.
    ///
    /// This is the waiting half of a read. It is polled rather than awaited, because no task of an
    /// instance can wake another: a task that waits for several channels, a heartbeat and its client
    /// asks each of them and sleeps until the earliest time.
    fn news(&mut self, now: Instant) -> News;

    /// Distrusts what was read before `now`: the next read asks the store again, after a moment that
    /// [`LogReader::news`] tells.
    fn invalidate(&mut self, now: Instant);
}

/// The options of a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderOptions {
    /// The time at which the subscriber asked: the first page is newer.
    pub opened: Instant,
    /// The interval at which an engine that cannot push polls for news.
    pub poll: PollInterval,
    /// The part of the log to read.
    pub retention: Retention,
}
