//! How a stream is told to behave, and what it says to do.

use crate::core::log::SegmentRef;
use crate::core::time::Mono;

/// How streams behave; times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// After so long without other bytes a comment is sent.
    pub heartbeat_millis: u64,
    /// The base of the reconnection time.
    pub retry_millis: u64,
    /// A stream ends by itself between 80 % and 100 % of this age.
    pub max_age_millis: u64,
    /// A stream ends when the store has failed for this long.
    pub patience_millis: u64,
    /// The shortest and the longest time between two reads of the head.
    pub poll_millis: (u64, u64),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send these bytes (whole blocks), then ask again.
    Emit(Vec<u8>),
    /// Read the head; one that was read later than at this time will do. Then
    /// [`Stream::head_read`](super::Stream::head_read); until then, ask on.
    ReadHead(Mono),
    /// Read these segments, all at once if possible. Then [`Stream::segments_read`](super::Stream::segments_read); until then,
    /// ask on.
    ReadSegments(Vec<SegmentRef>),
    /// Ask again at this time, or when something was read.
    Wait(Mono),
    /// End the response.
    End,
}
