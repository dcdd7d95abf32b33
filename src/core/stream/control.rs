//! The blocks of a stream beside events: its first and last bytes, gaps, positions, and the end.

use std::time::Duration;

use super::action::Action;
use super::event_stream::{EventStream, IdState, Phase};
use crate::core::metrics::EndReason;
use crate::core::sse::{Cursor, EventType, Frames, reconnection_time};
use crate::core::time::Instant;

impl EventStream {
    /// Emits the first bytes. They repeat the last event ID that the client gave, because some clients
    /// forget it with the first block that has none.
    pub(super) fn open(&mut self, now: Instant) -> Action {
        let mut frames = Frames::default();
        let retry = reconnection_time(self.config.retry, 0, self.random.u64(..));
        frames.retry(retry, self.last_event_id.as_ref());
        frames.comment("runnel");
        if self.last_event_id.is_some() {
            self.emit_with_id(frames, now)
        } else {
            self.emit(frames, now)
        }
    }

    /// Emits the last bytes of a stream that ends before its channels do.
    pub(super) fn end(
        &mut self,
        reason: EndReason,
        now: Instant,
        retry: Option<Duration>,
        comment: &str,
    ) -> Action {
        self.phase = Phase::Ended(reason);
        let mut frames = Frames::default();
        let moved = self.position_due(now).and(self.reader.cursor());
        match (retry, moved) {
            (Some(retry), _) => frames.retry(retry, moved),
            (None, Some(cursor)) => frames.id_only(cursor),
            (None, None) => {}
        }
        frames.comment(comment);
        self.emit(frames, now)
    }

    /// Ends the stream of a client whose token has expired. The event carries the cursor, so that a page
    /// can resume with a new token.
    pub(super) fn expire(&mut self, now: Instant) -> Action {
        self.phase = Phase::Ended(EndReason::Expired);
        let mut frames = Frames::default();
        let data = r#"{"reason":"token"}"#;
        control_event(&mut frames, "runnel.expired", self.reader.cursor(), data);
        self.emit_with_id(frames, now)
    }

    /// Ends a stream whose channels have ended. If they are `closed`, an event says so; it carries the
    /// cursor, so that a client that reconnects gives its position and gets the status 204.
    pub(super) fn finish(&mut self, closed: bool, now: Instant) -> Action {
        if closed {
            self.phase = Phase::Ended(EndReason::Closed);
            let mut frames = Frames::default();
            let data = r#"{"reason":"closed"}"#;
            control_event(&mut frames, "runnel.end", self.reader.cursor(), data);
            return self.emit_with_id(frames, now);
        }
        self.phase = Phase::Ended(EndReason::Finished);
        if self.position_due(now).is_none() {
            return Action::End;
        }
        let frames = self.with_position(Frames::default());
        self.emit_with_id(frames, now)
    }

    /// Emits every pending gap. Each carries an id, except when the client has no id yet: then only the
    /// last does, so a reconnect replays either all gaps or none.
    pub(super) fn report_gaps(&mut self, now: Instant) -> Action {
        let has_id = self.last_event_id.is_some() || self.id_state != IdState::Unknown;
        let mut frames = Frames::default();
        let mut gaps = self.reader.take_gaps().into_iter().peekable();
        while let Some((gap, cursor)) = gaps.next() {
            self.stats.gaps.push(gap.gap.reason);
            let data = serde_json::to_string(&gap).unwrap_or_default();
            let cursor = cursor.filter(|_| has_id || gaps.peek().is_none());
            control_event(&mut frames, "runnel.gap", cursor.as_ref(), &data);
        }
        self.emit_with_id(frames, now)
    }

    /// Appends the position of the client after `frames`.
    pub(super) fn with_position(&self, mut frames: Frames) -> Frames {
        if let Some(cursor) = self.reader.cursor() {
            frames.id_only(cursor);
        }
        frames
    }

    /// Emits blocks that carry the position after them.
    pub(super) fn emit_with_id(&mut self, frames: Frames, now: Instant) -> Action {
        self.id_state = IdState::Current(now);
        self.emit(frames, now)
    }

    pub(super) fn emit(&mut self, frames: Frames, now: Instant) -> Action {
        debug_assert!(!frames.is_empty(), "an empty chunk");
        self.last_sent = now;
        Action::Emit(frames.into_bytes())
    }
}

fn control_event(frames: &mut Frames, name: &str, cursor: Option<&Cursor>, data: &str) {
    if let Ok(name) = EventType::parse(name) {
        frames.control_event(name, cursor, data);
    }
}
