//! Slots: the values in the store, and their keys.

use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::counts::Counts;
use crate::core::time::Timestamp;

/// The number of blocks of slots.
pub const BLOCKS: u32 = 6;

/// The number of slots: 504.
pub const SLOTS: u32 = FIRST_BLOCK * ((1 << BLOCKS) - 1);

/// The largest number of slots that an instance tries to claim one.
pub const PROBES: u32 = BLOCKS * PROBES_PER_BLOCK;

/// The number of slots in the first block.
const FIRST_BLOCK: u32 = 8;

/// The number of slots of a block that an instance tries before it goes on to the next block.
const PROBES_PER_BLOCK: u32 = 3;

/// The time since its last write after which the gauges of an instance are not shown any more.
const GAUGE_EXPIRY: Duration = Duration::from_secs(30);

/// The time since its last write after which the slot of an instance is free. The clocks of two hosts
/// may differ by as much as this is longer than [`GAUGE_EXPIRY`].
const SLOT_EXPIRY: Duration = Duration::from_secs(60);

/// The version of the stored format.
const FORMAT: u8 = 1;

/// The counts of all instances that have owned the slot, and the gauges of its owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The last write.
    pub(super) version: Version,
    /// The last write of the owner before.
    pub(super) previous: Version,
    /// The time of the last write; `None` if the owner has released the slot.
    pub(super) written_at: Option<Timestamp>,
    /// The number of event streams that the owner had open then.
    pub(super) streams_open: u64,
    /// The counts.
    pub counts: Counts,
}

/// A write of a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    /// The number that the writing instance has drawn.
    pub(super) owner: u64,
    /// The number of writes of that instance.
    pub(super) writes: u64,
}

/// A stored value that is not a slot. It must not be overwritten.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SlotError {
    /// The value is empty.
    #[error("a stored metrics slot is empty")]
    Empty,
    /// The value has another format version, perhaps a newer one.
    #[error("a stored metrics slot has the format version {0}; this Runnel reads {FORMAT}")]
    Format(u8),
    /// The value cannot be decoded.
    #[error("a stored metrics slot cannot be decoded: {0}")]
    Codec(#[from] postcard::Error),
}

impl Slot {
    /// Decodes a stored slot.
    ///
    /// # Errors
    /// If the value is not a slot, or one of another format.
    pub fn decode(bytes: &[u8]) -> Result<Self, SlotError> {
        match bytes {
            [FORMAT, rest @ ..] => Ok(postcard::from_bytes(rest)?),
            [format, ..] => Err(SlotError::Format(*format)),
            [] => Err(SlotError::Empty),
        }
    }

    /// Encodes the value to store.
    ///
    /// # Errors
    /// Never for a vector with room to grow; the codec's signature allows for other sinks.
    pub fn encode(&self) -> Result<Vec<u8>, SlotError> {
        Ok(postcard::to_extend(self, vec![FORMAT])?)
    }

    /// Returns the number of event streams that are open in the owner; `None` if that has ended or
    /// vanished.
    #[must_use]
    pub fn streams_open(&self, now: Timestamp) -> Option<u64> {
        let age = now.saturating_duration_since(self.written_at?);
        (age < GAUGE_EXPIRY).then_some(self.streams_open)
    }

    /// Returns whether another instance may claim the slot.
    pub(super) fn is_free(&self, now: Timestamp) -> bool {
        let age = |written_at| now.saturating_duration_since(written_at);
        self.written_at
            .is_none_or(|written_at| age(written_at) >= SLOT_EXPIRY)
    }
}

/// Returns the key of a slot.
#[must_use]
pub fn slot_key(slot: u32) -> String {
    format!("metrics!{slot}")
}

/// Returns the key of the counter that chooses the creator of a slot: the instance that increments it
/// first. It has no other use.
#[must_use]
pub fn slot_creation_key(slot: u32) -> String {
    format!("metrics-created!{slot}")
}

/// Returns the slots of a block.
#[must_use]
pub fn block(block: u32) -> Range<u32> {
    let first = |block: u32| {
        let blocks = 1_u32.checked_shl(block).unwrap_or(u32::MAX);
        FIRST_BLOCK.saturating_mul(blocks.saturating_sub(1))
    };
    first(block.min(BLOCKS))..first(block.saturating_add(1).min(BLOCKS))
}

/// Returns the slot to try when `tried` slots were owned by others; `None` if no more are to be tried.
#[must_use]
pub fn probe(tried: u32, random: u64) -> Option<u32> {
    let slots = block(tried / PROBES_PER_BLOCK);
    let slot = random.checked_rem(u64::from(slots.end.saturating_sub(slots.start)))?;
    let slot = u32::try_from(slot).ok()?;
    Some(slots.start.saturating_add(slot))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::metrics::Counter;

    #[test]
    fn blocks_double_and_cover_all_slots() {
        let blocks: Vec<_> = (0..BLOCKS).map(block).collect();
        assert_eq!(blocks[0], 0..8);
        assert_eq!(blocks[1], 8..24);
        assert_eq!(blocks[5], 248..504);
        assert_eq!(blocks[5].end, SLOTS);
        assert!(block(BLOCKS).is_empty());
        for tried in 0..PROBES {
            let slot = probe(tried, u64::MAX).unwrap();
            assert!(block(tried / PROBES_PER_BLOCK).contains(&slot), "{tried}");
        }
        assert_eq!(probe(PROBES, 7), None);
    }

    #[test]
    fn the_stored_bytes_are_as_documented() {
        let mut slot = Slot {
            version: Version {
                owner: 7,
                writes: 2,
            },
            previous: Version {
                owner: 6,
                writes: 4,
            },
            written_at: Some(Timestamp(300)),
            streams_open: 5,
            counts: Counts::default(),
        };
        slot.counts.add(Counter::StreamsOpened, 9);
        let bytes = slot.encode().unwrap();
        assert_eq!(bytes, [1, 7, 2, 6, 4, 1, 172, 2, 5, 1, 0, 0, 9]);
        assert_eq!(Slot::decode(&bytes), Ok(slot));
        assert_eq!(Slot::decode(&[2, 0]), Err(SlotError::Format(2)));
        assert_eq!(Slot::decode(&[]), Err(SlotError::Empty));
    }

    #[test]
    fn gauges_expire_before_the_slot_is_free() {
        let mut slot = Slot {
            written_at: Some(Timestamp(1_000)),
            streams_open: 3,
            ..Slot::default()
        };
        let shown = [0, 1_000, 30_999, 31_000].map(|now| slot.streams_open(Timestamp(now)));
        assert_eq!(shown, [Some(3), Some(3), Some(3), None]);
        let free = [0, 60_999, 61_000].map(|now| slot.is_free(Timestamp(now)));
        assert_eq!(free, [false, false, true]);
        slot.written_at = None;
        assert!(slot.is_free(Timestamp(0)) && slot.streams_open(Timestamp(0)).is_none());
    }

    proptest! {
        /// Property: any bytes are either decoded, and survive a round trip, or rejected.
        #[test]
        fn any_value_is_decoded_or_rejected(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            if let Ok(slot) = Slot::decode(&bytes) {
                prop_assert_eq!(Slot::decode(&slot.encode().unwrap()), Ok(slot));
            }
        }
    }
}
