//! Frames that one stream has encoded and others send as they are.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;

use super::stats::EventCount;
use crate::core::cache::BoundedCache;
use crate::core::channel::Channel;
use crate::core::sse::{EventId, Seq};

/// The memory of an entry beside its bytes and the name of its channel, about.
const ENTRY_BYTES: usize = 160;

/// Encoded batches of events, shared by all streams of an instance that deliver every event of one
/// channel: for all of those they are the same bytes. A batch follows an event directly and reaches as
/// far as the page that it was encoded from; it never changes. Clones are handles to the same frames.
///
/// The caller checks that retention has not dropped the events meanwhile.
#[derive(Clone, Debug)]
pub struct SharedFrames(Rc<RefCell<BoundedCache<(Channel, EventId), EncodedBatch>>>);

/// Events that follow another directly, as blocks of an event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EncodedBatch {
    /// The seq of the last event.
    pub(super) last: Seq,
    pub(super) events: EventCount,
    /// The encoded events.
    pub(super) blocks: Bytes,
}

impl SharedFrames {
    /// Creates a cache of about `limit_bytes`; the oldest batches are dropped first.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self(Rc::new(RefCell::new(BoundedCache::new(limit_bytes))))
    }

    /// Returns the events of `channel` after `last`, if they were encoded before.
    pub(super) fn after(&self, channel: &Channel, last: EventId) -> Option<EncodedBatch> {
        let batches = self.0.borrow();
        batches.get(&(channel.clone(), last)).cloned()
    }

    /// Adds the events of `channel` after `last`.
    pub(super) fn insert(&self, channel: &Channel, last: EventId, batch: EncodedBatch) {
        let name = channel.as_str().len();
        let bytes = batch.blocks.len().saturating_add(name);
        let bytes = bytes.saturating_add(ENTRY_BYTES);
        let mut batches = self.0.borrow_mut();
        batches.insert((channel.clone(), last), batch, bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::sse::Epoch;

    fn id(seq: u64) -> EventId {
        EventId {
            epoch: Epoch::from_random(7),
            seq: Seq(seq),
        }
    }

    fn batch(last: u64, bytes: usize) -> EncodedBatch {
        EncodedBatch {
            last: Seq(last),
            events: EventCount::default(),
            blocks: vec![b'x'; bytes].into(),
        }
    }

    #[test]
    fn a_batch_is_found_by_its_channel_and_the_event_before_it() {
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        let shared = SharedFrames::new(10_000);
        shared.insert(&a, id(3), batch(5, 10));
        assert_eq!(shared.after(&a, id(3)), Some(batch(5, 10)));
        assert_eq!(shared.after(&a, id(4)), None);
        assert_eq!(shared.after(&b, id(3)), None);
        let other_log = EventId {
            epoch: Epoch::from_random(8),
            ..id(3)
        };
        assert_eq!(shared.after(&a, other_log), None);
    }

    #[test]
    fn the_oldest_batches_are_dropped_when_memory_is_full() {
        let channel: Channel = "c".parse().unwrap();
        let entry = ENTRY_BYTES + 1 + 100;
        let shared = SharedFrames::new(3 * entry);
        for seq in 0..100 {
            shared.insert(&channel, id(seq), batch(seq + 1, 100));
        }
        let kept: Vec<_> = (0..100)
            .filter(|seq| shared.after(&channel, id(*seq)).is_some())
            .collect();
        assert_eq!(kept, [97, 98, 99]);
        shared.insert(&channel, id(500), batch(501, 4 * entry));
        assert_eq!(shared.after(&channel, id(500)), None, "it is too large");
        assert!(shared.after(&channel, id(99)).is_some());
    }

    #[test]
    fn a_batch_is_not_replaced() {
        let channel: Channel = "c".parse().unwrap();
        let shared = SharedFrames::new(10_000);
        shared.insert(&channel, id(0), batch(1, 100));
        shared.insert(&channel, id(0), batch(2, 200));
        assert_eq!(shared.after(&channel, id(0)), Some(batch(1, 100)));
    }
}
