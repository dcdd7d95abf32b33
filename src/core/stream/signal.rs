//! What a stream says beside events: its first and last bytes, gaps, positions, and the end.

use std::time::Duration;

use serde::Serialize;

use super::{EventStream, IdState, Phase, Step};
use crate::core::log::{ClockReading, Gap};
use crate::core::metrics::EndReason;
use crate::core::sse::{Cursor, EventType, Frames, reconnection_time};

/// The data of a `runnel.gap` signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GapSignal {
    /// Where events are missing.
    pub channel: String,
    /// Which, and why.
    #[serde(flatten)]
    pub gap: Gap,
}

impl EventStream {
    /// The first bytes. They repeat the last event ID that the client gave: some clients forget it
    /// with the first block that has none.
    pub(super) fn open(&mut self, now: ClockReading) -> Step {
        let mut frames = Frames::default();
        let base = Duration::from_millis(self.settings.retry_millis);
        let retry = reconnection_time(base, 0, self.random.u64(..));
        frames.retry(retry, self.given.as_ref());
        frames.comment("runnel");
        match self.given {
            Some(_) => self.emit_marked(frames, now),
            None => self.emit(frames, now),
        }
    }

    pub(super) fn end(
        &mut self,
        reason: EndReason,
        now: ClockReading,
        retry: Option<Duration>,
        words: &str,
    ) -> Step {
        self.phase = Phase::Ended(reason);
        let mut frames = Frames::default();
        let moved = self.mark_due(now.monotonic).and(self.feeds.cursor());
        match (retry, moved) {
            (Some(time), _) => frames.retry(time, moved),
            (None, Some(cursor)) => frames.id_only(cursor),
            (None, None) => {}
        }
        frames.comment(words);
        self.emit(frames, now)
    }

    /// The client's token has expired: a signal says so, and where the client stands, so that a page can
    /// resume with a new token.
    pub(super) fn expire(&mut self, now: ClockReading) -> Step {
        self.phase = Phase::Ended(EndReason::Expired);
        let mut frames = Frames::default();
        let data = r#"{"reason":"token"}"#;
        signal(&mut frames, "runnel.expired", self.feeds.cursor(), data);
        self.emit_marked(frames, now)
    }

    /// Everything was delivered, and nothing will follow. If the channels are `closed`, a signal
    /// says so; it carries the cursor, so that a client that reconnects says where it is and is told
    /// to stop.
    pub(super) fn finish(&mut self, closed: bool, now: ClockReading) -> Step {
        self.phase = Phase::Ended(match closed {
            true => EndReason::Closed,
            false => EndReason::Finished,
        });
        if closed {
            let mut frames = Frames::default();
            let data = r#"{"reason":"closed"}"#;
            signal(&mut frames, "runnel.end", self.feeds.cursor(), data);
            return self.emit_marked(frames, now);
        }
        if self.mark_due(now.monotonic).is_none() {
            return Step::End;
        }
        let frames = self.position(Frames::default());
        self.emit_marked(frames, now)
    }

    /// Tells of all gaps there are. Each moves the client behind it; but if the client does not stand
    /// anywhere that can be named, only the last does, so that it is told of all or of all again.
    pub(super) fn gaps(&mut self, now: ClockReading) -> Step {
        let each = self.given.is_some() || self.marked != IdState::Never;
        let mut frames = Frames::default();
        let mut gaps = self.feeds.take_gaps().into_iter().peekable();
        while let Some((gap, cursor)) = gaps.next() {
            self.tally.gaps.push(gap.gap.reason);
            let data = serde_json::to_string(&gap).unwrap_or_default();
            let cursor = cursor.filter(|_| each || gaps.peek().is_none());
            signal(&mut frames, "runnel.gap", cursor.as_ref(), &data);
        }
        self.emit_marked(frames, now)
    }

    /// `frames` and where the client stands after them.
    pub(super) fn position(&self, mut frames: Frames) -> Frames {
        if let Some(cursor) = self.feeds.cursor() {
            frames.id_only(cursor);
        }
        frames
    }

    /// Sends blocks that say where the client stands after them.
    pub(super) fn emit_marked(&mut self, frames: Frames, now: ClockReading) -> Step {
        self.marked = IdState::At(now.monotonic);
        self.emit(frames, now)
    }

    pub(super) fn emit(&mut self, frames: Frames, now: ClockReading) -> Step {
        self.last_sent = now.monotonic;
        Step::Emit(frames.into_bytes())
    }
}

fn signal(frames: &mut Frames, name: &str, cursor: Option<&Cursor>, data: &str) {
    if let Ok(name) = EventType::parse(name) {
        frames.control_event(name, cursor, data);
    }
}
