//! What is given out of a feed, and shared with other streams.

use bytes::Bytes;

use super::{ChannelReader, Missing, Phase, Turn};
use crate::core::log::{ClockReading, FormatError, Location, Record};
use crate::core::sse::EventId;
use crate::core::stream::CHUNK_BYTES;
use crate::core::stream::replay::Delivered;
use crate::core::stream::shared::{EncodedRun, SharedFrames};
use crate::core::stream::tally::Events;
use crate::core::time::Instant;

impl ChannelReader {
    /// Shares encoded events with other streams.
    pub(in crate::core::stream) fn share(&mut self, shared: SharedFrames) {
        self.shared = Some(shared);
    }

    /// Reads on before what was read is given out.
    pub(in crate::core::stream) const fn read_on(&mut self) {
        self.reads_ahead = true;
    }

    /// How much room the next events will want, each having `extra` bytes beside its record; `None`
    /// if there are none.
    pub(in crate::core::stream) fn chunk_capacity(&self, extra: usize) -> Option<usize> {
        self.replay.chunk_capacity(extra)
    }

    /// Gives out the events of a run that has been read, until `take` says that it wants no more;
    /// `None` if there are none.
    pub(in crate::core::stream) fn deliver(
        &mut self,
        now: Instant,
        take: impl FnMut(EventId, &Record<'_>) -> bool,
    ) -> Option<Delivered> {
        let Phase::Following(last) = self.phase else {
            return None;
        };
        match self.replay.deliver(last, take) {
            Ok(delivered) if delivered.last == last => None,
            Ok(delivered) => {
                self.has_delivered(delivered.last, now);
                Some(delivered)
            }
            Err(error) => {
                let key = format!("{} after {last}", self.channel);
                let detail = error.to_string();
                self.error = Some(FormatError::Corrupt { key, detail });
                self.record_missing(now);
                None
            }
        }
    }

    /// Gives out the next events as another stream has encoded them, if one has.
    pub(in crate::core::stream) fn deliver_shared(&mut self, now: Instant) -> Option<EncodedRun> {
        let Phase::Following(last) = self.phase else {
            return None;
        };
        let run = self.shared_after(last)?;
        let reached = EventId {
            seq: run.reached,
            ..last
        };
        self.missing = Missing::No;
        self.has_delivered(reached, now);
        Some(run)
    }

    pub(super) fn shared_after(&self, last: EventId) -> Option<EncodedRun> {
        let shared = self.shared.as_ref()?;
        match self.replay.passes_over(last.seq) {
            true => None,
            false => shared.after(&self.channel, last),
        }
    }

    /// Leaves `blocks` for others: the events from after `last` to the last given out.
    pub(in crate::core::stream) fn share_blocks(
        &self,
        last: EventId,
        blocks: &[u8],
        events: Events,
    ) {
        if let (Some(shared), Phase::Following(reached)) = (&self.shared, self.phase)
            && !self.replay.passes_over(last.seq)
        {
            let run = EncodedRun {
                reached: reached.seq,
                events,
                blocks: Bytes::copy_from_slice(blocks),
            };
            shared.keep(&self.channel, last, run);
        }
    }

    fn has_delivered(&mut self, reached: EventId, now: Instant) {
        self.follow_after(reached);
        self.delivered = true;
        self.pace.delivered(now);
    }

    /// Begins to read what follows on the chunk that was read, so that it is there when the client
    /// has taken that.
    pub(super) fn read_ahead(&mut self, now: ClockReading) -> Option<Turn> {
        let (Phase::Following(last), Some(head)) = (self.phase, self.head.clone()) else {
            return None;
        };
        let waits = self.reading.is_some() || self.trouble.is_waiting(now.monotonic);
        let doubts = self.missing != Missing::No || self.head_read.is_none();
        let has_enough = self.replay.bytes() > CHUNK_BYTES;
        if !self.reads_ahead || waits || doubts || has_enough || head.epoch != last.epoch {
            return None;
        }
        let next = self.replay.next()?;
        if self.shared_after(head.before(next)).is_some() {
            return None;
        }
        match head.locate(next, CHUNK_BYTES as u64) {
            Location::Segments(segments) => Some(self.read(&head, &segments, now)),
            _ => None,
        }
    }
}
