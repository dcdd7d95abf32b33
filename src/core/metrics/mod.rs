//! What is counted, and how the counts of many short-lived instances add up.
//!
//! Each instance counts in its memory ([`Counts`]) and now and then adds what it has counted to a
//! [`Slot`], a small value in the store; a scrape adds up the slots. A slot belongs to one instance at
//! a time. An instance claims one by compare-and-swap, once; from then on nobody else writes to it,
//! so it is written without one, which keeps no stream of the instance waiting. What a slot had
//! counted before stays in it, so a claim takes over the counts of all who had it earlier. An instance
//! that ends gives its slot back; the slot of one that vanished is free a minute after its last write,
//! and what that one had open is not shown any more half a minute before.
//!
//! Nothing is counted twice, and nothing is missing but what an instance had not written when it
//! vanished. [`Recorder`] keeps that whatever a store says of a write that failed.
//!
//! Slots are searched at random in blocks, each twice the one before ([`probe`], [`block`]), and a
//! block is entered only when the one before it is in use: so there are a few slots for each instance
//! that there was at a time, and a scrape knows where to stop.

mod counts;
mod family;
mod handle;
mod label;
mod recorder;
mod series;
#[cfg(test)]
mod simulation;
mod slot;

pub use counts::{Counts, Distribution};
pub use family::{FAMILIES, Family, Kind, Unit};
pub use handle::Metrics;
pub use label::{Call, CallOutcome, EndReason, Label, Publishing};
pub use recorder::Recorder;
pub use series::{Counter, Histogram};
pub use slot::{BLOCKS, PROBES, SLOTS, Slot, block, probe, slot_creation_key, slot_key};
