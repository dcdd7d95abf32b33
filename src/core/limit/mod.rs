//! Rate limits that hold across instances, and the circuit breaker in front of the store.
//!
//! Instances are many and short-lived, so a count in the memory of one limits nothing. The limit is kept
//! in the store: a [`GcraBucket`] holds the theoretical arrival times (GCRA, the generic cell rate
//! algorithm) of some [`RateKey`]s. An instance takes a [lease](Leases) of some permits out of it by
//! compare-and-swap and spends them without asking again. While it spends its leases in time, each is
//! twice as large as the one before. The [`Limiter`] drives this.
//!
//! In any time of length `t` no key spends more than `permits × (1 + (t + LEASE) / period)`, however many
//! instances there are: the burst, the permits that accrue, and those that were leased just before. The
//! swap must be atomic for that. Where buckets are read and then written instead, requests that do so at
//! the same moment count as one.
//!
//! A use that cannot be allowed beforehand, as a wrong token, is counted after the fact: [`Limiter::count`]. Then
//! the instance refuses the key for a while, without asking the store.
//!
//! Neither the number of buckets nor their size grows with the keys that clients make up: buckets are
//! fixed, and one has at most [`KEYS_PER_BUCKET`] entries. A key that owes nothing needs no entry. When
//! all entries are needed, a new key replaces the one that owes least and inherits its debt. So a flood
//! of keys makes newcomers wait, and no key gains by it.

mod bucket;
mod circuit;
mod lease;
mod limiter;
mod rate;
mod rate_key;
#[cfg(test)]
mod simulation;
mod verdicts;

use std::time::Duration;

use thiserror::Error;

pub use bucket::{GcraBucket, KEYS_PER_BUCKET};
pub use circuit::Circuit;
pub use lease::{Decision, LEASE, Leases};
pub use limiter::Limiter;
pub use rate::Rate;
pub use rate_key::{BUCKETS, ClientNetwork, RateKey, RateKind};
pub use verdicts::Verdicts;

/// A refusal: the key or the store is refused for this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
#[error("refused for another {} ms", .0.as_millis())]
pub struct RetryAfter(pub Duration);
