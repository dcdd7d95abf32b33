//! One subscriber's stream, from its first byte to its last.
//!
//! [`EventStream`] is told what happened (a head was read, a segment was read, time passed) and says
//! what to do next ([`Step`]); the caller only obeys. It pulls: nothing is read before the client
//! has taken what came before, so a slow client costs nothing but its place. [`LongPoll`] does the
//! same for clients that ask for one answer at a time.

mod feed;
mod feeds;
mod long_poll;
mod pace;
mod replay;
mod shared;
mod signal;
mod step;
mod tally;

pub use feeds::MergedReader;
pub use long_poll::{LongPoll, Page, PageEvent};
pub use shared::SharedFrames;
pub use signal::GapSignal;
pub use step::{EventFilter, Step, StreamConfig, Subscription};
pub use tally::StreamStats;

use std::time::Duration;

use self::feeds::Found;
use self::tally::Events;
use crate::core::log::ClockReading;
use crate::core::metrics::EndReason;
use crate::core::sse::{Cursor, Frames, reconnection_time};
use crate::core::time::Instant;

/// A replayed chunk ends with the event that takes it to this many bytes: 64 KiB.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// What an event's field names and line ends take, about.
const FIELDS_BYTES: usize = 20;

/// When the cursor has moved and no event has said so, the client is told after this long: 1 s.
const MARK_MILLIS: u64 = 1_000;

/// The life of one stream.
#[derive(Debug)]
pub struct EventStream {
    settings: StreamConfig,
    types: EventFilter,
    /// Whether whole runs are encoded, for other streams to send them, too.
    shares: bool,
    random: fastrand::Rng,
    ends: Instant,
    /// When the client's token ceases to be good.
    expires: Option<Instant>,
    last_sent: Instant,
    phase: Phase,
    feeds: MergedReader,
    /// The last event ID that the client gave.
    given: Option<Cursor>,
    /// Whether the client has been told where it stands, and when it was last told.
    marked: IdState,
    tally: StreamStats,
    /// Whether the client has caught up since the stream opened.
    is_live: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Open,
    Ended(EndReason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IdState {
    Never,
    /// It was told at this time, and has not moved since.
    At(Instant),
    /// It was told at this time, and has moved since.
    Before(Instant),
}

impl EventStream {
    /// A stream that opens now. `random` is drawn anew for each stream.
    #[must_use]
    pub fn new(
        subscription: Subscription,
        settings: StreamConfig,
        random: u64,
        now: Instant,
    ) -> Self {
        let mut random = fastrand::Rng::with_seed(random);
        let age = settings
            .max_age_millis
            .saturating_sub(random.u64(0..=settings.max_age_millis / 5));
        let (types, given) = (subscription.types.clone(), subscription.given.clone());
        let expires = subscription.expires;
        let mut feeds = MergedReader::new(subscription, settings, &mut random, now);
        feeds.read_on();
        Self {
            settings,
            types,
            shares: false,
            ends: now.after(age),
            expires,
            last_sent: now,
            phase: Phase::Opening,
            given,
            feeds,
            marked: IdState::Never,
            tally: StreamStats::default(),
            is_live: false,
            random,
        }
    }

    /// Shares what it encodes with other streams, if it delivers every event of one channel.
    #[must_use]
    pub fn sharing(mut self, frames: SharedFrames) -> Self {
        self.shares = self.types == EventFilter::All && self.feeds.share(frames);
        self
    }

    /// Whether the stream, before it has opened, has nothing to say: everything was delivered, and
    /// nothing will follow. It is answered 204 then, which stops an `EventSource`. `false` while not
    /// all heads have been read.
    #[must_use]
    pub fn is_finished(&self, now: ClockReading) -> bool {
        self.feeds.are_finished(now)
    }

    /// The channels of the stream: what was read is told to them.
    pub const fn feeds(&mut self) -> &mut MergedReader {
        &mut self.feeds
    }

    /// What it has done since it was last asked.
    pub fn take_tally(&mut self) -> StreamStats {
        std::mem::take(&mut self.tally)
    }

    /// Why it has ended; `None` if it has not.
    #[must_use]
    pub const fn end_reason(&self) -> Option<EndReason> {
        match self.phase {
            Phase::Ended(reason) => Some(reason),
            Phase::Opening | Phase::Open => None,
        }
    }

    /// Says what to do next.
    pub fn next(&mut self, now: ClockReading) -> Step {
        match self.phase {
            Phase::Opening => {
                self.phase = Phase::Open;
                return self.open(now);
            }
            Phase::Ended(_) => return Step::End,
            Phase::Open => {}
        }
        if self.expires.is_some_and(|expires| now.monotonic >= expires) {
            return self.expire(now);
        }
        if now.monotonic >= self.ends {
            return self.end(
                EndReason::Age,
                now,
                None,
                "this stream has reached its age; reconnect to resume",
            );
        }
        if self
            .feeds
            .patience_ends()
            .is_some_and(|end| now.monotonic >= end)
        {
            let base = Duration::from_millis(self.settings.retry_millis);
            let retry = reconnection_time(base, 3, self.random.u64(..));
            return self.end(
                EndReason::Store,
                now,
                Some(retry),
                "the store does not answer; reconnect to resume",
            );
        }
        loop {
            match self.feeds.next(now) {
                Found::Read(step) => return step,
                Found::Gaps => return self.gaps(now),
                Found::Events(place) => {
                    if let Some(step) = self.chunk(place, now) {
                        return step;
                    }
                }
                Found::Ended { closed } => return self.finish(closed, now),
                Found::Nothing(until) => return self.idle(until, now),
            }
        }
    }

    /// The next chunk of what has been read; `None` if there is nothing in it for this subscriber.
    fn chunk(&mut self, place: usize, now: ClockReading) -> Option<Step> {
        let mut frames = Frames::with_capacity(self.feeds.chunk_capacity(place, FIELDS_BYTES));
        let mut passed = false;
        let mut given = Events::default();
        while frames.len() < CHUNK_BYTES {
            if let Some(run) = self.feeds.deliver_shared(place, now.monotonic) {
                frames.append(&run.blocks);
                given = given.and(run.events);
                continue;
            }
            let (before, start) = (self.feeds.last(place), frames.len());
            let mut events = Events::default();
            let delivered = self.feeds.deliver(place, now.monotonic, |cursor, record| {
                passed = !self.types.include(record.event_type);
                if !passed {
                    frames.event(cursor, record.event_type, record.data, record.trace());
                    events.add(record.time);
                }
                self.shares || frames.len() < CHUNK_BYTES
            });
            given = given.and(events);
            let Some(delivered) = delivered else { break };
            if self.shares
                && delivered.is_run
                && let Some(last) = before
            {
                self.feeds
                    .share_blocks(place, last, frames.since(start), events);
            }
        }
        if frames.is_empty() {
            self.has_moved();
            return None;
        }
        self.tally.give(given, self.is_live);
        let step = self.emit_marked(frames, now);
        if passed {
            self.has_moved();
        }
        Some(step)
    }

    fn has_moved(&mut self) {
        if let IdState::At(told) = self.marked {
            self.marked = IdState::Before(told);
        }
    }

    /// When the client has to be told where it stands, if it does not know.
    fn mark_due(&self, now: Instant) -> Option<Instant> {
        self.feeds.cursor()?;
        match self.marked {
            IdState::Never => Some(now),
            IdState::At(_) => None,
            IdState::Before(told) => Some(told.after(MARK_MILLIS)),
        }
    }

    /// Nothing to send before `until`: a position or a heartbeat if it is time, else a wait.
    fn idle(&mut self, until: Instant, now: ClockReading) -> Step {
        if !self.is_live && self.feeds.are_settled() {
            self.is_live = true;
            self.tally.caught_up = true;
        }
        let position = self.mark_due(now.monotonic);
        if position.is_some_and(|due| now.monotonic >= due) {
            let frames = self.position(Frames::default());
            return self.emit_marked(frames, now);
        }
        let heartbeat = self.last_sent.after(self.settings.heartbeat_millis);
        if now.monotonic >= heartbeat {
            let mut frames = Frames::default();
            frames.comment("");
            self.tally.heartbeats = self.tally.heartbeats.saturating_add(1);
            return self.emit(frames, now);
        }
        let times = [
            Some(until),
            Some(heartbeat),
            Some(self.ends),
            self.expires,
            position,
        ];
        Step::Wait(times.into_iter().flatten().min().unwrap_or(until))
    }
}

#[cfg(test)]
mod tests;
