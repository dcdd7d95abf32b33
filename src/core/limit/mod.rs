//! Limits that hold across instances, and what protects a store that fails.
//!
//! Instances are many and short-lived, so a count in the memory of one limits nothing. What holds is
//! a [`GcraSlot`], a small value in the store: for each subject, when it will have earned back all it
//! took. An instance takes a [lease](Leases) of some permits out of it by compare-and-swap and spends
//! them without asking again; the better it uses them, the more it takes at once.
//!
//! In any time of `t` milliseconds no subject spends more than
//! `permits × (1 + (t + LEASE_MILLIS) / period)`, however many instances there are: the burst, what
//! is earned, and what was leased just before. The swap has to be atomic for that. Where slots are
//! read and then written instead, those who do so in the same moment count as one.
//!
//! The keys of the slots are few and fixed, and a slot has at most [`SUBJECTS_PER_SLOT`] subjects:
//! neither grows with what clients think up. A subject that has earned everything back needs no
//! entry; when all entries are needed, a new subject takes over the one that owes least, and what it
//! owes. So a flood of subjects makes newcomers wait, and nobody gets more for it.

mod circuit;
mod lease;
mod rate;
#[cfg(test)]
mod simulation;
mod slot;
mod subject;

pub use circuit::Circuit;
pub use lease::{Decision, LEASE_MILLIS, Leases};
pub use rate::Rate;
pub use slot::{GcraSlot, SUBJECTS_PER_SLOT};
pub use subject::{Kind, RateKey, SLOTS};
