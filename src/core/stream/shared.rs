//! Frames that one stream has encoded and others send as they are.

use std::cell::RefCell;
use std::rc::Rc;

use bytes::Bytes;

use super::tally::Events;
use crate::core::cache::BoundedCache;
use crate::core::channel::Channel;
use crate::core::sse::{EventId, Seq};

/// What an entry takes beside its bytes and its channel's name, about.
const ENTRY_BYTES: usize = 160;

/// Encoded runs of events, shared by all streams of an instance that deliver every event of one
/// channel: to all of those they are the same bytes. A run is what follows an event directly, as far
/// as the segment or the head reached that it was encoded from; it never changes. Clones are handles
/// to the same frames.
///
/// Whether events may still be delivered is not asked here: retention may have dropped them since.
#[derive(Clone, Debug)]
pub struct SharedFrames(Rc<RefCell<BoundedCache<(Channel, EventId), EncodedRun>>>);

/// Events that follow another directly, as blocks of an event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EncodedRun {
    /// The last of the events.
    pub(super) reached: Seq,
    /// How many there are, and since when.
    pub(super) events: Events,
    /// Their blocks.
    pub(super) blocks: Bytes,
}

impl SharedFrames {
    /// Holds about so many bytes; with more the oldest are forgotten.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self(Rc::new(RefCell::new(BoundedCache::new(limit_bytes))))
    }

    /// The events of `channel` after this one, if they were encoded before.
    pub(super) fn after(&self, channel: &Channel, last: EventId) -> Option<EncodedRun> {
        let runs = self.0.borrow();
        runs.get(&(channel.clone(), last)).cloned()
    }

    /// Keeps the events of `channel` after `last`.
    pub(super) fn keep(&self, channel: &Channel, last: EventId, run: EncodedRun) {
        let name = channel.as_str().len();
        let bytes = run.blocks.len().saturating_add(name);
        let bytes = bytes.saturating_add(ENTRY_BYTES);
        let mut runs = self.0.borrow_mut();
        runs.keep((channel.clone(), last), run, bytes);
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

    fn run(reached: u64, bytes: usize) -> EncodedRun {
        EncodedRun {
            reached: Seq(reached),
            events: Events::default(),
            blocks: vec![b'x'; bytes].into(),
        }
    }

    #[test]
    fn a_run_is_found_by_its_channel_and_the_event_before_it() {
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        let shared = SharedFrames::new(10_000);
        shared.keep(&a, id(3), run(5, 10));
        assert_eq!(shared.after(&a, id(3)), Some(run(5, 10)));
        assert_eq!(shared.after(&a, id(4)), None);
        assert_eq!(shared.after(&b, id(3)), None);
        let other_log = EventId {
            epoch: Epoch::from_random(8),
            ..id(3)
        };
        assert_eq!(shared.after(&a, other_log), None);
    }

    #[test]
    fn the_oldest_are_forgotten_when_there_are_too_many_bytes() {
        let channel: Channel = "c".parse().unwrap();
        let entry = ENTRY_BYTES + 1 + 100;
        let shared = SharedFrames::new(3 * entry);
        for seq in 0..100 {
            shared.keep(&channel, id(seq), run(seq + 1, 100));
        }
        let kept: Vec<_> = (0..100)
            .filter(|seq| shared.after(&channel, id(*seq)).is_some())
            .collect();
        assert_eq!(kept, [97, 98, 99]);
        shared.keep(&channel, id(500), run(501, 4 * entry));
        assert_eq!(shared.after(&channel, id(500)), None, "it is too large");
        assert!(shared.after(&channel, id(99)).is_some());
    }

    #[test]
    fn a_run_that_is_kept_already_is_not_kept_twice() {
        let channel: Channel = "c".parse().unwrap();
        let shared = SharedFrames::new(10_000);
        shared.keep(&channel, id(0), run(1, 100));
        shared.keep(&channel, id(0), run(2, 200));
        assert_eq!(shared.after(&channel, id(0)), Some(run(1, 100)));
    }
}
