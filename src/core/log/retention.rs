//! The part of a log that is kept.

use std::time::Duration;

/// The part of a log that is kept. An engine may keep somewhat more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Keeps the newest events, up to this number.
    pub events: u64,
    /// Keeps the newest events, up to this many bytes of records.
    pub bytes: u64,
    /// Drops events that are older; `None` keeps them.
    pub max_age: Option<Duration>,
}
