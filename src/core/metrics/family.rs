//! The families of series: their names, units, labels and bounds.

use super::label::{Call, CallOutcome, EndReason, Label, PublishOutcome};
use crate::core::log::GapReason;
use crate::core::problem::ProblemKind;

/// Series of one name, which differ by their labels.
#[derive(Debug)]
pub struct Family {
    /// The name, without the suffixes of unit and type.
    pub name: &'static str,
    /// The help text: a sentence without its full stop.
    pub help: &'static str,
    /// The unit of the exported values.
    pub unit: Option<Unit>,
    /// The names of the labels, each with all its values.
    pub labels: &'static [(&'static str, &'static [&'static str])],
    /// The kind of the series.
    pub kind: Kind,
}

/// The unit of exported values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds; counted in microseconds.
    Seconds,
    /// Bytes.
    Bytes,
}

/// The kind of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A counter.
    Counter,
    /// A histogram, with the upper bounds of all buckets but the last, which has none, in the unit in
    /// which values are counted.
    Histogram(&'static [u64]),
}

/// Durations of streams, from one second to an hour.
const STREAM_BOUNDS: &[u64] = &[
    1_000_000,
    5_000_000,
    15_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
    600_000_000,
    1_800_000_000,
    3_600_000_000,
];

/// Waits of clients, from one millisecond to five seconds.
const WAIT_BOUNDS: &[u64] = &[
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000,
];

/// Durations of store calls, from a hundred microseconds to a second.
const CALL_BOUNDS: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
];

/// Numbers of events in a commit.
const EVENT_BOUNDS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 1_024, 4_096];

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family {
        name,
        help,
        unit: None,
        labels: &[],
        kind: Kind::Counter,
    }
}

const fn histogram(name: &'static str, help: &'static str, bounds: &'static [u64]) -> Family {
    Family {
        name,
        help,
        unit: Some(Unit::Seconds),
        labels: &[],
        kind: Kind::Histogram(bounds),
    }
}

/// All families. New ones are added at the end and none is removed, because indices are stored.
pub const FAMILIES: &[Family] = &[
    counter("runnel_streams_opened", "Event streams that were opened"),
    Family {
        labels: &[("reason", EndReason::VALUES)],
        ..counter(
            "runnel_streams_ended",
            "Event streams that have ended, by reason",
        )
    },
    histogram(
        "runnel_stream_duration",
        "Durations of event streams",
        STREAM_BOUNDS,
    ),
    counter(
        "runnel_replayed_events",
        "Events delivered to subscribers that had not caught up yet",
    ),
    counter(
        "runnel_delivered_events",
        "Events delivered to subscribers, including replayed ones",
    ),
    Family {
        unit: Some(Unit::Bytes),
        ..counter(
            "runnel_delivered",
            "Bytes of event streams that were handed to the host",
        )
    },
    counter("runnel_heartbeats", "Heartbeats that were sent"),
    Family {
        labels: &[("reason", GapReason::VALUES)],
        ..counter(
            "runnel_gaps",
            "Gaps that were reported to subscribers, by reason",
        )
    },
    histogram(
        "runnel_delivery_lag",
        "Time from the commit of the oldest event in a live delivery to that delivery",
        WAIT_BOUNDS,
    ),
    Family {
        labels: &[("outcome", PublishOutcome::VALUES)],
        ..counter("runnel_publish", "Requests to publish, by outcome")
    },
    histogram(
        "runnel_publish",
        "Durations of requests to publish, from their head to the response",
        WAIT_BOUNDS,
    ),
    counter("runnel_published_events", "Events that were appended"),
    Family {
        unit: Some(Unit::Bytes),
        ..counter("runnel_published", "Bytes of data that were appended")
    },
    Family {
        unit: None,
        ..histogram(
            "runnel_commit_events",
            "Numbers of events that were committed together",
            EVENT_BOUNDS,
        )
    },
    counter(
        "runnel_swap_conflicts",
        "Swaps of a channel's head that were lost to another instance",
    ),
    Family {
        labels: &[("op", Call::VALUES), ("outcome", CallOutcome::VALUES)],
        ..counter(
            "runnel_store_calls",
            "Calls of the store, by operation and outcome",
        )
    },
    Family {
        labels: &[("op", Call::VALUES)],
        ..histogram(
            "runnel_store",
            "Durations of calls of the store",
            CALL_BOUNDS,
        )
    },
    Family {
        labels: &[("reason", ProblemKind::VALUES)],
        ..counter(
            "runnel_rejected",
            "Requests that were not served, by reason",
        )
    },
    counter(
        "runnel_log_lines_dropped",
        "Lines of the log that the host did not take",
    ),
];

impl Family {
    /// Returns the number of series.
    #[must_use]
    pub fn series(&self) -> u16 {
        let values = self.labels.iter().map(|(_, values)| values.len());
        u16::try_from(values.product::<usize>()).unwrap_or(u16::MAX)
    }
}
