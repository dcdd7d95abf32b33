//! The blocks of a stream beside events: its first and last ones, gaps and positions.

use std::time::Duration;

use serde::Serialize;

use super::action::Action;
use super::event_stream::{EventStream, IdState, Phase};
use crate::core::metrics::{EndReason, Label as _};
use crate::core::sse::{Cursor, EventType, Frames, reconnection_time};
use crate::core::time::{ClockReading, Instant, Timestamp, millis};

/// The factor on the reconnection time while the store fails: it doubles this many times.
const STORE_FAILURE_PRESSURE: u32 = 3;

/// The data of `runnel.open`.
#[derive(Serialize)]
struct Open<'a> {
    /// The channels, in the order of cursors.
    channels: Vec<&'a str>,
    /// The position at which the stream begins; `None` if it is not known yet.
    cursor: Option<String>,
    /// The time of the server, in milliseconds since 1970.
    time: Timestamp,
    heartbeat_ms: u64,
    retry_ms: u64,
}

/// The data of `runnel.end` and `runnel.expired`.
#[derive(Serialize)]
struct Reason {
    reason: &'static str,
}

/// The data of `runnel.position`.
#[derive(Serialize)]
struct Moved {
    cursor: String,
}

/// The data of `runnel.reconnect`.
#[derive(Serialize)]
struct Reconnect<'a> {
    reason: &'a str,
    retry_ms: u64,
}

/// Encodes `runnel.reconnect`: the stream ends now for this reason, but its channels do not, and the
/// client is to come back after `retry`.
pub fn encode_reconnect(
    frames: &mut Frames,
    reason: &str,
    retry: Duration,
    cursor: Option<&Cursor>,
) {
    let data = Reconnect {
        reason,
        retry_ms: millis(retry),
    };
    control_event(frames, "runnel.reconnect", Some(retry), cursor, &data);
}

impl EventStream {
    /// Emits the first bytes, a comment. They do not wait for the store. If the client gave its position,
    /// they announce the stream as well.
    pub(super) fn open(&mut self, now: ClockReading) -> Action {
        let mut frames = Frames::default();
        frames.comment("runnel");
        if self.last_event_id.is_some() {
            return self.announce(frames, now);
        }
        self.phase = Phase::Opening;
        self.emit(frames, now.monotonic)
    }

    /// Emits `runnel.open` after `frames`, with the position if it is known. It repeats the last event ID
    /// that the client gave, because some clients forget it with the first block that has none.
    pub(super) fn announce(&mut self, mut frames: Frames, now: ClockReading) -> Action {
        self.phase = Phase::Open;
        let cursor = self.position();
        let data = Open {
            channels: self.reader.channels().collect(),
            cursor: cursor.map(ToString::to_string),
            time: now.wall,
            heartbeat_ms: millis(self.config.heartbeat),
            retry_ms: millis(self.retry),
        };
        control_event(&mut frames, "runnel.open", Some(self.retry), cursor, &data);
        if cursor.is_some() {
            self.emit_with_id(frames, now.monotonic)
        } else {
            self.emit(frames, now.monotonic)
        }
    }

    /// Returns the position that the client can be told: none if that would hide a gap.
    fn position(&self) -> Option<&Cursor> {
        match self.reader.cursor() {
            Some(_) if self.reader.cursor_hides_gap() => None,
            Some(cursor) => Some(cursor),
            None => self.last_event_id.as_ref(),
        }
    }

    /// Emits the last bytes of a stream that ends before its channels do.
    pub(super) fn end(&mut self, reason: EndReason, now: Instant) -> Action {
        self.phase = Phase::Ended(reason);
        let retry = match reason {
            EndReason::Store => {
                let random = self.random.u64(..);
                reconnection_time(self.config.retry, STORE_FAILURE_PRESSURE, random)
            }
            _ => self.retry,
        };
        let mut frames = Frames::default();
        encode_reconnect(&mut frames, reason.value(), retry, self.position());
        self.emit(frames, now)
    }

    /// Ends the stream of a client whose token has expired. The event carries the cursor, so that a page
    /// can resume with a new token.
    pub(super) fn expire(&mut self, now: Instant) -> Action {
        self.phase = Phase::Ended(EndReason::Expired);
        let mut frames = Frames::default();
        let data = Reason { reason: "token" };
        control_event(&mut frames, "runnel.expired", None, self.position(), &data);
        self.emit(frames, now)
    }

    /// Ends a stream whose channels have ended. If they are `closed`, an event says so; it carries the
    /// cursor, so that a client that reconnects gives its position and gets the status 204.
    pub(super) fn finish(&mut self, closed: bool, now: Instant) -> Action {
        if closed {
            self.phase = Phase::Ended(EndReason::Closed);
            let mut frames = Frames::default();
            let data = Reason { reason: "closed" };
            control_event(&mut frames, "runnel.end", None, self.position(), &data);
            return self.emit(frames, now);
        }
        self.phase = Phase::Ended(EndReason::Finished);
        if self.position_due(now).is_none() {
            return Action::End;
        }
        self.send_position(now)
    }

    /// Emits every pending gap. Each carries an id, except when the client has no id yet: then only the
    /// last does, so a reconnect replays either all gaps or none.
    pub(super) fn report_gaps(&mut self, now: Instant) -> Action {
        let has_id = self.last_event_id.is_some() || self.id_state != IdState::Unknown;
        let mut frames = Frames::default();
        let mut gaps = self.reader.take_gaps().into_iter().peekable();
        while let Some((gap, cursor)) = gaps.next() {
            self.stats.gaps.push(gap.gap.reason);
            let cursor = cursor.filter(|_| has_id || gaps.peek().is_none());
            control_event(&mut frames, "runnel.gap", None, cursor.as_ref(), &gap);
        }
        self.emit_with_id(frames, now)
    }

    /// Emits `runnel.position`: the cursor, for a client that has it from no event.
    pub(super) fn send_position(&mut self, now: Instant) -> Action {
        let mut frames = Frames::default();
        if let Some(cursor) = self.reader.cursor() {
            let data = Moved {
                cursor: cursor.to_string(),
            };
            control_event(&mut frames, "runnel.position", None, Some(cursor), &data);
        }
        self.emit_with_id(frames, now)
    }

    /// Emits blocks that carry the position after them.
    pub(super) fn emit_with_id(&mut self, frames: Frames, now: Instant) -> Action {
        self.id_state = IdState::Current(now);
        self.reader.cursor_sent();
        self.emit(frames, now)
    }

    pub(super) fn emit(&mut self, frames: Frames, now: Instant) -> Action {
        debug_assert!(!frames.is_empty(), "an empty chunk");
        self.last_sent = now;
        Action::Emit(frames.into_bytes())
    }
}

/// Encodes a control event. JSON of these types has no line ends, so the data is one line.
fn control_event(
    frames: &mut Frames,
    name: &str,
    retry: Option<Duration>,
    cursor: Option<&Cursor>,
    data: &impl Serialize,
) {
    let data = serde_json::to_string(data).unwrap_or_default();
    if let Ok(name) = EventType::parse(name) {
        frames.control_event(name, retry, cursor, &data);
    }
}
