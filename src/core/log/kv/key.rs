//! The key schema.
//!
//! ```text
//! head!{channel}                          the head: epoch, directory, recent commits, newest records
//! seg!{channel}!{epoch}!{first}           a sealed segment: records that no longer change
//! seg!{channel}!{epoch}!{first}!{count}   a merged segment: the records of several sealed ones
//! create!{channel}!{period}               a counter that elects the creator of the head
//! ```
//!
//! Parts are joined by `!`, which no channel contains, so that no two values share a key.

use crate::core::channel::Channel;

use super::segment::SegmentId;

/// Returns the channel as part of a key. `/` is not allowed in the ids of Azure Cosmos DB, one of Spin's
/// stores; `+` is, and no channel contains it.
fn escaped(channel: &Channel) -> String {
    channel.as_str().replace('/', "+")
}

/// Returns the key of the channel's head.
#[must_use]
pub fn head_key(channel: &Channel) -> String {
    format!("head!{}", escaped(channel))
}

/// Returns the key of the counter that elects the creator of the head in a period. It is only ever
/// incremented: stores encode counters in their own ways.
#[must_use]
pub fn create_key(channel: &Channel, period: u64) -> String {
    format!("create!{}!{period}", escaped(channel))
}

/// Returns the key of a segment.
#[must_use]
pub fn segment_key(channel: &Channel, segment: SegmentId) -> String {
    format!("seg!{}!{segment}", escaped(channel))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::sse::{Epoch, Seq};

    #[test]
    fn keys_are_portable_and_distinct() {
        let channel: Channel = "shop/eu:1".parse().unwrap();
        let sealed = SegmentId::sealed(Epoch::from_random(35), Seq(17));
        let merged = SegmentId {
            merged: Some(480),
            ..sealed
        };
        assert_eq!(head_key(&channel), "head!shop+eu:1");
        assert_eq!(create_key(&channel, 6), "create!shop+eu:1!6");
        assert_eq!(segment_key(&channel, sealed), "seg!shop+eu:1!00000z!17");
        assert_eq!(segment_key(&channel, merged), "seg!shop+eu:1!00000z!17!480");
    }

    #[test]
    fn the_longest_key_stays_under_255_bytes() {
        let channel: Channel = "c".repeat(160).parse().unwrap();
        let segment = SegmentId {
            epoch: Epoch::from_random(u64::MAX),
            first: Seq(u64::MAX),
            merged: Some(u64::MAX),
        };
        assert_eq!(segment_key(&channel, segment).len(), 213);
    }
}
