//! The events of one channel, as one subscriber gets them.
//!
//! ```text
//! starting ──> following ──> ended
//!    │             │ replay and live are the same state: the feed knows the last event it gave
//!    │             │ out, and whatever follows that is next, wherever it is stored
//!    └ until a head has said where to start
//! ```

mod delivering;
mod reading;

use std::rc::Rc;

use super::CHUNK_BYTES;
use super::pace::{PollSchedule, StoreBackoff};
use super::replay::{Origin, Replay};
use super::shared::SharedFrames;
use super::step::StreamConfig;
use crate::core::channel::Channel;
use crate::core::log::{
    ClockReading, FormatError, Gap, GapReason, Head, Location, SegmentId, SegmentMeta, StartFrom,
};
use crate::core::sse::{EventId, Position};
use crate::core::time::Instant;

/// A segment that the directory lists but the store does not have is waited for this long, in
/// case the store's answer was stale; then it is skipped with a gap. Also how long a cursor ahead
/// of the log is given the benefit of the doubt.
const STALE_MILLIS: u64 = 1_000;

/// One channel of a stream.
#[derive(Debug)]
pub(super) struct ChannelReader {
    channel: Channel,
    settings: StreamConfig,
    start: StartFrom,
    /// Whether to go on after what is in the log now.
    live: bool,
    opened: Instant,
    phase: Phase,
    /// Where the subscriber says it stands.
    given: Option<Position>,
    /// Where it stands, once that is known.
    position: Option<Position>,
    /// To be told before anything else.
    gap: Option<Gap>,
    head: Option<Rc<Head>>,
    /// When `head` was read; `None` before the first time.
    head_read: Option<Instant>,
    /// While `head_read` is `None`, only a head read later than this will do.
    stale_before: Instant,
    /// Since when a read is under way.
    reading: Option<Instant>,
    replay: Replay,
    /// Where encoded events are shared with other streams, if they are.
    shared: Option<SharedFrames>,
    /// Whether to read on before what was read is given out.
    reads_ahead: bool,
    /// Whether anything was given out.
    delivered: bool,
    pace: PollSchedule,
    trouble: StoreBackoff,
    missing: Missing,
    /// Since when the store has been answering with an older head than the one known.
    outdated: Option<Instant>,
    error: Option<FormatError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    /// The last event given out.
    Following(EventId),
    Ended(End),
}

/// Why nothing more comes from a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It is closed, and everything was given out.
    Closed,
    /// Everything that was there was given out, and no more was asked for.
    Caught,
}

/// Whether a record that the head promises cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    No,
    Since(Instant),
    /// It was missing again after so long that it will not come back.
    ForGood,
}

/// What a feed has, or wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The head, read later than at this time: [`ChannelReader::head_read`].
    ReadHead(Instant),
    /// These segments: [`ChannelReader::segments_read`].
    ReadSegments(Vec<SegmentId>),
    /// A gap to tell of: [`ChannelReader::take_gap`].
    Gap,
    /// Events: [`ChannelReader::deliver`].
    Events,
    /// Nothing before this time, or before what is being read has arrived.
    Wait(Instant),
    /// Nothing any more.
    Ended(End),
}

impl ChannelReader {
    pub(super) fn new(
        channel: Channel,
        start: StartFrom,
        live: bool,
        settings: StreamConfig,
        random: u64,
        now: Instant,
    ) -> Self {
        let given = match start {
            StartFrom::After(position) => Some(position),
            _ => None,
        };
        Self {
            channel,
            settings,
            start,
            given,
            live,
            opened: now,
            phase: Phase::Starting,
            position: None,
            gap: None,
            head: None,
            head_read: None,
            stale_before: now,
            reading: None,
            replay: Replay::default(),
            shared: None,
            reads_ahead: false,
            delivered: false,
            pace: PollSchedule::new(settings.poll_millis, now),
            trouble: StoreBackoff::new(random),
            missing: Missing::No,
            outdated: None,
            error: None,
        }
    }

    pub(super) const fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Where the subscriber stands; `None` until a head was read.
    pub(super) const fn position(&self) -> Option<Position> {
        self.position
    }

    /// Whether everything was delivered before, and nothing will follow. `false` while it is not
    /// known.
    pub(super) fn is_finished(&self, now: ClockReading) -> bool {
        let resumes = self.start.resumes();
        match &self.head {
            _ if self.head_read.is_none() => false,
            None => !self.live && (!resumes || self.start == StartFrom::After(Position::Beginning)),
            Some(head) => {
                let position = self.start.resolve(head, now.wall);
                let delivered = position.gap.is_none() && position.next == head.next();
                delivered && (!self.live || (head.closed && resumes))
            }
        }
    }

    /// Whether everything is known that the log had when it was last looked at.
    pub(super) fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Ended(_))
            || (self.position.is_some()
                && self.head_read.is_some()
                && self.reading.is_none()
                && self.missing == Missing::No
                && self.trouble.ends(0).is_none())
    }

    /// Where the subscriber stands before it is told of a gap: where it says it does, if that can be
    /// read.
    pub(super) fn mark_before_gap(&self) -> Option<Position> {
        match (&self.gap, self.given) {
            (Some(_), Some(given)) => Some(given),
            _ => self.position,
        }
    }

    /// What is next.
    pub(super) fn next(&mut self, now: ClockReading) -> Turn {
        if self.gap.is_some() {
            return Turn::Gap;
        }
        let turn = match self.phase {
            Phase::Ended(end) => Some(Turn::Ended(end)),
            Phase::Following(_) if !self.replay.is_empty() => {
                self.read_ahead(now).or(Some(Turn::Events))
            }
            _ if self.reading.is_some() => None,
            Phase::Following(last) => self.follow(last, now),
            Phase::Starting => self.resolve_start(now),
        };
        turn.unwrap_or_else(|| Turn::Wait(self.wait(now.monotonic)))
    }

    fn wait(&self, now: Instant) -> Instant {
        let due = match self.reading {
            Some(_) => None,
            None => Some(self.trouble.not_before(self.pace.due())),
        };
        let patience = self.patience_ends().filter(|end| *end > now);
        let wait = [due, patience].into_iter().flatten().min();
        wait.unwrap_or(Instant(u64::MAX))
    }

    /// When the store has failed, or not answered, for too long.
    pub(super) fn patience_ends(&self) -> Option<Instant> {
        let hanging = self
            .reading
            .map(|since| since.after(self.settings.patience_millis));
        let failing = self.trouble.ends(self.settings.patience_millis);
        [hanging, failing].into_iter().flatten().min()
    }

    /// The gap that [`Turn::Gap`] is about.
    pub(super) fn take_gap(&mut self) -> Option<Gap> {
        self.gap.take()
    }

    fn follow_after(&mut self, last: EventId) {
        self.phase = Phase::Following(last);
        self.position = Some(Position::After(last));
    }

    fn resolve_start(&mut self, now: ClockReading) -> Option<Turn> {
        if self.head_read.is_none() {
            return self.poll(now);
        }
        let Some(head) = self.head.clone() else {
            return self.without_log(now);
        };
        let position = self.start.resolve(&head, now.wall);
        let ahead = matches!(&position.gap, Some(gap) if gap.reason == GapReason::Ahead);
        if ahead && !self.is_beyond_doubt() {
            return self.poll(now);
        }
        if let StartFrom::Live(since) = self.start {
            self.replay.pass_over(since, head.next());
        }
        let last = head.before(position.next);
        self.follow_after(last);
        self.gap = position.gap;
        match self.gap {
            Some(_) => Some(Turn::Gap),
            None => self.follow(last, now),
        }
    }

    /// There is no log yet, or not any more.
    fn without_log(&mut self, now: ClockReading) -> Option<Turn> {
        if matches!(self.start, StartFrom::Live(_) | StartFrom::Last(_)) {
            // The log will begin after this stream did.
            self.start = StartFrom::After(Position::Beginning);
        }
        let requested = self.start.requested();
        let is_lost = self.start.resumes() && self.start != StartFrom::After(Position::Beginning);
        if is_lost && self.live && !self.is_beyond_doubt() {
            return self.poll(now);
        }
        self.position = Some(Position::Beginning);
        if !self.live {
            self.phase = Phase::Ended(End::Caught);
        }
        if is_lost {
            self.start = StartFrom::After(Position::Beginning);
            self.gap = Some(Gap {
                reason: GapReason::Reset,
                requested,
                resumed_from: None,
            });
            return Some(Turn::Gap);
        }
        match self.phase {
            Phase::Ended(end) => Some(Turn::Ended(end)),
            _ => self.poll(now),
        }
    }

    /// Whether the store has had the time to answer with what it has.
    fn is_beyond_doubt(&self) -> bool {
        let seen = self.head_read.map_or(0, |at| at.since(self.opened));
        seen >= STALE_MILLIS
    }

    /// Goes on after `last`: with what is in the head, from segments, or by looking again.
    fn follow(&mut self, last: EventId, now: ClockReading) -> Option<Turn> {
        if self.head_read.is_none() {
            return self.poll(now);
        }
        let Some(head) = self.head.clone() else {
            return self.poll(now);
        };
        if head.epoch != last.epoch {
            return self.jump(GapReason::Reset, last, head.before(head.first()), now);
        }
        match head.locate(last.seq.plus(1), CHUNK_BYTES as u64) {
            Location::Tail if head.closed && head.next() == last.seq.plus(1) => {
                self.end(End::Closed)
            }
            Location::Tail if !self.live => self.end(End::Caught),
            Location::Tail => self.poll(now),
            Location::Evicted => {
                self.jump(GapReason::Evicted, last, head.before(head.first()), now)
            }
            Location::Inline(_) | Location::Segments(_) if self.shared_after(last).is_some() => {
                Some(Turn::Events)
            }
            Location::Inline(_) if self.missing == Missing::ForGood => {
                self.jump(GapReason::Evicted, last, head.before(head.next()), now)
            }
            Location::Inline(run) => {
                self.replay.push(Origin::Head, run);
                Some(Turn::Events)
            }
            Location::Segments(segments) => match segments.first() {
                Some(first) if self.missing == Missing::ForGood => {
                    self.jump(GapReason::Evicted, last, head.before(first.next()), now)
                }
                _ if self.trouble.is_waiting(now.monotonic) => None,
                _ => Some(self.read(&head, &segments, now)),
            },
        }
    }

    fn read(&mut self, head: &Head, segments: &[SegmentMeta], now: ClockReading) -> Turn {
        self.reading = Some(now.monotonic);
        let names = segments.iter().map(|segment| head.segment(segment.first));
        Turn::ReadSegments(names.collect())
    }

    fn end(&mut self, end: End) -> Option<Turn> {
        self.phase = Phase::Ended(end);
        Some(Turn::Ended(end))
    }

    /// Leaves `last` for a place that does not follow it, and says so, unless the client asked only
    /// for what is kept and has got nothing yet.
    fn jump(
        &mut self,
        reason: GapReason,
        last: EventId,
        to: EventId,
        now: ClockReading,
    ) -> Option<Turn> {
        self.follow_after(to);
        self.replay = Replay::default();
        self.missing = Missing::No;
        if !self.delivered && matches!(self.start, StartFrom::Earliest | StartFrom::Last(_)) {
            return self.follow(to, now);
        }
        self.gap = Some(Gap {
            reason,
            requested: last.to_string(),
            resumed_from: Some(to.next().to_string()),
        });
        Some(Turn::Gap)
    }

    fn poll(&mut self, now: ClockReading) -> Option<Turn> {
        if !self.pace.is_due(now.monotonic) {
            return None;
        }
        self.reading = Some(now.monotonic);
        Some(Turn::ReadHead(match self.head_read {
            None => self.stale_before,
            Some(at) => at.max(self.pace.before_due()),
        }))
    }
}
