//! The channels of one subscriber, merged.

use super::action::ReadRequest;
use super::channel_reader::{ChannelAction, ChannelReader, End};
use super::gap_signal::GapSignal;
use super::page_buffer::Delivered;
use super::shared_frames::{EncodedBatch, SharedFrames};
use super::stats::EventCount;
use super::subscription::{StreamConfig, Subscription};
use crate::core::channel::Channel;
use crate::core::log::{FormatError, Page, ReadError, Record};
use crate::core::sse::{Cursor, EventId, Position};
use crate::core::time::{ClockReading, Instant, Timestamp};

/// The channels of a stream, each in its own order, and the cursor over them all.
///
/// They are served round robin. Nothing is delivered before the start of each channel is known: until
/// then there is no cursor to resume from.
#[derive(Debug)]
pub struct MergedReader {
    readers: Vec<ChannelReader>,
    /// The channel that is served next.
    next: usize,
    cursor: Option<Cursor>,
    cursor_hides_gap: bool,
}

/// The next command of the merged channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MergedAction {
    /// Read a page of the channel at this index: [`MergedReader::page_read`].
    Read(usize, ReadRequest),
    /// Report gaps before anything else: [`MergedReader::take_gaps`].
    ReportGaps,
    /// Deliver events of the channel at this index: [`MergedReader::deliver`].
    Deliver(usize),
    /// Nothing before this time, or before a page under way.
    Wait(Instant),
    /// Nothing any more.
    Ended {
        /// Set if all channels are closed.
        closed: bool,
    },
}

impl MergedReader {
    pub(super) fn new(
        subscription: &Subscription,
        config: StreamConfig,
        random: &mut fastrand::Rng,
        now: Instant,
    ) -> Self {
        let channels = subscription.channels.iter().enumerate();
        let readers = channels.map(|(index, channel)| {
            ChannelReader::new(
                channel.clone(),
                subscription.resume.start_from(index),
                subscription.live,
                config,
                random.u64(..),
                now,
            )
        });
        Self {
            readers: readers.collect(),
            next: 0,
            cursor: None,
            cursor_hides_gap: false,
        }
    }

    /// Returns the position that the client has reached in all channels, once known.
    pub(super) const fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }

    /// Returns whether the cursor stands after a gap that was not reported, since the client's position
    /// before it is unknown.
    pub(super) const fn cursor_hides_gap(&self) -> bool {
        self.cursor_hides_gap
    }

    /// Notes that the client was sent the cursor.
    pub(super) fn cursor_sent(&mut self) {
        self.readers
            .iter_mut()
            .for_each(ChannelReader::position_sent);
    }

    /// Returns the names of the channels, in order.
    pub(super) fn channels(&self) -> impl Iterator<Item = &str> {
        self.readers.iter().map(|reader| reader.channel().as_str())
    }

    /// Returns the channel at `index`.
    #[must_use]
    pub fn channel(&self, index: usize) -> Option<&Channel> {
        self.readers.get(index).map(ChannelReader::channel)
    }

    /// Returns whether the client has everything, and nothing will follow.
    pub(super) fn is_finished(&mut self, now: Timestamp) -> bool {
        let mut readers = self.readers.iter_mut();
        readers.all(|reader| reader.is_finished(now))
    }

    /// Returns whether everything was read that the logs had when they were last asked.
    pub(super) fn is_settled(&self) -> bool {
        self.readers.iter().all(ChannelReader::is_settled)
    }

    /// Returns the time at which the store will have failed, or not answered, for too long.
    pub(super) fn patience_ends(&self) -> Option<Instant> {
        self.readers
            .iter()
            .filter_map(ChannelReader::patience_ends)
            .min()
    }

    /// Returns the reads of the first page of each channel.
    pub(super) fn first_reads(&mut self, now: Instant) -> Vec<(usize, ReadRequest)> {
        let readers = self.readers.iter_mut().enumerate();
        readers
            .filter_map(|(index, reader)| Some((index, reader.first_read(now)?)))
            .collect()
    }

    /// Returns the next command.
    pub(super) fn next(&mut self, now: ClockReading) -> MergedAction {
        let count = self.readers.len();
        let mut wait = Instant::NEVER;
        let mut ended = 0_usize;
        let mut closed = 0_usize;
        let mut has_gaps = false;
        let mut deliver = None;
        for index in (self.next..count).chain(0..self.next) {
            let Some(reader) = self.readers.get_mut(index) else {
                continue;
            };
            match reader.next(now) {
                ChannelAction::Read(request) => return MergedAction::Read(index, request),
                ChannelAction::ReportGap => has_gaps = true,
                ChannelAction::Deliver => deliver = deliver.or(Some(index)),
                ChannelAction::Wait(until) => wait = wait.min(until),
                ChannelAction::Ended(end) => {
                    ended = ended.saturating_add(1);
                    closed = closed.saturating_add(usize::from(end == End::Closed));
                }
            }
        }
        self.find_cursor();
        match deliver {
            _ if self.cursor.is_none() => MergedAction::Wait(wait),
            _ if has_gaps => MergedAction::ReportGaps,
            Some(index) => MergedAction::Deliver(index),
            None if ended == count => MergedAction::Ended {
                closed: closed == count,
            },
            None => MergedAction::Wait(wait),
        }
    }

    fn find_cursor(&mut self) {
        if self.cursor.is_none() {
            let readers = self.readers.iter();
            let positions: Option<Vec<Position>> =
                readers.map(ChannelReader::position_before_gap).collect();
            self.cursor = positions.and_then(|positions| Cursor::new(positions).ok());
            let mut readers = self.readers.iter();
            self.cursor_hides_gap = readers.any(ChannelReader::has_gap_before_start);
        }
    }

    /// Returns the gaps that have not been reported, each with the cursor behind it.
    pub(super) fn take_gaps(&mut self) -> Vec<(GapSignal, Option<Cursor>)> {
        let mut gaps = vec![];
        for (index, reader) in self.readers.iter_mut().enumerate() {
            let Some(gap) = reader.take_gap() else {
                continue;
            };
            if let (Some(cursor), Some(position)) = (&mut self.cursor, reader.position()) {
                cursor.advance(index, position);
            }
            let channel = reader.channel().to_string();
            gaps.push((GapSignal { channel, gap }, self.cursor.clone()));
        }
        self.cursor_hides_gap = false;
        gaps
    }

    /// Returns the capacity that the next events of the channel at `index` need if each takes `extra`
    /// bytes beside its record and its id.
    pub(super) fn chunk_capacity(&self, index: usize, extra: usize) -> usize {
        let id = match self.readers.len() {
            0 | 1 => 20,
            channels => channels.saturating_mul(12).saturating_add(3),
        };
        let reader = self.readers.get(index);
        let capacity = reader.and_then(|reader| reader.chunk_capacity(extra.saturating_add(id)));
        capacity.unwrap_or_default()
    }

    /// Delivers the events of one batch of the channel at `index` with the cursor after each, until
    /// `take` wants no more; returns `None` if there are none. After that the next channel is served.
    pub(super) fn deliver(
        &mut self,
        index: usize,
        now: Instant,
        mut take: impl FnMut(&Cursor, &Record<'_>) -> bool,
    ) -> Option<Delivered> {
        self.next = match index.saturating_add(1) {
            next if next < self.readers.len() => next,
            _ => 0,
        };
        let (reader, cursor) = (self.readers.get_mut(index)?, self.cursor.as_mut()?);
        let delivered = reader.deliver(now, |id, record| {
            cursor.advance(index, Position::After(id));
            take(cursor, record)
        });
        if let Some(position) = reader.position() {
            cursor.advance(index, position);
        }
        delivered
    }

    /// Shares encoded events with other streams, if there is one channel only; returns whether there is.
    pub(super) fn share(&mut self, shared: SharedFrames) -> bool {
        match self.readers.as_mut_slice() {
            [reader] => {
                reader.share(shared);
                true
            }
            _ => false,
        }
    }

    /// Reads pages before the last ones are delivered.
    pub(super) fn enable_read_ahead(&mut self) {
        self.readers
            .iter_mut()
            .for_each(ChannelReader::enable_read_ahead);
    }

    /// Delivers the next events of the channel at `index` as another stream has encoded them, if one has.
    pub(super) fn deliver_shared(&mut self, index: usize) -> Option<EncodedBatch> {
        let (reader, cursor) = (self.readers.get_mut(index)?, self.cursor.as_mut()?);
        let batch = reader.deliver_shared()?;
        cursor.advance(index, reader.position()?);
        Some(batch)
    }

    /// Shares `blocks`: the encoded events of the channel at `index` from after `last` to the last one
    /// delivered.
    pub(super) fn share_blocks(
        &self,
        index: usize,
        last: EventId,
        blocks: &[u8],
        events: EventCount,
    ) {
        if let Some(reader) = self.readers.get(index) {
            reader.share_blocks(last, blocks, events);
        }
    }

    /// Returns the last event delivered of the channel at `index`.
    pub(super) fn last(&self, index: usize) -> Option<EventId> {
        match self.readers.get(index)?.position()? {
            Position::After(last) => Some(last),
            Position::Beginning => None,
        }
    }

    /// Notes that a read of the channel at `index`, which waited for news, has begun.
    pub fn read_started(&mut self, index: usize, now: Instant) {
        if let Some(reader) = self.readers.get_mut(index) {
            reader.read_started(now);
        }
    }

    /// Returns whether a page that was read for news of the channel at `index` has none.
    pub(super) fn is_unchanged(&mut self, index: usize, page: &Page) -> bool {
        let reader = self.readers.get_mut(index);
        reader.is_some_and(|reader| reader.is_unchanged(page))
    }

    /// Takes the result of a read of the channel at `index`.
    pub fn page_read(&mut self, index: usize, result: Result<Page, ReadError>, now: Instant) {
        if let Some(reader) = self.readers.get_mut(index) {
            reader.page_read(result, now);
        }
    }

    /// Returns what is wrong with a stored log, if something was found since the last call. The stream
    /// copes with it; this is for the operator.
    pub fn take_error(&mut self) -> Option<(Channel, FormatError)> {
        self.readers.iter_mut().find_map(|reader| {
            let error = reader.take_error()?;
            Some((reader.channel().clone(), error))
        })
    }
}
