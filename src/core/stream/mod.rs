//! One subscriber's stream, from its first byte to its last.
//!
//! [`Stream`] is told what happened (a head was read, a segment was read, time passed) and says
//! what to do next ([`Step`]); the caller only obeys. It pulls: nothing is read before the client
//! has taken what came before, so a slow client costs nothing but its place.
//!
//! ```text
//! opening ──> positioning ──> following ──> ended
//!    │             │             │ replay and live are the same state: the stream knows the last
//!    │             │             │ event it delivered, and whatever follows that is next,
//!    │             │             │ wherever it is stored
//!    │             └ until a head has said where to start
//!    └ the first bytes, before anything was read
//! ```

mod pace;
mod replay;
mod signal;
mod step;

pub use step::{Settings, Step};

use std::rc::Rc;

use bytes::Bytes;

use self::pace::{Pace, Trouble};
use self::replay::Replay;
use crate::core::channel::Channel;
use crate::core::log::{
    FormatError, GapReason, Head, Location, Now, SegmentRef, Start, segment, segment_key,
};
use crate::core::sse::{EventId, Frames, reconnection_millis};
use crate::core::time::Mono;

/// A replayed chunk ends with the event that takes it to this many bytes: 64 KiB.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// A segment that the directory lists but the store does not have is waited for this long, in
/// case the store's answer was stale; then it is skipped with a gap. Also how long a cursor ahead
/// of the log is given the benefit of the doubt.
const STALE_MILLIS: u64 = 1_000;

/// The life of one stream over one channel.
#[derive(Debug)]
pub struct Stream {
    channel: Channel,
    settings: Settings,
    start: Start,
    /// Whether to go on after what is in the log now.
    live: bool,
    random: fastrand::Rng,
    opened: Mono,
    ends: Mono,
    last_sent: Mono,
    phase: Phase,
    head: Option<Rc<Head>>,
    /// When `head` was read; `None` before the first time.
    head_read: Option<Mono>,
    /// While `head_read` is `None`, only a head read later than this will do.
    stale_before: Mono,
    /// Since when a read is under way.
    reading: Option<Mono>,
    replay: Replay,
    /// Whether any event was.
    delivered: bool,
    pace: Pace,
    trouble: Trouble,
    missing: Missing,
    /// Since when the store has been answering with an older head than the one known.
    outdated: Option<Mono>,
    error: Option<FormatError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Opening,
    Positioning,
    /// The last event delivered.
    Following(EventId),
    Ended,
}

/// Whether a record that the head promises cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    No,
    Since(Mono),
    /// It was missing again after so long that it will not come back.
    ForGood,
}

impl Stream {
    /// A stream that opens now. `random` is drawn anew for each stream.
    #[must_use]
    pub fn new(
        channel: Channel,
        settings: Settings,
        start: Start,
        live: bool,
        random: u64,
        now: Mono,
    ) -> Self {
        let mut random = fastrand::Rng::with_seed(random);
        let age = settings.max_age_millis - random.u64(0..=settings.max_age_millis / 5);
        Self {
            channel,
            settings,
            start,
            live,
            opened: now,
            ends: now.after(age),
            last_sent: now,
            phase: Phase::Opening,
            head: None,
            head_read: None,
            stale_before: now,
            reading: None,
            replay: Replay::default(),
            delivered: false,
            pace: Pace::new(settings.poll_millis, now),
            trouble: Trouble::new(random.u64(..)),
            missing: Missing::No,
            outdated: None,
            error: None,
            random,
        }
    }

    /// Whether a stream that began at `start` would have nothing to say: everything was delivered,
    /// and nothing will follow. It is answered 204, which stops an `EventSource`.
    #[must_use]
    pub fn is_finished(start: &Start, live: bool, head: Option<&Head>, now: Now) -> bool {
        let resumes = start.resumes();
        match head {
            None => !live && !resumes,
            Some(head) => {
                let position = start.position(head, now.wall);
                let delivered = position.gap.is_none() && position.next == head.next();
                delivered && (!live || (head.closed && resumes))
            }
        }
    }

    /// Says what to do next.
    pub fn next(&mut self, now: Now) -> Step {
        if self.phase == Phase::Opening {
            self.phase = Phase::Positioning;
            return self.open(now);
        }
        if self.phase == Phase::Ended {
            return Step::End;
        }
        if now.mono >= self.ends {
            return self.end(
                now,
                None,
                "this stream has reached its age; reconnect to resume",
            );
        }
        if self.patience_ends().is_some_and(|end| now.mono >= end) {
            let retry = reconnection_millis(self.settings.retry_millis, 3, self.random.u64(..));
            return self.end(
                now,
                Some(retry),
                "the store does not answer; reconnect to resume",
            );
        }
        if let Some(chunk) = self.chunk(now) {
            return chunk;
        }
        let step = match self.phase {
            _ if self.reading.is_some() => None,
            Phase::Following(last) => self.follow(last, now),
            _ => self.position(now),
        };
        step.unwrap_or_else(|| self.idle(now))
    }

    /// Takes the head that was read at `at`, `None` if there is none, or what the store said.
    pub fn head_read(&mut self, at: Mono, result: Result<Option<Rc<Head>>, String>, now: Mono) {
        self.reading = None;
        match result {
            Ok(head) => {
                self.trouble.over();
                if !self.is_outdated(head.as_deref(), now) {
                    self.head = head;
                }
                self.head_read = Some(at);
                self.pace.polled(now);
            }
            Err(_) => self.store_failed(now),
        }
    }

    fn store_failed(&mut self, now: Mono) {
        // What is missing while the store fails says nothing.
        self.missing = Missing::No;
        self.pace.poll_at(self.trouble.again(now));
    }

    /// Whether the store answers with less than it did before. It may, for a while, if it has
    /// replicas; if it goes on, the log was lost.
    fn is_outdated(&mut self, head: Option<&Head>, now: Mono) -> bool {
        let commits = |head: Option<&Head>| head.map_or(0, |head| head.commits);
        if commits(head) >= commits(self.head.as_deref()) {
            self.outdated = None;
        } else {
            self.outdated.get_or_insert(now);
        }
        self.outdated
            .is_some_and(|since| now.since(since) < STALE_MILLIS)
    }

    /// Takes what was read for [`Step::ReadSegments`], in its order.
    pub fn segments_read(
        &mut self,
        asked: &[SegmentRef],
        results: Vec<Result<Option<Bytes>, String>>,
        now: Mono,
    ) {
        self.reading = None;
        for (name, result) in asked.iter().zip(results) {
            let key = segment_key(&self.channel, *name);
            match result.map(|bytes| bytes.map(|bytes| segment::decode(&key, *name, &bytes))) {
                Ok(Some(Ok(run))) => {
                    self.replay.push(run);
                    self.trouble.over();
                    self.missing = Missing::No;
                }
                Ok(Some(Err(error @ FormatError::Newer { .. }))) => {
                    self.error = Some(error);
                    return self.store_failed(now);
                }
                Ok(Some(Err(error))) => {
                    self.error = Some(error);
                    return self.record_missing(now);
                }
                Ok(None) => return self.record_missing(now),
                Err(_) => return self.store_failed(now),
            }
        }
    }

    /// What is wrong with the stored log, if anything was found since this was last asked. The
    /// stream deals with it; this is for the operator.
    pub fn take_error(&mut self) -> Option<FormatError> {
        self.error.take()
    }

    /// A record that the head promises cannot be had: retention may have dropped it since, or the
    /// store's answer was stale. A newer head may know better.
    fn record_missing(&mut self, now: Mono) {
        self.missing = match self.missing {
            Missing::No => Missing::Since(now),
            Missing::Since(since) if now.since(since) >= STALE_MILLIS => Missing::ForGood,
            known => known,
        };
        self.pace.poll_at(now.after(self.settings.poll_millis.0));
        self.head_read = None;
        self.stale_before = now;
    }

    /// When the store has failed, or not answered, for too long.
    fn patience_ends(&self) -> Option<Mono> {
        let hanging = self
            .reading
            .map(|since| since.after(self.settings.patience_millis));
        let failing = self.trouble.ends(self.settings.patience_millis);
        [hanging, failing].into_iter().flatten().min()
    }

    /// The next chunk of what has been read.
    fn chunk(&mut self, now: Now) -> Option<Step> {
        let Phase::Following(last) = self.phase else {
            return None;
        };
        let mut frames = Frames::with_capacity(self.replay.chunk_capacity()?);
        match self.replay.encode(last, &mut frames) {
            Ok(last) => self.phase = Phase::Following(last),
            Err(error) => {
                let key = format!("{} after {last}", self.channel);
                self.error = Some(FormatError::Corrupt {
                    key,
                    detail: error.to_string(),
                });
                self.record_missing(now.mono);
            }
        }
        if frames.is_empty() {
            return None;
        }
        self.delivered = true;
        self.pace.delivered(now.mono);
        Some(self.emit(frames, now))
    }

    fn position(&mut self, now: Now) -> Option<Step> {
        if self.head_read.is_none() {
            return self.poll(now);
        }
        let Some(head) = self.head.clone() else {
            if matches!(self.start, Start::Live(_) | Start::Last(_)) {
                // The log will begin after this stream did.
                self.start = Start::Earliest;
            }
            return if self.live {
                self.poll(now)
            } else {
                self.end_without_log(now)
            };
        };
        let position = self.start.position(&head, now.wall);
        let ahead = matches!(&position.gap, Some(gap) if gap.reason == GapReason::Ahead);
        let seen = self.head_read.map_or(0, |at| at.since(self.opened));
        if ahead && seen < STALE_MILLIS {
            return self.poll(now);
        }
        let last = head.before(position.next);
        if let Start::Live(since) = self.start {
            self.replay.pass_over(since, head.next());
        }
        self.phase = Phase::Following(last);
        match position.gap {
            Some(gap) => Some(self.gap(&gap, Some(last), now)),
            None => self.follow(last, now),
        }
    }

    /// Goes on after `last`: with what is in the head, from segments, or by looking again.
    fn follow(&mut self, last: EventId, now: Now) -> Option<Step> {
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
                Some(self.closed(last, now))
            }
            Location::Tail if !self.live => {
                self.phase = Phase::Ended;
                Some(Step::End)
            }
            Location::Tail => self.poll(now),
            Location::Evicted => {
                self.jump(GapReason::Evicted, last, head.before(head.first()), now)
            }
            Location::Inline(_) if self.missing == Missing::ForGood => {
                self.jump(GapReason::Evicted, last, head.before(head.next()), now)
            }
            Location::Inline(run) => {
                self.replay.push(run);
                self.chunk(now).or_else(|| self.poll(now))
            }
            Location::Segments(segments) => match segments.first() {
                Some(first) if self.missing == Missing::ForGood => {
                    self.jump(GapReason::Evicted, last, head.before(first.next()), now)
                }
                _ if self.trouble.is_waiting(now.mono) => None,
                _ => {
                    self.reading = Some(now.mono);
                    Some(Step::ReadSegments(
                        segments
                            .iter()
                            .map(|segment| head.segment(segment.first))
                            .collect(),
                    ))
                }
            },
        }
    }

    fn poll(&mut self, now: Now) -> Option<Step> {
        if !self.pace.is_due(now.mono) {
            return None;
        }
        self.reading = Some(now.mono);
        Some(Step::ReadHead(match self.head_read {
            None => self.stale_before,
            Some(at) => at.max(self.pace.before_due()),
        }))
    }

    /// Nothing to send: a heartbeat if it is time, else a wait.
    fn idle(&mut self, now: Now) -> Step {
        let heartbeat = self.last_sent.after(self.settings.heartbeat_millis);
        if now.mono >= heartbeat {
            let mut frames = Frames::default();
            frames.comment("");
            return self.emit(frames, now);
        }
        let mut until = heartbeat.min(self.ends);
        if let Some(end) = self.patience_ends() {
            until = until.min(end);
        }
        if self.reading.is_none() {
            until = until.min(self.trouble.not_before(self.pace.due()));
        }
        Step::Wait(until)
    }
}

#[cfg(test)]
mod tests;
