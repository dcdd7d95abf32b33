//! Slots: the values in the store, and their keys.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::counts::Counts;
use crate::core::time::Timestamp;

/// How many blocks of slots there are.
pub const BLOCKS: u32 = 6;

/// How many slots there are: 504.
pub const SLOTS: u32 = FIRST_BLOCK * ((1 << BLOCKS) - 1);

/// How many slots an instance tries at most to claim one.
pub const PROBES: u32 = BLOCKS * PROBES_PER_BLOCK;

/// The slots of the first block.
const FIRST_BLOCK: u32 = 8;

/// In how many slots of a block an instance looks before it goes on to the next.
const PROBES_PER_BLOCK: u32 = 3;

/// The gauges of an instance that has not written for so long are not shown any more, in
/// milliseconds.
const SHOWN_MILLIS: u64 = 30_000;

/// Its slot is free then, in milliseconds: the clocks of two hosts may differ by as much as lies
/// between.
const FREE_MILLIS: u64 = 60_000;

/// The version of the stored format.
const VERSION: u8 = 1;

/// What all instances that had this slot have counted, and what the one that has it has open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// The instance whose it is, or was: a number that it drew.
    pub(super) owner: u64,
    /// How often that has written it.
    pub(super) writes: u64,
    /// The same of the instance before.
    pub(super) before: (u64, u64),
    /// When that wrote last; `None` if it has given the slot back.
    pub(super) written: Option<Timestamp>,
    /// How many event streams it had open then.
    pub(super) streams_open: u64,
    /// What was counted.
    pub counts: Counts,
}

impl Slot {
    /// Reads a stored slot.
    ///
    /// # Errors
    /// Says so of what is none, or one of a newer format: it must not be overwritten.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        match bytes {
            [VERSION, rest @ ..] => postcard::from_bytes(rest).map_err(|error| error.to_string()),
            [version, ..] => Err(format!(
                "its format version is {version}; this Runnel reads {VERSION}"
            )),
            [] => Err("it is empty".to_owned()),
        }
    }

    /// The bytes to store.
    ///
    /// # Errors
    /// Never for a vector with room to grow; the codec's signature allows for other sinks.
    pub fn encode(&self) -> Result<Vec<u8>, String> {
        postcard::to_extend(self, vec![VERSION]).map_err(|error| error.to_string())
    }

    /// The event streams that are open in its instance; `None` if that has ended or vanished.
    #[must_use]
    pub fn streams_open(&self, now: Timestamp) -> Option<u64> {
        let written = self.written?;
        (now.0.saturating_sub(written.0) < SHOWN_MILLIS).then_some(self.streams_open)
    }

    /// Whether another instance may claim it.
    pub(super) fn is_free(&self, now: Timestamp) -> bool {
        let written = self.written;
        written.is_none_or(|written| now.0.saturating_sub(written.0) >= FREE_MILLIS)
    }
}

/// The key of a slot.
#[must_use]
pub fn slot_key(slot: u32) -> String {
    format!("metrics!{slot}")
}

/// The key of the counter that says who creates a slot: the first to increment it. It is never read or
/// written otherwise.
#[must_use]
pub fn slot_creation_key(slot: u32) -> String {
    format!("metrics-created!{slot}")
}

/// The slots of a block.
#[must_use]
pub fn block(block: u32) -> Range<u32> {
    let first = |block: u32| {
        let blocks = 1_u32.checked_shl(block).unwrap_or(u32::MAX);
        FIRST_BLOCK.saturating_mul(blocks.saturating_sub(1))
    };
    first(block.min(BLOCKS))..first(block.saturating_add(1).min(BLOCKS))
}

/// The slot to try when so many were in use; `None` if that was enough.
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
    fn a_stored_slot_is_small_and_of_a_known_format() {
        let mut slot = Slot {
            owner: 7,
            writes: 2,
            before: (6, 4),
            written: Some(Timestamp(300)),
            streams_open: 5,
            counts: Counts::default(),
        };
        slot.counts.add(Counter::StreamsOpened, 9);
        let bytes = slot.encode().unwrap();
        assert_eq!(bytes, [1, 7, 2, 6, 4, 1, 172, 2, 5, 1, 0, 0, 9]);
        assert_eq!(Slot::decode(&bytes), Ok(slot));
        assert!(Slot::decode(&[2, 0]).unwrap_err().contains("version is 2"));
    }

    #[test]
    fn gauges_expire_before_the_slot_is_free() {
        let mut slot = Slot {
            written: Some(Timestamp(1_000)),
            streams_open: 3,
            ..Slot::default()
        };
        let shown = [0, 1_000, 30_999, 31_000].map(|now| slot.streams_open(Timestamp(now)));
        assert_eq!(shown, [Some(3), Some(3), Some(3), None]);
        let free = [0, 60_999, 61_000].map(|now| slot.is_free(Timestamp(now)));
        assert_eq!(free, [false, false, true]);
        slot.written = None;
        assert!(slot.is_free(Timestamp(0)) && slot.streams_open(Timestamp(0)).is_none());
    }

    proptest! {
        /// Law: whatever is stored, reading it does not fail but with an error.
        #[test]
        fn any_value_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
            if let Ok(slot) = Slot::decode(&bytes) {
                prop_assert_eq!(Slot::decode(&slot.encode().unwrap()), Ok(slot));
            }
        }
    }
}
