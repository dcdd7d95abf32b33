//! What is told of an event stream: its counts, and its lines in the log.

use crate::core::metrics::{Counter, EndReason, Histogram, Label as _};
use crate::core::problem::ProblemKind;
use crate::core::sse::Cursor;
use crate::core::stream::{Page, StreamStats, Subscription};
use crate::core::time::Timestamp;
use crate::core::trace::Trace;
use crate::platform::log::{self, Level, Line};
use crate::platform::metrics::{self, OpenStream};
use crate::platform::{Stall, clock};

const MICROS_PER_MILLI: u64 = 1_000;

/// An open stream. It ends when this is dropped: by itself if it was told so, else because the client
/// has gone or takes nothing any more.
pub(super) struct StreamSpan {
    _open: OpenStream,
    channels: String,
    trace: Trace,
    /// In microseconds of the monotonic clock.
    began: u64,
    stall: Stall,
    total: StreamStats,
    bytes: u64,
    ended: Option<EndReason>,
}

impl StreamSpan {
    /// Tells that a stream opens; `stall` will know whether its client takes nothing any more.
    pub(super) fn begin(
        channels: String,
        given: Option<&Cursor>,
        trace: Trace,
        stall: Stall,
    ) -> Self {
        let life = Self {
            _open: OpenStream::begin(),
            channels,
            trace,
            began: clock::micros(),
            stall,
            total: StreamStats::default(),
            bytes: 0,
            ended: None,
        };
        let last = given.map(ToString::to_string);
        life.write(Level::Info, "stream_opened", |line| line.last = last);
        life
    }

    /// Tells what the stream has done, and how many bytes it gives out for that.
    pub(super) fn tell(&mut self, tally: &StreamStats, bytes: usize) {
        let bytes = bytes as u64;
        metrics::count(Counter::DeliveredEvents, tally.events);
        metrics::count(Counter::ReplayedEvents, tally.replayed);
        metrics::count(Counter::DeliveredBytes, bytes);
        metrics::count(Counter::Heartbeats, tally.heartbeats);
        if let Some(oldest) = tally.oldest {
            lagged(oldest);
        }
        for gap in &tally.gaps {
            metrics::count(Counter::Gaps(*gap), 1);
            self.write(Level::Warn, "stream_gap", |line| {
                line.reason = Some(gap.value());
            });
        }
        let total = &mut self.total;
        total.events = total.events.saturating_add(tally.events);
        total.replayed = total.replayed.saturating_add(tally.replayed);
        total.heartbeats = total.heartbeats.saturating_add(tally.heartbeats);
        self.bytes = self.bytes.saturating_add(bytes);
        if tally.caught_up {
            let replayed = Some(self.total.replayed);
            self.write(Level::Info, "stream_live", |line| {
                line.replayed = replayed;
                line.duration_ms = Some(self.duration() / MICROS_PER_MILLI);
            });
        }
    }

    /// The stream ends by itself.
    pub(super) const fn end(&mut self, reason: Option<EndReason>) {
        self.ended = reason;
    }

    /// In microseconds.
    fn duration(&self) -> u64 {
        clock::micros().saturating_sub(self.began)
    }

    fn write(&self, level: Level, event: &'static str, tell: impl FnOnce(&mut Line<'_>)) {
        let mut line = Line {
            event,
            channel: Some(&self.channels),
            stream: Some(self.trace.span()),
            trace_id: Some(self.trace.id()),
            ..Line::default()
        };
        tell(&mut line);
        log::write(level, &line);
    }
}

impl Drop for StreamSpan {
    fn drop(&mut self) {
        let reason = self.ended.unwrap_or(match self.stall.has_happened() {
            true => EndReason::Stalled,
            false => EndReason::ClientGone,
        });
        let duration = self.duration();
        metrics::count(Counter::StreamsEnded(reason), 1);
        metrics::observe(Histogram::StreamDuration, duration);
        let level = match reason {
            EndReason::Stalled | EndReason::Store => Level::Warn,
            _ => Level::Info,
        };
        self.write(level, "stream_ended", |line| {
            line.reason = Some(reason.value());
            line.events = Some(self.total.events);
            line.replayed = Some(self.total.replayed);
            line.bytes = Some(self.bytes);
            line.heartbeats = Some(self.total.heartbeats);
            line.duration_ms = Some(duration / MICROS_PER_MILLI);
        });
    }
}

/// Tells that a subscriber is sent away to come back later.
pub(super) fn refused(subscription: &Subscription, trace: Trace, reason: ProblemKind) {
    metrics::count(Counter::Rejected(reason), 1);
    let line = Line {
        event: "stream_refused",
        channel: Some(&names(subscription)),
        trace_id: Some(trace.id()),
        reason: Some(reason.value()),
        ..Line::default()
    };
    log::write(Level::Warn, &line);
}

/// Counts what a long-polling subscriber is given.
pub(super) fn polled(page: &Page, bytes: usize) {
    metrics::count(Counter::DeliveredEvents, page.events.len() as u64);
    metrics::count(Counter::DeliveredBytes, bytes as u64);
    for gap in &page.gaps {
        metrics::count(Counter::Gaps(gap.gap.reason), 1);
    }
}

/// The channels of a subscription, with commas between them.
pub(super) fn names(subscription: &Subscription) -> String {
    let channels = subscription.channels.iter();
    let names: Vec<_> = channels.map(|(channel, _)| channel.as_str()).collect();
    names.join(",")
}

/// Counts how long ago an event was appended that is delivered now.
fn lagged(appended: Timestamp) {
    let lag = clock::now().wall.0.saturating_sub(appended.0);
    metrics::observe(Histogram::DeliveryLag, lag.saturating_mul(MICROS_PER_MILLI));
}
