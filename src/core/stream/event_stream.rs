//! One subscriber's stream, from its first byte to its last.
//!
//! [`EventStream`] performs no I/O: it returns an [`Action`], the caller carries it out and asks again.
//! It pulls: nothing is read before the client has taken what came before, so a slow client costs only
//! its own state.
//!
//! | phase | emits | next phase |
//! |---|---|---|
//! | `Created` | a comment | `Opening`; `Open` if the client gave its position |
//! | `Opening` | `runnel.open`, with the position | `Open` when the position is known, or after [`OPEN_PATIENCE`] without it |
//! | `Open` | events, gaps, positions, heartbeats; at last the reason of the end | `Ended` when the stream reaches its age, its token expires, the store fails for too long, or the channels end |
//! | `Ended` | nothing | |
//!
//! Every block has data: see [`Frames`].
//!
//! ```
//! use std::time::Duration;
//! use runnel::core::log::{
//!     LogState, Page, PageBatch, PollInterval, Record, RecordBatch, Retention,
//! };
//! use runnel::core::sse::{Epoch, Seq};
//! use runnel::core::stream::{
//!     Action, EventFilter, EventStream, ResumePoint, StreamConfig, Subscription,
//! };
//! use runnel::core::time::{ClockReading, Instant, Timestamp};
//!
//! // A log with one event.
//! let mut records = vec![];
//! let time = Timestamp(1_800_000_000_000);
//! Record { time, event_type: None, data: "hello", attributes: vec![] }.encode(&mut records)?;
//! let records = RecordBatch { first: Seq(1), count: 1, records: records.into() };
//! let state = LogState {
//!     epoch: Epoch::from_random(1),
//!     first: Seq(1),
//!     kept_from: Seq(1),
//!     next: Seq(2),
//!     closed: true,
//!     newest: time,
//! };
//!
//! let config = StreamConfig {
//!     heartbeat: Duration::from_secs(15),
//!     retry: Duration::from_secs(2),
//!     max_age: Duration::from_secs(300),
//!     store_patience: Duration::from_secs(30),
//!     poll: PollInterval { min: Duration::from_millis(5), max: Duration::from_millis(500) },
//!     retention: Retention { events: 10_000, bytes: 16 << 20, max_age: None },
//! };
//! let subscription = Subscription {
//!     channels: vec!["demo".parse()?],
//!     resume: ResumePoint::Earliest,
//!     filter: EventFilter::All,
//!     live: true,
//!     expires: None,
//! };
//! let now = ClockReading { monotonic: Instant(0), wall: time };
//! let mut stream = EventStream::new(subscription, config, 42, now.monotonic);
//! let mut sent = String::new();
//! loop {
//!     match stream.next(now) {
//!         Action::Emit(bytes) => sent.push_str(std::str::from_utf8(&bytes)?),
//!         Action::Read(index, request) => {
//!             assert_eq!((index, request.max_bytes), (0, 0), "the first read is of the state");
//!             let records = records.clone();
//!             let batches = vec![PageBatch { records, newer_bytes: 0, is_tail: true }];
//!             let page = Page { state: Some(state), as_of: Instant(1), start: Seq(1), batches };
//!             stream.reader().page_read(index, Ok(page), now.monotonic);
//!         }
//!         Action::Wait(_) => unreachable!("the channel is closed"),
//!         Action::End => break,
//!     }
//! }
//! let (open, events) = sent.split_once("\n\n").ok_or("no first block")?;
//! assert!(open.starts_with(": runnel\nevent: runnel.open\nretry: "));
//! assert!(open.ends_with("\nid: 000001-0"));
//! assert_eq!(
//!     events,
//!     "data: hello\nid: 000001-1\n\nevent: runnel.end\ndata: {\"reason\":\"closed\"}\nid: 000001-1\n\n"
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::time::Duration;

use super::action::{Action, CHUNK_BYTES};
use super::merged_reader::{MergedAction, MergedReader};
use super::shared_frames::SharedFrames;
use super::stats::{EventCount, StreamStats};
use super::subscription::{EventFilter, StreamConfig, Subscription};
use crate::core::metrics::EndReason;
use crate::core::sse::{Cursor, Frames, reconnection_time};
use crate::core::time::{ClockReading, Instant, millis};

/// The bytes of an event's field names and line ends, about.
const FIELDS_BYTES: usize = 20;

/// The delay after which the client gets a cursor that has moved and that no event has carried: 1 s.
const POSITION_DELAY: Duration = Duration::from_secs(1);

/// The time after which a stream is announced without its position: 1 s.
const OPEN_PATIENCE: Duration = Duration::from_secs(1);

/// The state machine of one stream.
#[derive(Debug)]
pub struct EventStream {
    pub(super) config: StreamConfig,
    filter: EventFilter,
    /// Encodes whole batches, for other streams to send as well.
    shares: bool,
    pub(super) random: fastrand::Rng,
    /// The reconnection time, unless the store fails.
    pub(super) retry: Duration,
    opened: Instant,
    pub(super) ends: Instant,
    expires: Option<Instant>,
    pub(super) last_sent: Instant,
    pub(super) phase: Phase,
    pub(super) reader: MergedReader,
    pub(super) last_event_id: Option<Cursor>,
    pub(super) id_state: IdState,
    pub(super) stats: StreamStats,
    /// Set once the client has caught up.
    is_live: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Created,
    Opening,
    Open,
    Ended(EndReason),
}

/// The client's last event ID, compared with the cursor of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IdState {
    /// The client has no id of this stream.
    Unknown,
    /// The client was sent the cursor at this time, and it has not moved since.
    Current(Instant),
    /// The client was sent the cursor at this time, and it has moved since.
    Outdated(Instant),
}

impl EventStream {
    /// Creates a stream that opens now. `random` is drawn anew for each stream.
    #[must_use]
    pub fn new(
        subscription: Subscription,
        config: StreamConfig,
        random: u64,
        now: Instant,
    ) -> Self {
        let mut random = fastrand::Rng::with_seed(random);
        let max_age = millis(config.max_age);
        let age = max_age.saturating_sub(random.u64(0..=max_age / 5));
        let mut reader = MergedReader::new(&subscription, config, &mut random, now);
        reader.enable_read_ahead();
        Self {
            config,
            shares: false,
            retry: reconnection_time(config.retry, 0, random.u64(..)),
            opened: now,
            ends: now.saturating_add(Duration::from_millis(age)),
            expires: subscription.expires,
            last_sent: now,
            phase: Phase::Created,
            last_event_id: subscription.resume.cursor().cloned(),
            filter: subscription.filter,
            reader,
            id_state: IdState::Unknown,
            stats: StreamStats::default(),
            is_live: false,
            random,
        }
    }

    /// Shares encoded events with other streams, if this one delivers every event of one channel.
    #[must_use]
    pub fn sharing(mut self, frames: SharedFrames) -> Self {
        self.shares = self.filter == EventFilter::All && self.reader.share(frames);
        self
    }

    /// Returns whether a stream that has not opened has nothing to send: the client has everything, and
    /// nothing will follow. It is answered 204 then, which stops an `EventSource`. `false` before the
    /// first page of each channel.
    #[must_use]
    pub fn is_finished(&mut self, now: ClockReading) -> bool {
        self.reader.is_finished(now.wall)
    }

    /// Returns the channels of the stream, which take the pages that were read.
    pub const fn reader(&mut self) -> &mut MergedReader {
        &mut self.reader
    }

    /// Returns what the stream has done since the last call.
    pub fn take_stats(&mut self) -> StreamStats {
        std::mem::take(&mut self.stats)
    }

    /// Returns the reason of its end; `None` if it has not ended.
    #[must_use]
    pub const fn end_reason(&self) -> Option<EndReason> {
        match self.phase {
            Phase::Ended(reason) => Some(reason),
            Phase::Created | Phase::Opening | Phase::Open => None,
        }
    }

    /// Returns the next action.
    pub fn next(&mut self, clock: ClockReading) -> Action {
        let now = clock.monotonic;
        let end = self.due_end(now);
        match (self.phase, end) {
            (Phase::Created, _) => return self.open(clock),
            (Phase::Ended(_), _) => return Action::End,
            (Phase::Opening, Some(_)) => return self.announce(Frames::default(), clock),
            (Phase::Opening, None) if now >= self.opened.saturating_add(OPEN_PATIENCE) => {
                return self.announce(Frames::default(), clock);
            }
            (Phase::Open, Some(EndReason::Expired)) => return self.expire(now),
            (Phase::Open, Some(reason)) => return self.end(reason, now),
            (Phase::Opening | Phase::Open, None) => {}
        }
        loop {
            let action = self.reader.next(clock);
            if matches!(action, MergedAction::Wait(_)) {
                self.note_caught_up();
            }
            let is_read = matches!(action, MergedAction::Read(..));
            if self.phase == Phase::Opening && !is_read && self.reader.cursor().is_some() {
                return self.announce(Frames::default(), clock);
            }
            match action {
                MergedAction::Read(index, request) => return Action::Read(index, request),
                MergedAction::ReportGaps => return self.report_gaps(now),
                MergedAction::Deliver(index) => {
                    if let Some(action) = self.chunk(index, now) {
                        return action;
                    }
                }
                MergedAction::Ended { closed } => return self.finish(closed, now),
                MergedAction::Wait(until) => return self.idle(until, now),
            }
        }
    }

    /// Returns the reason to end the stream now, before its channels end.
    fn due_end(&self, now: Instant) -> Option<EndReason> {
        let is_past = |time: Instant| now >= time;
        if self.expires.is_some_and(is_past) {
            Some(EndReason::Expired)
        } else if is_past(self.ends) {
            Some(EndReason::Age)
        } else if self.reader.patience_ends().is_some_and(is_past) {
            Some(EndReason::Store)
        } else {
            None
        }
    }

    /// Encodes the next chunk of what has been read; returns `None` if this subscriber wants nothing of
    /// it.
    fn chunk(&mut self, index: usize, now: Instant) -> Option<Action> {
        let mut frames = Frames::with_capacity(self.reader.chunk_capacity(index, FIELDS_BYTES));
        let mut ends_filtered = false;
        let mut total = EventCount::default();
        while frames.len() < CHUNK_BYTES {
            if let Some(batch) = self.reader.deliver_shared(index) {
                frames.append(&batch.blocks);
                total = total.plus(batch.events);
                continue;
            }
            let (before, start) = (self.reader.last(index), frames.len());
            let mut events = EventCount::default();
            let delivered = self.reader.deliver(index, now, |cursor, record| {
                ends_filtered = !self.filter.includes(record.event_type);
                if !ends_filtered {
                    frames.event(cursor, record.event_type, record.data, record.trace());
                    events.add(record.time);
                }
                self.shares || frames.len() < CHUNK_BYTES
            });
            total = total.plus(events);
            let Some(delivered) = delivered else { break };
            if self.shares
                && delivered.is_shareable
                && let Some(last) = before
            {
                let blocks = frames.since(start);
                self.reader.share_blocks(index, last, blocks, events);
            }
        }
        if frames.is_empty() {
            self.cursor_moved();
            return None;
        }
        self.stats.delivered(total, self.is_live);
        let action = self.emit_with_id(frames, now);
        if ends_filtered {
            self.cursor_moved();
        }
        Some(action)
    }

    const fn cursor_moved(&mut self) {
        if let IdState::Current(sent) = self.id_state {
            self.id_state = IdState::Outdated(sent);
        }
    }

    /// Returns the time at which the client has to be sent the cursor, if it does not have it.
    pub(super) fn position_due(&self, now: Instant) -> Option<Instant> {
        self.reader.cursor()?;
        match self.id_state {
            IdState::Unknown => Some(now),
            IdState::Current(_) => None,
            IdState::Outdated(sent) => Some(sent.saturating_add(POSITION_DELAY)),
        }
    }

    fn note_caught_up(&mut self) {
        if !self.is_live && self.reader.is_settled() {
            self.is_live = true;
            self.stats.caught_up = true;
        }
    }

    /// Nothing to send before `until`: a position or a heartbeat if one is due, otherwise a wait.
    fn idle(&mut self, until: Instant, now: Instant) -> Action {
        let position = self.position_due(now);
        if position.is_some_and(|due| now >= due) {
            return self.send_position(now);
        }
        let heartbeat = self.last_sent.saturating_add(self.config.heartbeat);
        if now >= heartbeat {
            let mut frames = Frames::default();
            frames.comment("");
            self.stats.heartbeats = self.stats.heartbeats.saturating_add(1);
            return self.emit(frames, now);
        }
        let opening =
            (self.phase == Phase::Opening).then(|| self.opened.saturating_add(OPEN_PATIENCE));
        let times = [
            Some(until),
            Some(heartbeat),
            Some(self.ends),
            self.expires,
            position,
            opening,
        ];
        let wake_at = times.into_iter().flatten().min().unwrap_or(until);
        debug_assert!(wake_at > now, "a wait without time would spin");
        Action::Wait(wake_at)
    }
}
