//! Frames that one stream has encoded and others send as they are.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use bytes::Bytes;

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
pub struct SharedFrames(Rc<RefCell<Runs>>);

#[derive(Debug)]
struct Runs {
    by_channel: HashMap<Channel, HashMap<EventId, EncodedRun>>,
    /// The oldest first.
    order: VecDeque<(Channel, EventId)>,
    bytes: usize,
    limit: usize,
}

/// Events that follow another directly, as blocks of an event stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EncodedRun {
    /// The last of the events.
    pub(super) reached: Seq,
    /// Their blocks.
    pub(super) blocks: Bytes,
}

impl SharedFrames {
    /// Holds about so many bytes; with more the oldest are forgotten.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self(Rc::new(RefCell::new(Runs {
            by_channel: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            limit: limit_bytes,
        })))
    }

    /// The events of `channel` after this one, if they were encoded before.
    pub(super) fn after(&self, channel: &Channel, last: EventId) -> Option<EncodedRun> {
        let runs = self.0.borrow();
        runs.by_channel.get(channel)?.get(&last).cloned()
    }

    /// Keeps the events of `channel` after `last`.
    pub(super) fn keep(&self, channel: &Channel, last: EventId, run: EncodedRun) {
        self.0.borrow_mut().keep(channel, last, run);
    }
}

fn size(channel: &Channel, run: &EncodedRun) -> usize {
    let named = channel.as_str().len().saturating_add(ENTRY_BYTES);
    run.blocks.len().saturating_add(named)
}

impl Runs {
    fn keep(&mut self, channel: &Channel, last: EventId, run: EncodedRun) {
        let size = size(channel, &run);
        if size > self.limit {
            return;
        }
        let of_channel = self.by_channel.entry(channel.clone()).or_default();
        if of_channel.contains_key(&last) {
            return;
        }
        of_channel.insert(last, run);
        self.order.push_back((channel.clone(), last));
        self.bytes = self.bytes.saturating_add(size);
        while self.bytes > self.limit {
            let Some((channel, last)) = self.order.pop_front() else {
                break;
            };
            self.forget(&channel, last);
        }
    }

    fn forget(&mut self, channel: &Channel, last: EventId) {
        let Some(of_channel) = self.by_channel.get_mut(channel) else {
            return;
        };
        if let Some(run) = of_channel.remove(&last) {
            self.bytes = self.bytes.saturating_sub(size(channel, &run));
        }
        if of_channel.is_empty() {
            self.by_channel.remove(channel);
        }
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
        assert_eq!(shared.0.borrow().bytes, 3 * entry);
        assert_eq!(shared.0.borrow().order.len(), 3);
        shared.keep(&channel, id(500), run(501, 4 * entry));
        assert_eq!(shared.after(&channel, id(500)), None, "it is too large");
        assert!(shared.after(&channel, id(99)).is_some());
    }

    #[test]
    fn a_run_that_is_kept_already_is_not_kept_twice() {
        let channel: Channel = "c".parse().unwrap();
        let shared = SharedFrames::new(10_000);
        shared.keep(&channel, id(0), run(1, 100));
        let bytes = shared.0.borrow().bytes;
        shared.keep(&channel, id(0), run(2, 200));
        assert_eq!(shared.after(&channel, id(0)), Some(run(1, 100)));
        assert_eq!(shared.0.borrow().bytes, bytes);
    }
}
