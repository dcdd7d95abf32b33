//! The series that are counted, and their indices in [`FAMILIES`].

use super::family::{FAMILIES, Kind};
use super::label::{Call, CallOutcome, EndReason, Label, PublishOutcome};
use crate::core::log::GapReason;
use crate::core::problem::ProblemKind;

/// A counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// Event streams that were opened.
    StreamsOpened,
    /// Event streams that have ended.
    StreamsEnded(EndReason),
    /// Events delivered before the subscriber had caught up.
    ReplayedEvents,
    /// Events delivered.
    DeliveredEvents,
    /// Bytes delivered.
    DeliveredBytes,
    /// Heartbeats sent.
    Heartbeats,
    /// Gaps reported to subscribers.
    Gaps(GapReason),
    /// Requests to publish.
    Publish(PublishOutcome),
    /// Events appended.
    PublishedEvents,
    /// Bytes of data appended.
    PublishedBytes,
    /// Swaps of a head that were lost.
    SwapConflicts,
    /// Calls of the store.
    StoreCalls(Call, CallOutcome),
    /// Requests that were rejected.
    Rejected(ProblemKind),
    /// Lines of the log that the host did not take.
    LogLinesDropped,
}

/// A histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Histogram {
    /// The durations of streams, in microseconds.
    StreamDuration,
    /// The times from commit to delivery, in microseconds.
    DeliveryLag,
    /// The durations of requests to publish, in microseconds.
    Publish,
    /// The numbers of events that were committed together.
    CommitEvents,
    /// The durations of calls of the store, in microseconds.
    Store(Call),
}

/// The index of a family, and of a series or a number in it.
pub(super) type SeriesIndex = (u8, u16);

impl Counter {
    pub(super) fn index(self) -> SeriesIndex {
        match self {
            Self::StreamsOpened => (0, 0),
            Self::StreamsEnded(reason) => (1, reason.index()),
            Self::ReplayedEvents => (3, 0),
            Self::DeliveredEvents => (4, 0),
            Self::DeliveredBytes => (5, 0),
            Self::Heartbeats => (6, 0),
            Self::Gaps(reason) => (7, reason.index()),
            Self::Publish(outcome) => (9, outcome.index()),
            Self::PublishedEvents => (11, 0),
            Self::PublishedBytes => (12, 0),
            Self::SwapConflicts => (14, 0),
            Self::StoreCalls(call, outcome) => {
                let outcomes = u16::try_from(CallOutcome::VALUES.len()).unwrap_or(u16::MAX);
                let first = call.index().saturating_mul(outcomes);
                (15, first.saturating_add(outcome.index()))
            }
            Self::Rejected(reason) => (17, reason.index()),
            Self::LogLinesDropped => (18, 0),
        }
    }
}

impl Histogram {
    pub(super) fn index(self) -> SeriesIndex {
        match self {
            Self::StreamDuration => (2, 0),
            Self::DeliveryLag => (8, 0),
            Self::Publish => (10, 0),
            Self::CommitEvents => (13, 0),
            Self::Store(call) => (16, call.index()),
        }
    }
}

/// Returns the bounds of a family's buckets; none if its series are not histograms.
pub(super) fn bounds(family: u8) -> &'static [u64] {
    match FAMILIES.get(usize::from(family)).map(|family| family.kind) {
        Some(Kind::Histogram(bounds)) => bounds,
        _ => &[],
    }
}

/// Returns the count of numbers in a histogram with these bounds: its sum and its buckets, including the
/// unbounded one.
pub(super) fn numbers(bounds: &[u64]) -> u16 {
    u16::try_from(bounds.len())
        .unwrap_or(u16::MAX)
        .saturating_add(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_series_has_the_index_of_its_family() {
        let counters = [
            (Counter::StreamsOpened, "runnel_streams_opened"),
            (
                Counter::StreamsEnded(EndReason::Stalled),
                "runnel_streams_ended",
            ),
            (Counter::ReplayedEvents, "runnel_replayed_events"),
            (Counter::DeliveredEvents, "runnel_delivered_events"),
            (Counter::DeliveredBytes, "runnel_delivered"),
            (Counter::Heartbeats, "runnel_heartbeats"),
            (Counter::Gaps(GapReason::Ahead), "runnel_gaps"),
            (Counter::Publish(PublishOutcome::Unknown), "runnel_publish"),
            (Counter::PublishedEvents, "runnel_published_events"),
            (Counter::PublishedBytes, "runnel_published"),
            (Counter::SwapConflicts, "runnel_swap_conflicts"),
            (
                Counter::StoreCalls(Call::Swap, CallOutcome::Error),
                "runnel_store_calls",
            ),
            (
                Counter::Rejected(ProblemKind::WrongTokens),
                "runnel_rejected",
            ),
            (Counter::LogLinesDropped, "runnel_log_lines_dropped"),
        ];
        for (counter, name) in counters {
            let (family, series) = counter.index();
            let family = &FAMILIES[usize::from(family)];
            assert_eq!((family.name, family.kind), (name, Kind::Counter));
            assert!(
                series + 1 == family.series(),
                "{name}: the last value of each label"
            );
        }
        let histograms = [
            (Histogram::StreamDuration, "runnel_stream_duration"),
            (Histogram::DeliveryLag, "runnel_delivery_lag"),
            (Histogram::Publish, "runnel_publish"),
            (Histogram::CommitEvents, "runnel_commit_events"),
            (Histogram::Store(Call::Swap), "runnel_store"),
        ];
        for (histogram, name) in histograms {
            let (family, series) = histogram.index();
            assert!(!bounds(family).is_empty(), "{name}");
            let family = &FAMILIES[usize::from(family)];
            assert_eq!((family.name, series + 1), (name, family.series()));
        }
        assert_eq!(counters.len() + histograms.len(), FAMILIES.len());
    }
}
