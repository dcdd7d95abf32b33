//! What a stream says beside events: its first and last bytes, gaps, and the end.

use super::{Missing, Phase, Step, Stream};
use crate::core::log::{Gap, GapReason, Now, Start};
use crate::core::sse::{Cursor, EventId, EventType, Frames, reconnection_millis};

use super::replay::Replay;

impl Stream {
    pub(super) fn open(&mut self, now: Now) -> Step {
        let mut frames = Frames::default();
        frames.retry(reconnection_millis(
            self.settings.retry_millis,
            0,
            self.random.u64(..),
        ));
        frames.comment("runnel");
        self.emit(frames, now)
    }

    pub(super) fn end(&mut self, now: Now, retry: Option<u64>, reason: &str) -> Step {
        self.phase = Phase::Ended;
        let mut frames = Frames::default();
        if let Some(millis) = retry {
            frames.retry(millis);
        }
        frames.comment(reason);
        self.emit(frames, now)
    }

    pub(super) fn emit(&mut self, frames: Frames, now: Now) -> Step {
        self.last_sent = now.mono;
        Step::Emit(frames.into_bytes())
    }

    pub(super) fn end_without_log(&mut self, now: Now) -> Option<Step> {
        self.phase = Phase::Ended;
        let requested = match &self.start {
            Start::After(id) => id.to_string(),
            Start::Unreadable(text) => text.clone(),
            _ => return Some(Step::End),
        };
        Some(self.gap(&Gap::new(GapReason::Reset, requested, None), None, now))
    }

    /// Leaves `last` for a place that does not follow it, and says so, unless the client asked only
    /// for what is kept and has got nothing yet.
    pub(super) fn jump(
        &mut self,
        reason: GapReason,
        last: EventId,
        to: EventId,
        now: Now,
    ) -> Option<Step> {
        self.phase = Phase::Following(to);
        self.replay = Replay::default();
        self.missing = Missing::No;
        if !self.delivered && matches!(self.start, Start::Earliest | Start::Last(_)) {
            return self.follow(to, now);
        }
        let resumed_from = EventId {
            seq: to.seq.plus(1),
            ..to
        }
        .to_string();
        let gap = Gap {
            reason,
            requested: last.to_string(),
            resumed_from: Some(resumed_from),
        };
        Some(self.gap(&gap, Some(to), now))
    }

    pub(super) fn gap(&mut self, gap: &Gap, at: Option<EventId>, now: Now) -> Step {
        let data = serde_json::to_string(gap).unwrap_or_default();
        self.signal("runnel.gap", at, &data, now)
    }

    /// Everything of a closed channel was delivered. The signal carries the last id, so that a
    /// client that reconnects says where it is and is told to stop.
    pub(super) fn closed(&mut self, last: EventId, now: Now) -> Step {
        self.phase = Phase::Ended;
        self.signal("runnel.end", Some(last), r#"{"reason":"closed"}"#, now)
    }

    pub(super) fn signal(&mut self, name: &str, at: Option<EventId>, data: &str, now: Now) -> Step {
        let mut frames = Frames::default();
        if let Ok(name) = EventType::parse(name) {
            frames.signal(name, at.map(Cursor::from).as_ref(), data);
        }
        self.emit(frames, now)
    }
}
