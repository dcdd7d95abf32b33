//! Metrics: counts in many short-lived instances that add up in the store.
//!
//! Each instance counts in its memory ([`Counts`]), and its [`MetricsWriter`] adds the counts to a
//! [`Slot`], a small value in the store, at intervals. A scrape adds up the slots. A slot has one owner
//! at a time. An instance claims one by compare-and-swap, once; from then on no other instance writes
//! to it, so it is written without a swap, which would block the streams of the instance. The counts of
//! former owners stay in the slot. An instance that becomes idle releases its slot. The slot of an
//! instance that vanished is free a minute after its last write; its gauges expire half a minute
//! before.
//!
//! Nothing is counted twice, and nothing is missing but counts that were not yet written when their
//! instance vanished. [`Recorder`] ensures that, whatever a store reports about a failed write: the slot
//! shows the outcome, since it names its last write and the last write of the owner before. Only if a
//! write that releases the slot fails and two others have owned the slot since, the outcome cannot be
//! seen, and the counts are written again.
//!
//! Slots are searched at random in blocks, each twice as large as the one before ([`probe`],
//! [`block`]), and an instance enters a block only if it found the one before in use. So the number of
//! slots follows the number of instances that ran at the same time, and a scrape knows where to stop.

mod counts;
mod family;
mod handle;
mod label;
mod recorder;
mod series;
#[cfg(test)]
mod simulation;
mod slot;
mod writer;

pub use counts::{Counts, Distribution};
pub use family::{FAMILIES, Family, Kind, Unit};
pub use handle::Metrics;
pub use label::{Call, CallOutcome, EndReason, Label, PublishOutcome};
pub use recorder::Recorder;
pub use series::{Counter, Histogram};
pub use slot::{BLOCKS, PROBES, SLOTS, Slot, SlotError, block, probe, slot_creation_key, slot_key};
pub use writer::{Activity, MetricsError, MetricsWriter, OpenStream};
