//! The events of one channel, as one subscriber gets them.
//!
//! | phase | meaning | next phase |
//! |---|---|---|
//! | `Starting` | the start is not resolved yet, or there is no log | `Following` when a page resolves it; `Ended` if there is no log and the stream is not live |
//! | `Following` | everything up to a known event was delivered or is not kept any more; replay and live are the same | `Following` another event after a delivery, or when events are not kept any more; `Ended` when everything was delivered, and the channel is closed or the stream is not live |
//! | `Ended` | nothing follows | |
//!
//! Beside that at most one read is pending:
//!
//! | pending | meaning | next |
//! |---|---|---|
//! | `None` | no read is asked for | `News` or `Read`, with [`ChannelAction::Read`] |
//! | `News` | a read waits for news | `Read` when it begins; `None` when its result is taken; `News` if that is unchanged |
//! | `Read` | the store is read | `None` when the result is taken; `News` if that is unchanged |
//!
//! A gap is pending from the moment when events turn out to be missing, and is reported once the first event
//! after it is known: retention goes on dropping events while pages are read.

use bytes::Bytes;
use std::time::Duration;

use super::action::{CHUNK_BYTES, ReadRequest, ReadWhen};
use super::page_buffer::{CorruptRecord, Delivered, PageBuffer};
use super::shared_frames::{EncodedBatch, SharedFrames};
use super::stats::EventCount;
use super::store_backoff::StoreBackoff;
use super::subscription::StreamConfig;
use crate::core::channel::Channel;
use crate::core::log::{
    FormatError, Gap, GapReason, LogState, Page, ReadError, Record, Retention, StartFrom,
};
use crate::core::sse::{EventId, Position, Seq};
use crate::core::time::{ClockReading, Instant, Timestamp};

/// The time for which a contradiction may be due to a stale read of the store: 1 s. Contradictions are
/// missing records, and a client whose position is ahead of the log.
const STALE_READS: Duration = Duration::from_secs(1);

/// A state that was read longer ago is read again before more is delivered: 1 s. Only a newer one tells
/// which events the limits of retention on number and bytes have dropped meanwhile.
const MAX_STATE_AGE: Duration = Duration::from_secs(1);

/// The interval at which damage that persists is reported: a minute.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// One channel of a stream.
#[derive(Debug)]
pub(super) struct ChannelReader {
    channel: Channel,
    start: StartFrom,
    live: bool,
    opened: Instant,
    /// The time for which the store may fail.
    store_patience: Duration,
    retention: Retention,
    /// The time of the oldest event that retention keeps now.
    oldest: Timestamp,
    phase: Phase,
    /// The position that the client gave, or the one before its last gap.
    position_before_gap: Option<Position>,
    /// The position that the client has reached, once known.
    position: Option<Position>,
    pending_gap: Option<PendingGap>,
    /// To be reported before anything else.
    gap: Option<Gap>,
    known: Option<Known>,
    /// The time at which a newer state was last asked for because the known one was too old.
    refreshed: Instant,
    pending: Pending,
    buffer: PageBuffer,
    shared: Option<SharedFrames>,
    reads_ahead: bool,
    /// Set once the client was sent its position: what does not follow it directly is a gap.
    has_sent_position: bool,
    backoff: StoreBackoff,
    missing: Missing,
    error: Option<FormatError>,
    /// The last error that was reported, and the time.
    reported: Option<(FormatError, Instant)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    /// The last event delivered.
    Following(EventId),
    Ended(End),
}

/// The last page, without its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    state: Option<LogState>,
    as_of: Instant,
    start: Seq,
}

/// A gap whose end is not known yet.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PendingGap {
    reason: GapReason,
    requested: String,
    /// The last event before it, if that is known.
    last: Option<EventId>,
}

/// The pending read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pending {
    None,
    News,
    Read { since: Instant },
}

/// The reason why nothing more comes from a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It is closed, and everything was delivered.
    Closed,
    /// Everything that was there was delivered, and no more was asked for.
    CaughtUp,
}

/// The state of records that the log lists and that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    No,
    Since(Instant),
    /// They were missing again after [`STALE_READS`] and are given up.
    Lost {
        resume_at: Seq,
    },
}

/// The next command of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ChannelAction {
    /// Read a page: [`ChannelReader::page_read`].
    Read(ReadRequest),
    /// Report a gap: [`ChannelReader::take_gap`].
    ReportGap,
    /// Deliver events: [`ChannelReader::deliver`] or [`ChannelReader::deliver_shared`].
    Deliver,
    /// Nothing before this time, or before the page under way.
    Wait(Instant),
    /// Nothing any more.
    Ended(End),
}

impl ChannelReader {
    pub(super) fn new(
        channel: Channel,
        start: StartFrom,
        live: bool,
        config: StreamConfig,
        random: u64,
        now: Instant,
    ) -> Self {
        let position_before_gap = match start {
            StartFrom::After(position) => Some(position),
            _ => None,
        };
        Self {
            channel,
            start,
            live,
            opened: now,
            store_patience: config.store_patience,
            retention: config.retention,
            oldest: Timestamp(0),
            phase: Phase::Starting,
            position_before_gap,
            position: None,
            pending_gap: None,
            gap: None,
            known: None,
            refreshed: now,
            pending: Pending::None,
            buffer: PageBuffer::default(),
            shared: None,
            reads_ahead: false,
            has_sent_position: false,
            backoff: StoreBackoff::new(random),
            missing: Missing::No,
            error: None,
            reported: None,
        }
    }

    pub(super) const fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Returns the position that the client has reached; `None` before the first page.
    pub(super) const fn position(&self) -> Option<Position> {
        self.position
    }

    /// Returns the position of the client, before a gap that is to be reported.
    pub(super) fn position_before_gap(&self) -> Option<Position> {
        let has_gap = self.gap.is_some() || self.pending_gap.is_some();
        let before = self.position_before_gap.filter(|_| has_gap);
        before.or(self.position)
    }

    /// Returns whether a gap is pending before the start, and the client gave no position before it.
    pub(super) const fn has_gap_before_start(&self) -> bool {
        (self.gap.is_some() || self.pending_gap.is_some()) && self.position_before_gap.is_none()
    }

    /// Notes that the client was sent its position.
    pub(super) fn position_sent(&mut self) {
        self.has_sent_position = true;
        if self.phase == Phase::Starting && self.position == Some(Position::Beginning) {
            self.start = StartFrom::After(Position::Beginning);
        }
    }

    /// Shares encoded events with other streams.
    pub(super) fn share(&mut self, shared: SharedFrames) {
        self.shared = Some(shared);
    }

    /// Reads the next page before the last one is delivered.
    pub(super) const fn enable_read_ahead(&mut self) {
        self.reads_ahead = true;
    }

    /// Returns whether, by the first page, the client has everything that is kept at `now` and nothing will
    /// follow.
    pub(super) fn is_finished(&mut self, now: Timestamp) -> bool {
        self.oldest = self.retention.oldest_time(now);
        self.skip_expired_start();
        let resumes = self.start.resumes();
        match self.known {
            None => false,
            Some(Known { state: None, .. }) => {
                !self.live && (!resumes || self.start == StartFrom::After(Position::Beginning))
            }
            Some(Known {
                state: Some(state),
                start,
                ..
            }) => {
                let has_all = self.start.gap(&state).is_none() && start == state.next;
                has_all && (!self.live || (state.closed && resumes))
            }
        }
    }

    /// Returns whether everything was read that the log had when it was last asked.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
            || (self.position.is_some()
                && self.known.is_some()
                && !matches!(self.pending, Pending::Read { .. })
                && self.missing == Missing::No
                && self.backoff.failing_since().is_none())
    }

    /// Returns the next command.
    pub(super) fn next(&mut self, now: ClockReading) -> ChannelAction {
        self.oldest = self.retention.oldest_time(now.wall);
        let now = now.monotonic;
        if self.gap.is_some() {
            return ChannelAction::ReportGap;
        }
        let action = match self.phase {
            Phase::Ended(end) => Some(ChannelAction::Ended(end)),
            Phase::Following(last) => self.go_on(last, now),
            Phase::Starting if self.pending == Pending::None => self.resolve_start(now),
            Phase::Starting => None,
        };
        debug_assert!(self.is_consistent(), "{self:?}");
        action.unwrap_or_else(|| ChannelAction::Wait(self.wait(now)))
    }

    /// Returns whether the fields that depend on each other agree.
    fn is_consistent(&self) -> bool {
        let agrees_with_phase = match self.phase {
            Phase::Starting => matches!(self.position, None | Some(Position::Beginning)),
            Phase::Following(last) => self.position == Some(Position::After(last)),
            Phase::Ended(_) => self.position.is_some() && self.pending == Pending::None,
        };
        agrees_with_phase && (self.gap.is_none() || self.position.is_some())
    }

    fn wait(&self, now: Instant) -> Instant {
        let retry = self.backoff.waits_until(now);
        let patience = self.patience_ends().filter(|end| *end > now);
        let wait = [retry, patience].into_iter().flatten().min();
        wait.unwrap_or(Instant::NEVER)
    }

    /// Returns the time at which the store will have failed, or not answered, for too long.
    pub(super) fn patience_ends(&self) -> Option<Instant> {
        let hanging = match self.pending {
            Pending::Read { since } => Some(since),
            Pending::None | Pending::News => None,
        };
        let since = [hanging, self.backoff.failing_since()]
            .into_iter()
            .flatten()
            .min();
        since.map(|since| since.saturating_add(self.store_patience))
    }

    /// Returns the gap that [`ChannelAction::ReportGap`] is about.
    pub(super) fn take_gap(&mut self) -> Option<Gap> {
        self.gap.take()
    }

    fn read(
        &mut self,
        from: StartFrom,
        max_bytes: u64,
        when: ReadWhen,
        now: Instant,
    ) -> Option<ChannelAction> {
        if self.backoff.waits_until(now).is_some() {
            return None;
        }
        debug_assert_eq!(self.pending, Pending::None, "one read at a time");
        self.pending = match when {
            ReadWhen::Now | ReadWhen::Refreshed => Pending::Read { since: now },
            ReadWhen::OnNews | ReadWhen::Invalidated => Pending::News,
        };
        Some(ChannelAction::Read(ReadRequest {
            from,
            max_bytes,
            when,
        }))
    }

    /// Reads the state: for the first time, or again because records were missing.
    fn read_again(&mut self, from: StartFrom, now: Instant) -> Option<ChannelAction> {
        let when = match self.missing {
            Missing::No => ReadWhen::Now,
            Missing::Since(_) | Missing::Lost { .. } => ReadWhen::Invalidated,
        };
        self.read(from, 0, when, now)
    }

    /// Returns the read of the first page.
    pub(super) fn first_read(&mut self, now: Instant) -> Option<ReadRequest> {
        debug_assert_eq!((self.phase, self.known), (Phase::Starting, None));
        match self.read_again(self.start.clone(), now) {
            Some(ChannelAction::Read(request)) => Some(request),
            _ => None,
        }
    }

    fn read_news(&mut self, from: StartFrom, now: Instant) -> Option<ChannelAction> {
        self.read(from, 0, ReadWhen::OnNews, now)
    }

    /// Notes that a read that waited for news has begun.
    pub(super) const fn read_started(&mut self, now: Instant) {
        debug_assert!(matches!(self.pending, Pending::News));
        self.pending = Pending::Read { since: now };
    }

    /// Returns whether a page that was read for news has none; then the reader goes on waiting for it.
    pub(super) fn is_unchanged(&mut self, page: &Page) -> bool {
        let Some(known) = &mut self.known else {
            return false;
        };
        let is_same = match (&page.state, &known.state) {
            (Some(state), Some(known)) => state.is_same_log(known),
            (state, known) => state == known,
        };
        let has_news = !page.batches.is_empty() || !is_same;
        if has_news || self.position.is_none() || self.backoff.failing_since().is_some() {
            return false;
        }
        known.state = page.state;
        known.as_of = page.as_of;
        self.pending = Pending::News;
        true
    }

    /// Takes the result of a read.
    pub(super) fn page_read(&mut self, result: Result<Page, ReadError>, now: Instant) {
        debug_assert_ne!(self.pending, Pending::None, "no read was asked for");
        self.pending = Pending::None;
        match result {
            Ok(page) => self.accept(page),
            Err(ReadError::Missing { resume_at, cause }) => {
                if let Some(cause) = cause {
                    self.report(cause, now);
                }
                self.record_missing(resume_at, now);
            }
            Err(ReadError::Store(_)) => self.store_failed(now),
            Err(ReadError::Format(error)) => {
                self.report(error, now);
                self.store_failed(now);
            }
        }
    }

    fn accept(&mut self, page: Page) {
        self.backoff.reset();
        self.drop_outdated(page.state.as_ref());
        self.known = Some(Known {
            state: page.state,
            as_of: page.as_of,
            start: page.start,
        });
        debug_assert!(has_no_holes(&page), "{page:?}");
        let follows = match (self.phase, page.state) {
            (Phase::Starting, _) => {
                // A page before this one was in doubt.
                self.buffer.clear();
                true
            }
            (Phase::Following(last), Some(state)) => {
                let next = self.buffer.next().unwrap_or(last.seq.plus(1));
                // Records that were given up are skipped, not tried again.
                let is_lost = matches!(self.missing, Missing::Lost { .. });
                state.epoch == last.epoch && page.start == next && !is_lost
            }
            (Phase::Following(_) | Phase::Ended(_), _) => false,
        };
        if follows {
            for mut batch in page.batches {
                self.retention.trim(&mut batch);
                self.buffer.push(batch);
            }
        }
    }

    /// Drops what was read before, if the log with this state has been purged since, or has grown so that
    /// the limits of retention on number and bytes may not keep it.
    fn drop_outdated(&mut self, state: Option<&LogState>) {
        let (Phase::Following(last), Some(state), Some(first)) =
            (self.phase, state, self.buffer.first())
        else {
            return;
        };
        let known = self.known.and_then(|known| known.state);
        let has_grown = known.is_none_or(|known| known.next != state.next);
        if state.epoch != last.epoch || (has_grown && first < state.kept_from) {
            self.buffer.clear();
        }
    }

    fn store_failed(&mut self, now: Instant) {
        // Missing records mean nothing while the store fails.
        self.missing = Missing::No;
        self.backoff.failed(now);
    }

    /// Notes that records which the log lists are missing. Retention may have dropped them meanwhile, or
    /// the store's answer was stale; so the next read is of a newer state.
    fn record_missing(&mut self, resume_at: Seq, now: Instant) {
        self.missing = match self.missing {
            Missing::No => Missing::Since(now),
            Missing::Since(since) if now.saturating_duration_since(since) >= STALE_READS => {
                Missing::Lost { resume_at }
            }
            missing => missing,
        };
        self.known = None;
    }

    /// Notes damage to the stored log, unless it was reported within the last minute: it is found again with
    /// each retry.
    fn report(&mut self, error: FormatError, now: Instant) {
        let is_known = self.reported.as_ref().is_some_and(|(known, since)| {
            *known == error && now.saturating_duration_since(*since) < REPORT_INTERVAL
        });
        if !is_known {
            self.reported = Some((error.clone(), now));
            self.error = Some(error);
        }
    }

    /// Returns the damage to the stored log that was found since the last call, for the operator. The
    /// reader copes with it.
    pub(super) fn take_error(&mut self) -> Option<FormatError> {
        self.error.take()
    }

    fn resolve_start(&mut self, now: Instant) -> Option<ChannelAction> {
        self.skip_expired_start();
        let Some(known) = self.known else {
            return self.read_again(self.start.clone(), now);
        };
        let Some(state) = known.state else {
            return self.without_log(known.as_of, now);
        };
        let reason = self.start.gap(&state);
        if reason == Some(GapReason::Ahead) && !self.is_beyond_doubt(known.as_of) {
            return self.read_news(self.start.clone(), now);
        }
        if let StartFrom::Live(since) = self.start {
            self.buffer.skip_older(since, state.next);
        }
        self.pending_gap = reason.map(|reason| PendingGap {
            reason,
            requested: self.start.requested(),
            last: match self.start {
                StartFrom::After(Position::After(last)) => Some(last),
                _ => None,
            },
        });
        let last = state.before(known.start);
        self.follow_after(last);
        self.go_on(last, now)
    }

    /// Moves the start past records of the first page that are not kept any more. A live stream gets those
    /// reported that were appended after it opened.
    fn skip_expired_start(&mut self) {
        let Some(Known {
            state: Some(state),
            start,
            ..
        }) = &mut self.known
        else {
            return;
        };
        if self.phase != Phase::Starting || matches!(self.start, StartFrom::Live(_)) {
            return;
        }
        let (last, first) = (start.minus(1), state.first);
        if let Some(front) = self.buffer.drop_expired(last, first, self.oldest)
            && front.is_after_gap
        {
            state.first = front.next;
            *start = front.next;
        }
    }

    /// Starts where there is no log yet, or not any more.
    fn without_log(&mut self, as_of: Instant, now: Instant) -> Option<ChannelAction> {
        if matches!(self.start, StartFrom::Live(_) | StartFrom::Last(_)) {
            // The log will begin after this stream did.
            self.start = StartFrom::After(Position::Beginning);
        }
        let requested = self.start.requested();
        let is_lost = self.start.resumes() && self.start != StartFrom::After(Position::Beginning);
        if is_lost && self.live && !self.is_beyond_doubt(as_of) {
            return self.read_news(self.start.clone(), now);
        }
        self.position = Some(Position::Beginning);
        if !self.live {
            self.phase = Phase::Ended(End::CaughtUp);
        }
        if is_lost {
            self.start = StartFrom::After(Position::Beginning);
            self.gap = Some(Gap {
                reason: GapReason::Reset,
                requested,
                resumed_from: None,
            });
            return Some(ChannelAction::ReportGap);
        }
        match self.phase {
            Phase::Ended(end) => Some(ChannelAction::Ended(end)),
            Phase::Starting | Phase::Following(_) => self.read_news(self.start.clone(), now),
        }
    }

    /// Returns whether a state read at `as_of` is too late to be stale.
    fn is_beyond_doubt(&self, as_of: Instant) -> bool {
        as_of.saturating_duration_since(self.opened) >= STALE_READS
    }

    /// Goes on after `last`: with what was read before, or as [`Self::follow`] does.
    fn go_on(&mut self, last: EventId, now: Instant) -> Option<ChannelAction> {
        if self.is_state_too_old(last, now) {
            return self.refresh(last, now);
        }
        let last = self.skip_expired(last);
        if !self.buffer.is_empty() {
            return self
                .end_gap(last)
                .or_else(|| self.read_ahead(last, now))
                .or(Some(ChannelAction::Deliver));
        }
        if self.pending == Pending::None {
            self.follow(last, now)
        } else {
            None
        }
    }

    /// Returns whether events that follow `last` may not be kept any more, for all that is known.
    fn is_state_too_old(&self, last: EventId, now: Instant) -> bool {
        let Some(Known {
            state: Some(state),
            as_of,
            ..
        }) = self.known
        else {
            return false;
        };
        let has_rest = !self.buffer.is_empty() || last.seq.plus(1) < state.next;
        let age = now.saturating_duration_since(as_of.max(self.refreshed));
        // A state that can be read must not hide that the records cannot.
        let is_failing = self.backoff.failing_since().is_some();
        has_rest && age >= MAX_STATE_AGE && self.missing == Missing::No && !is_failing
    }

    /// Reads the state, once no read is under way.
    fn refresh(&mut self, last: EventId, now: Instant) -> Option<ChannelAction> {
        if self.pending != Pending::None {
            return None;
        }
        let next = self.buffer.next().unwrap_or(last.seq.plus(1));
        let last = EventId {
            seq: next.minus(1),
            ..last
        };
        let from = StartFrom::After(Position::After(last));
        let read = self.read(from, 0, ReadWhen::Refreshed, now);
        if read.is_some() {
            self.refreshed = now;
        }
        read
    }

    /// Passes over records after `last` that are not kept any more. Returns the last event passed.
    fn skip_expired(&mut self, last: EventId) -> EventId {
        let state = self.known.and_then(|known| known.state);
        let first = state.map_or(Seq::FIRST, |state| state.first);
        let front = self.buffer.drop_expired(last.seq, first, self.oldest);
        let Some(front) = front.filter(|front| front.next > last.seq.plus(1)) else {
            return last;
        };
        if front.is_after_gap {
            self.begin_gap(GapReason::Evicted, last);
        }
        let last = EventId {
            seq: front.next.minus(1),
            ..last
        };
        self.follow_after(last);
        last
    }

    /// Notes that events after `last` are missing. A client that asked only for what is kept, and has no
    /// position yet, misses none.
    fn begin_gap(&mut self, reason: GapReason, last: EventId) {
        if !self.has_sent_position && matches!(self.start, StartFrom::Earliest | StartFrom::Last(_))
        {
            return;
        }
        if self.gap.is_none() && self.pending_gap.is_none() {
            self.position_before_gap = Some(Position::After(last));
        }
        let gap = self.pending_gap.get_or_insert_with(|| PendingGap {
            reason,
            requested: last.to_string(),
            last: Some(last),
        });
        if reason == GapReason::Reset {
            gap.reason = reason;
        }
    }

    /// Ends a pending gap: the event after `last` is the next to be delivered, or to be appended.
    fn end_gap(&mut self, last: EventId) -> Option<ChannelAction> {
        let PendingGap {
            reason, requested, ..
        } = self.pending_gap.take()?;
        self.gap = Some(Gap {
            reason,
            requested,
            resumed_from: Some(last.next().to_string()),
        });
        Some(ChannelAction::ReportGap)
    }

    /// Goes on after `last`: with records of the log, or by waiting for news.
    fn follow(&mut self, last: EventId, now: Instant) -> Option<ChannelAction> {
        let from = StartFrom::After(Position::After(last));
        let Some(known) = self.known else {
            return self.read_again(from, now);
        };
        let Some(state) = known.state else {
            return self.read_news(from, now);
        };
        let next = last.seq.plus(1);
        if state.epoch != last.epoch {
            // The store may have answered with an old head in between.
            if let Some(before) = self.pending_gap.as_ref().and_then(|gap| gap.last)
                && before.epoch == state.epoch
            {
                self.pending_gap = None;
                self.follow_after(before);
                return self.follow(before, now);
            }
            return self.jump(GapReason::Reset, last, state.before(state.first), now);
        }
        if next >= state.next {
            if let Some(report) = self.end_gap(last) {
                return Some(report);
            }
            if state.closed && next == state.next {
                return self.end(End::Closed);
            }
            return if self.live {
                self.read_news(from, now)
            } else {
                self.end(End::CaughtUp)
            };
        }
        if next < state.first {
            return self.jump(GapReason::Evicted, last, state.before(state.first), now);
        }
        if self.shared_after(last).is_some() {
            return self.end_gap(last).or(Some(ChannelAction::Deliver));
        }
        if let Missing::Lost { resume_at } = self.missing {
            return self.jump(GapReason::Evicted, last, state.before(resume_at), now);
        }
        self.read(from, CHUNK_BYTES as u64, ReadWhen::Now, now)
    }

    /// Begins to read what follows the buffer, so that it is there when the client has taken that.
    fn read_ahead(&mut self, last: EventId, now: Instant) -> Option<ChannelAction> {
        let state = self.known?.state?;
        let next = self.buffer.next()?;
        let is_wanted = self.reads_ahead
            && self.pending == Pending::None
            && self.missing == Missing::No
            && self.buffer.bytes() <= CHUNK_BYTES
            && state.epoch == last.epoch
            && next < state.next
            && self.shared_after(state.before(next)).is_none();
        if !is_wanted {
            return None;
        }
        let from = StartFrom::After(Position::After(state.before(next)));
        self.read(from, CHUNK_BYTES as u64, ReadWhen::Now, now)
    }

    fn follow_after(&mut self, last: EventId) {
        self.phase = Phase::Following(last);
        self.position = Some(Position::After(last));
    }

    fn end(&mut self, end: End) -> Option<ChannelAction> {
        self.phase = Phase::Ended(end);
        Some(ChannelAction::Ended(end))
    }

    /// Goes on after `to`, which does not follow `last`.
    fn jump(
        &mut self,
        reason: GapReason,
        last: EventId,
        to: EventId,
        now: Instant,
    ) -> Option<ChannelAction> {
        self.follow_after(to);
        self.buffer.clear();
        self.missing = Missing::No;
        self.begin_gap(reason, last);
        self.follow(to, now)
    }

    /// Returns the capacity that the next events need if each takes `extra` bytes beside its record;
    /// `None` if there are none.
    pub(super) fn chunk_capacity(&self, extra: usize) -> Option<usize> {
        self.buffer.chunk_capacity(extra)
    }

    /// Delivers the events of one batch, until `take` wants no more; returns `None` if there are none.
    pub(super) fn deliver(
        &mut self,
        now: Instant,
        take: impl FnMut(EventId, &Record<'_>) -> bool,
    ) -> Option<Delivered> {
        let Phase::Following(last) = self.phase else {
            return None;
        };
        match self.buffer.deliver(last, self.oldest, take) {
            Ok(delivered) if delivered.last == last => None,
            Ok(delivered) => {
                self.delivered(delivered.last);
                Some(delivered)
            }
            Err(CorruptRecord { error, resume_at }) => {
                let key = format!("{} after {last}", self.channel);
                let detail = error.to_string();
                self.report(FormatError::Corrupt { key, detail }, now);
                self.record_missing(resume_at, now);
                None
            }
        }
    }

    /// Delivers the next events as another stream has encoded them, if one has.
    pub(super) fn deliver_shared(&mut self) -> Option<EncodedBatch> {
        let Phase::Following(last) = self.phase else {
            return None;
        };
        let batch = self.shared_after(last)?;
        self.delivered(EventId {
            seq: batch.last,
            ..last
        });
        Some(batch)
    }

    fn shared_after(&self, last: EventId) -> Option<EncodedBatch> {
        let shared = self.shared.as_ref()?;
        let state = self.known?.state?;
        let is_kept = state.kept_from <= last.seq.plus(1);
        if !is_kept || self.buffer.may_skip_after(last.seq) {
            return None;
        }
        let batch = shared.after(&self.channel, last);
        batch.filter(|batch| batch.events.oldest.is_none_or(|time| time >= self.oldest))
    }

    /// Shares `blocks`, the encoded events from after `last` to the last one delivered.
    pub(super) fn share_blocks(&self, last: EventId, blocks: &[u8], events: EventCount) {
        if let (Some(shared), Phase::Following(reached)) = (&self.shared, self.phase)
            && !self.buffer.may_skip_after(last.seq)
        {
            let batch = EncodedBatch {
                last: reached.seq,
                events,
                blocks: Bytes::copy_from_slice(blocks),
            };
            shared.insert(&self.channel, last, batch);
        }
    }

    fn delivered(&mut self, last: EventId) {
        self.follow_after(last);
        self.has_sent_position = true;
        self.missing = Missing::No;
    }
}

/// Returns whether the batches of a page, if it has any, begin at its start or before and follow each
/// other.
fn has_no_holes(page: &Page) -> bool {
    let mut batches = page.batches.iter().map(|batch| &batch.records);
    let Some(first) = batches.next() else {
        return true;
    };
    let covers_start = (first.first..first.next()).contains(&page.start);
    let mut next = first.next();
    covers_start
        && batches.all(|batch| {
            let follows = batch.first == next;
            next = batch.next();
            follows
        })
}
