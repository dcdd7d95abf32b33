//! The metrics and log lines of one event stream.

use std::fmt::Display;
use std::time::Duration;

use super::Instance;
use crate::core::channel::Channel;
use crate::core::environment::Environment;
use crate::core::logging::{Level, Line, Logger};
use crate::core::metrics::{Counter, EndReason, Histogram, Label as _, Metrics, OpenStream};
use crate::core::sse::Cursor;
use crate::core::stream::{StreamObserver, StreamStats};
use crate::core::time::millis;
use crate::core::trace::Trace;
use crate::platform::{SpinEnvironment, Stall};

/// An open stream, until it is dropped: at its own end, or because the client has disconnected or stalled.
pub(super) struct StreamSpan {
    _open: OpenStream,
    env: SpinEnvironment,
    logger: Logger<SpinEnvironment>,
    metrics: Metrics,
    channels: String,
    trace: Trace,
    opened: Duration,
    stall: Stall,
    total: StreamStats,
    bytes: u64,
    end_reason: Option<EndReason>,
}

impl StreamSpan {
    /// Counts and logs the opening of a stream. `stall` is the flag of its response body.
    pub(super) fn begin(
        instance: &Instance,
        channels: &[Channel],
        cursor: Option<&Cursor>,
        trace: Trace,
        stall: Stall,
    ) -> Self {
        let span = Self {
            _open: instance.metrics_writer.open_stream(),
            env: instance.env.clone(),
            logger: instance.logger.clone(),
            metrics: instance.metrics.clone(),
            channels: names(channels),
            trace,
            opened: instance.env.uptime(),
            stall,
            total: StreamStats::default(),
            bytes: 0,
            end_reason: None,
        };
        let last = cursor.map(ToString::to_string);
        span.log(Level::Info, "stream_opened", |line| line.last = last);
        span
    }

    /// Records the reason if the stream has ended by its own decision.
    pub(super) const fn ended(&mut self, reason: Option<EndReason>) {
        self.end_reason = reason;
    }

    fn duration(&self) -> Duration {
        self.env.uptime().saturating_sub(self.opened)
    }

    fn log(&self, level: Level, event: &'static str, complete: impl FnOnce(&mut Line<'_>)) {
        let mut line = Line {
            event,
            channel: Some(&self.channels),
            stream: Some(self.trace.span()),
            trace_id: Some(self.trace.id()),
            ..Line::default()
        };
        complete(&mut line);
        self.logger.write(level, &line);
    }

    fn add_to_total(&mut self, stats: &StreamStats, bytes: u64) {
        let total = &mut self.total;
        total.events = total.events.saturating_add(stats.events);
        total.replayed = total.replayed.saturating_add(stats.replayed);
        total.heartbeats = total.heartbeats.saturating_add(stats.heartbeats);
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl StreamObserver for StreamSpan {
    fn report(&mut self, stats: &StreamStats, bytes: usize) {
        let bytes = bytes as u64;
        let metrics = &self.metrics;
        metrics.add(Counter::DeliveredEvents, stats.events);
        metrics.add(Counter::ReplayedEvents, stats.replayed);
        metrics.add(Counter::DeliveredBytes, bytes);
        metrics.add(Counter::Heartbeats, stats.heartbeats);
        if let Some(appended) = stats.oldest_live {
            let now = self.env.clock().wall;
            let lag = now.saturating_duration_since(appended);
            metrics.observe_duration(Histogram::DeliveryLag, lag);
        }
        for reason in &stats.gaps {
            metrics.add(Counter::Gaps(*reason), 1);
            self.log(Level::Warn, "stream_gap", |line| {
                line.reason = Some(reason.value());
            });
        }
        self.add_to_total(stats, bytes);
        if stats.caught_up {
            self.log(Level::Info, "stream_live", |line| {
                line.replayed = Some(self.total.replayed);
                line.duration_ms = Some(millis(self.duration()));
            });
        }
    }

    fn read_failed(&mut self, channel: &Channel, error: &dyn Display) {
        self.logger.error("read_failed", Some(channel), error);
    }
}

impl Drop for StreamSpan {
    fn drop(&mut self) {
        let reason = self.end_reason.unwrap_or(if self.stall.has_happened() {
            EndReason::Stalled
        } else {
            EndReason::ClientGone
        });
        let duration = self.duration();
        self.metrics.add(Counter::StreamsEnded(reason), 1);
        self.metrics
            .observe_duration(Histogram::StreamDuration, duration);
        let level = match reason {
            EndReason::Stalled | EndReason::Store => Level::Warn,
            _ => Level::Info,
        };
        self.log(level, "stream_ended", |line| {
            line.reason = Some(reason.value());
            line.events = Some(self.total.events);
            line.replayed = Some(self.total.replayed);
            line.bytes = Some(self.bytes);
            line.heartbeats = Some(self.total.heartbeats);
            line.duration_ms = Some(millis(duration));
        });
    }
}

/// Returns the names of channels, with commas between them.
pub(super) fn names(channels: &[Channel]) -> String {
    let names: Vec<_> = channels.iter().map(Channel::as_str).collect();
    names.join(",")
}
