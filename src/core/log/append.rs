//! Values of an append: what a publisher hands in, and what comes back.

use std::rc::Rc;
use std::time::Duration;

use thiserror::Error;

use super::{FormatError, TRACE};
use crate::core::sse::{Epoch, EventId, Seq};
use crate::core::store::StoreError;

/// The largest batch, in bytes of events as [`Batch::bytes`] counts them: 64 KiB.
pub const MAX_BATCH_BYTES: usize = 64 * 1024;

/// An event to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEvent {
    /// The type, as [`EventType::from_publisher`](crate::core::sse::EventType::from_publisher) accepted
    /// it; `None` means `message`.
    pub event_type: Option<String>,
    /// The data.
    pub data: String,
    /// The publisher's `traceparent`, if subscribers are to see it.
    pub trace: Option<Rc<str>>,
}

impl NewEvent {
    /// About how many bytes an event takes in the log besides its type, data and trace.
    pub const OVERHEAD_BYTES: usize = 16;

    /// Returns about how many bytes the event takes in the log.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let event_type = self.event_type.as_ref().map_or(0, String::len);
        let trace = self.trace.as_ref();
        let trace = trace.map_or(0, |trace| trace.len().saturating_add(TRACE.len()));
        event_type
            .saturating_add(self.data.len())
            .saturating_add(trace)
            .saturating_add(Self::OVERHEAD_BYTES)
    }
}

/// One publisher's request: applied whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The events, in order. Empty only if `close` is set.
    pub events: Vec<NewEvent>,
    /// Closes the channel after the events.
    pub close: bool,
    /// Present if the publisher gave an idempotency key.
    pub idempotency_key: Option<IdempotencyKey>,
}

impl Batch {
    /// Returns about how many bytes the events take in the log.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let sizes = self.events.iter().map(NewEvent::bytes);
        sizes.fold(0, usize::saturating_add)
    }
}

/// Digests by which a repeated publish is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// The digest of the key.
    pub key: [u8; 16],
    /// The digest of the request, so that a key that is used for another request is refused.
    pub content: [u8; 16],
}

/// The ids that a batch was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The epoch of the log.
    pub epoch: Epoch,
    /// The seq of the first event.
    pub first: Seq,
    /// The number of events.
    pub count: u64,
    /// Set if an earlier publish with the same idempotency key is answered again.
    pub repeated: bool,
}

impl Appended {
    /// Returns the id of the first event.
    #[must_use]
    pub const fn first_id(&self) -> EventId {
        EventId {
            epoch: self.epoch,
            seq: self.first,
        }
    }

    /// Returns the id of the last event.
    #[must_use]
    pub const fn last_id(&self) -> EventId {
        EventId {
            epoch: self.epoch,
            seq: self.first.plus(self.count).minus(1),
        }
    }
}

/// A batch that was not appended, or whose outcome is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AppendError {
    /// The channel is closed.
    #[error("the channel is closed; nothing can be published to it any more")]
    Closed,
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used before with a different request; use a new key")]
    KeyReused,
    /// The commit was given up.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// A commit that was given up. Only after [`CommitError::OutcomeUnknown`] may anything have changed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CommitError {
    /// Too many others write to the channel, and the time or the swaps for a commit have run out.
    #[error("too many others write to the channel")]
    Contended,
    /// The store does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store did not work in time.
    #[error("the store took too long")]
    Timeout,
    /// The circuit breaker is open: the store has been failing and was not asked. It is worth a try
    /// after this time.
    #[error("the store keeps failing; the next attempt is in {} ms", .0.as_millis())]
    CircuitOpen(Duration),
    /// The store failed in mid-commit and has not worked since: the change may have taken place.
    #[error("the outcome of the commit is unknown: {0}")]
    OutcomeUnknown(String),
    /// The stored value cannot be used.
    #[error(transparent)]
    Format(#[from] FormatError),
}
