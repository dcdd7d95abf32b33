//! The keys of the store.
//!
//! Parts are joined by `!`, which no channel contains, so that no two things share a key.

use crate::core::channel::Channel;

use super::SegmentId;

/// The channel as part of a key. `/` is not allowed in the ids of Azure Cosmos DB, one of Spin's
/// stores; `+` is, and no channel contains it.
fn escaped(channel: &Channel) -> String {
    channel.as_str().replace('/', "+")
}

/// The key of the channel's head.
#[must_use]
pub fn head_key(channel: &Channel) -> String {
    format!("head!{}", escaped(channel))
}

/// The key of the counter that says who creates the head in this turn. Only ever incremented: how a
/// store encodes a counter is its own affair.
#[must_use]
pub fn create_key(channel: &Channel, turn: u64) -> String {
    format!("create!{}!{turn}", escaped(channel))
}

/// The key of a sealed segment.
#[must_use]
pub fn segment_key(channel: &Channel, segment: SegmentId) -> String {
    format!(
        "seg!{}!{}!{}",
        escaped(channel),
        segment.epoch,
        segment.first.0
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::sse::{Epoch, Seq};

    #[test]
    fn keys_are_portable_and_say_what_they_are() {
        let channel: Channel = "shop/eu:1".parse().unwrap();
        let segment = SegmentId {
            epoch: Epoch::from_random(35),
            first: Seq(17),
        };
        assert_eq!(head_key(&channel), "head!shop+eu:1");
        assert_eq!(create_key(&channel, 6), "create!shop+eu:1!6");
        assert_eq!(segment_key(&channel, segment), "seg!shop+eu:1!00000z!17");
    }

    #[test]
    fn the_longest_key_stays_under_255_bytes() {
        let channel: Channel = "c".repeat(160).parse().unwrap();
        let segment = SegmentId {
            epoch: Epoch::from_random(u64::MAX),
            first: Seq(u64::MAX),
        };
        assert_eq!(segment_key(&channel, segment).len(), 192);
    }
}
