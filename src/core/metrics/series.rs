//! Series by what they count, and the places that they have in [`FAMILIES`].

use super::family::{FAMILIES, Kind};
use super::label::{Call, CallOutcome, EndReason, Label, Publishing};
use crate::core::log::GapReason;
use crate::core::problem::ProblemKind;

/// A series that is a sum.
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
    /// Gaps told of.
    Gaps(GapReason),
    /// Requests to publish.
    Publish(Publishing),
    /// Events appended.
    PublishedEvents,
    /// Bytes of data appended.
    PublishedBytes,
    /// Swaps of a head that were lost.
    SwapConflicts,
    /// Calls of the store.
    StoreCalls(Call, CallOutcome),
    /// Requests that were not served.
    Rejected(ProblemKind),
}

/// A series that is a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Histogram {
    /// How long streams lasted, in microseconds.
    StreamDuration,
    /// From commit to delivery, in microseconds.
    DeliveryLag,
    /// How long requests to publish took, in microseconds.
    Publish,
    /// How many events were committed together.
    CommitEvents,
    /// How long calls of the store took, in microseconds.
    Store(Call),
}

/// Where a number is kept: which family, and which of its numbers.
pub(super) type Place = (u8, u16);

impl Counter {
    pub(super) fn place(self) -> Place {
        match self {
            Self::StreamsOpened => (0, 0),
            Self::StreamsEnded(reason) => (1, reason.place()),
            Self::ReplayedEvents => (3, 0),
            Self::DeliveredEvents => (4, 0),
            Self::DeliveredBytes => (5, 0),
            Self::Heartbeats => (6, 0),
            Self::Gaps(reason) => (7, reason.place()),
            Self::Publish(outcome) => (9, outcome.place()),
            Self::PublishedEvents => (11, 0),
            Self::PublishedBytes => (12, 0),
            Self::SwapConflicts => (14, 0),
            Self::StoreCalls(call, outcome) => {
                let outcomes = u16::try_from(CallOutcome::VALUES.len()).unwrap_or(u16::MAX);
                let first = call.place().saturating_mul(outcomes);
                (15, first.saturating_add(outcome.place()))
            }
            Self::Rejected(reason) => (17, reason.place()),
        }
    }
}

impl Histogram {
    /// The family, and which series of it.
    pub(super) fn place(self) -> Place {
        match self {
            Self::StreamDuration => (2, 0),
            Self::DeliveryLag => (8, 0),
            Self::Publish => (10, 0),
            Self::CommitEvents => (13, 0),
            Self::Store(call) => (16, call.place()),
        }
    }
}

/// The bounds of a family's buckets; none if it is not of histograms.
pub(super) fn bounds(family: u8) -> &'static [u64] {
    match FAMILIES.get(usize::from(family)).map(|family| family.kind) {
        Some(Kind::Histogram(bounds)) => bounds,
        _ => &[],
    }
}

/// How many numbers a histogram with these bounds has: its sum, and its buckets, with the unbounded.
pub(super) fn numbers(bounds: &[u64]) -> u16 {
    u16::try_from(bounds.len())
        .unwrap_or(u16::MAX)
        .saturating_add(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_series_has_the_place_of_its_family() {
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
            (Counter::Publish(Publishing::Unknown), "runnel_publish"),
            (Counter::PublishedEvents, "runnel_published_events"),
            (Counter::PublishedBytes, "runnel_published"),
            (Counter::SwapConflicts, "runnel_swap_conflicts"),
            (
                Counter::StoreCalls(Call::Swap, CallOutcome::Error),
                "runnel_store_calls",
            ),
            (
                Counter::Rejected(ProblemKind::StreamRate),
                "runnel_rejected",
            ),
        ];
        for (counter, name) in counters {
            let (family, series) = counter.place();
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
            let (family, series) = histogram.place();
            assert!(!bounds(family).is_empty(), "{name}");
            let family = &FAMILIES[usize::from(family)];
            assert_eq!((family.name, series + 1), (name, family.series()));
        }
        assert_eq!(counters.len() + histograms.len(), FAMILIES.len());
    }
}
