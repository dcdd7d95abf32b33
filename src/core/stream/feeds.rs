//! The channels of one subscriber, merged.

use std::rc::Rc;

use bytes::Bytes;

use super::feed::{ChannelReader, End, Turn};
use super::replay::Delivered;
use super::shared::{EncodedRun, SharedFrames};
use super::signal::GapSignal;
use super::step::{Step, StreamConfig, Subscription};
use super::tally::Events;
use crate::core::log::{ClockReading, FormatError, Head, Record, SegmentId};
use crate::core::sse::{Cursor, EventId, Position};
use crate::core::time::Instant;

/// The channels of a stream, each in its own order, and the cursor over them all.
///
/// They take turns, so that none is kept waiting by another. Nothing is given out before it is known
/// where each of them starts: until then there is no cursor to resume by.
#[derive(Debug)]
pub struct MergedReader {
    feeds: Vec<ChannelReader>,
    /// Whose turn it is.
    turn: usize,
    cursor: Option<Cursor>,
}

/// What is next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Something has to be read: [`Step::ReadHead`] or [`Step::ReadSegments`].
    Read(Step),
    /// Gaps have to be told of before anything else: [`MergedReader::take_gaps`].
    Gaps,
    /// The channel at this place has events: [`MergedReader::deliver`].
    Events(usize),
    /// Nothing, before this time or what is being read has arrived.
    Nothing(Instant),
    /// Nothing any more.
    Ended {
        /// Whether that is because all channels are closed.
        closed: bool,
    },
}

impl MergedReader {
    pub(super) fn new(
        subscription: Subscription,
        settings: StreamConfig,
        random: &mut fastrand::Rng,
        now: Instant,
    ) -> Self {
        let live = subscription.live;
        let mut feed = |(channel, start)| {
            ChannelReader::new(channel, start, live, settings, random.u64(..), now)
        };
        Self {
            feeds: subscription.channels.into_iter().map(&mut feed).collect(),
            turn: 0,
            cursor: None,
        }
    }

    /// Where the subscriber stands; `None` until that is known of each channel.
    pub(super) const fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }

    /// Whether everything was delivered before, and nothing will follow.
    pub(super) fn are_finished(&self, now: ClockReading) -> bool {
        self.feeds.iter().all(|feed| feed.is_finished(now))
    }

    /// Whether everything is known that the logs had when they were last looked at.
    pub(super) fn are_settled(&self) -> bool {
        self.feeds.iter().all(ChannelReader::is_settled)
    }

    /// When the store has failed, or not answered, for too long.
    pub(super) fn patience_ends(&self) -> Option<Instant> {
        self.feeds
            .iter()
            .filter_map(ChannelReader::patience_ends)
            .min()
    }

    /// What is next.
    pub(super) fn next(&mut self, now: ClockReading) -> Found {
        let count = self.feeds.len();
        let mut wait = Instant(u64::MAX);
        let mut ended = 0_usize;
        let mut closed = 0;
        let mut gaps = false;
        let mut events = None;
        for place in (self.turn..count).chain(0..self.turn) {
            let Some(feed) = self.feeds.get_mut(place) else {
                continue;
            };
            match feed.next(now) {
                Turn::ReadHead(newer_than) => {
                    return Found::Read(Step::ReadHead(place, newer_than));
                }
                Turn::ReadSegments(names) => return Found::Read(Step::ReadSegments(place, names)),
                Turn::Gap => gaps = true,
                Turn::Events => events = events.or(Some(place)),
                Turn::Wait(until) => wait = wait.min(until),
                Turn::Ended(end) => {
                    ended = ended.saturating_add(1);
                    closed = usize::from(end == End::Closed).saturating_add(closed);
                }
            }
        }
        self.find_cursor();
        match events {
            _ if self.cursor.is_none() => Found::Nothing(wait),
            _ if gaps => Found::Gaps,
            Some(place) => Found::Events(place),
            None if ended == count => Found::Ended {
                closed: closed == count,
            },
            None => Found::Nothing(wait),
        }
    }

    fn find_cursor(&mut self) {
        if self.cursor.is_none() {
            let positions: Option<Vec<Position>> = self
                .feeds
                .iter()
                .map(ChannelReader::mark_before_gap)
                .collect();
            self.cursor = positions.and_then(|positions| Cursor::new(positions).ok());
        }
    }

    /// The gaps that have not been told of, each with the cursor behind it.
    pub(super) fn take_gaps(&mut self) -> Vec<(GapSignal, Option<Cursor>)> {
        let mut signals = vec![];
        for (place, feed) in self.feeds.iter_mut().enumerate() {
            let Some(gap) = feed.take_gap() else { continue };
            if let (Some(cursor), Some(position)) = (&mut self.cursor, feed.position()) {
                cursor.advance(place, position);
            }
            let channel = feed.channel().to_string();
            signals.push((GapSignal { channel, gap }, self.cursor.clone()));
        }
        signals
    }

    /// How much room the next events at `place` will want, each having `extra` bytes beside its
    /// record and its id.
    pub(super) fn chunk_capacity(&self, place: usize, extra: usize) -> usize {
        let id = match self.feeds.len() {
            0 | 1 => 20,
            several => several.saturating_mul(12).saturating_add(3),
        };
        let extra = extra.saturating_add(id);
        let capacity = self
            .feeds
            .get(place)
            .and_then(|feed| feed.chunk_capacity(extra));
        capacity.unwrap_or_default()
    }

    /// Gives out the events of a run at `place` with the cursor after each, until `take` says that it
    /// wants no more; `None` if there are none. After that the next channel has its turn.
    pub(super) fn deliver(
        &mut self,
        place: usize,
        now: Instant,
        mut take: impl FnMut(&Cursor, &Record<'_>) -> bool,
    ) -> Option<Delivered> {
        self.turn = match place.saturating_add(1) {
            next if next < self.feeds.len() => next,
            _ => 0,
        };
        let (feed, cursor) = (self.feeds.get_mut(place)?, self.cursor.as_mut()?);
        let delivered = feed.deliver(now, |id, record| {
            cursor.advance(place, Position::After(id));
            take(cursor, record)
        });
        if let Some(position) = feed.position() {
            cursor.advance(place, position);
        }
        delivered
    }

    /// Shares encoded events with other streams, if there is one channel only; whether there is.
    pub(super) fn share(&mut self, shared: SharedFrames) -> bool {
        match self.feeds.as_mut_slice() {
            [feed] => {
                feed.share(shared);
                true
            }
            _ => false,
        }
    }

    /// Reads on before what was read is given out.
    pub(super) fn read_on(&mut self) {
        self.feeds.iter_mut().for_each(ChannelReader::read_on);
    }

    /// Gives out the next events at `place` as another stream has encoded them, if one has.
    pub(super) fn deliver_shared(&mut self, place: usize, now: Instant) -> Option<EncodedRun> {
        let (feed, cursor) = (self.feeds.get_mut(place)?, self.cursor.as_mut()?);
        let run = feed.deliver_shared(now)?;
        cursor.advance(place, feed.position()?);
        Some(run)
    }

    /// Leaves `blocks` for others: the events at `place` from after `last` to the last given out.
    pub(super) fn share_blocks(&self, place: usize, last: EventId, blocks: &[u8], events: Events) {
        if let Some(feed) = self.feeds.get(place) {
            feed.share_blocks(last, blocks, events);
        }
    }

    /// The last event given out at `place`.
    pub(super) fn last(&self, place: usize) -> Option<EventId> {
        match self.feeds.get(place)?.position()? {
            Position::After(last) => Some(last),
            Position::Beginning => None,
        }
    }

    /// Takes the head of the channel at `place` that was read at `at`, `None` if there is none, or
    /// what the store said.
    pub fn head_read(
        &mut self,
        place: usize,
        at: Instant,
        result: Result<Option<Rc<Head>>, String>,
        now: Instant,
    ) {
        if let Some(feed) = self.feeds.get_mut(place) {
            feed.head_read(at, result, now);
        }
    }

    /// Takes what was read for [`Step::ReadSegments`], in its order.
    pub fn segments_read(
        &mut self,
        place: usize,
        asked: &[SegmentId],
        results: Vec<Result<Option<Bytes>, String>>,
        now: Instant,
    ) {
        if let Some(feed) = self.feeds.get_mut(place) {
            feed.segments_read(asked, results, now);
        }
    }

    /// What is wrong with a stored log, if anything was found since this was last asked. The stream
    /// deals with it; this is for the operator.
    pub fn take_error(&mut self) -> Option<FormatError> {
        self.feeds.iter_mut().find_map(ChannelReader::take_error)
    }
}
