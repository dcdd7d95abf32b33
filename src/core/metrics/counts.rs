//! Counts by their indices.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::series::{Counter, Histogram, SeriesIndex, bounds, numbers};

/// Counts by family and series. Those of families and labels that this version does not know are kept as
/// they are, for the versions that do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts(BTreeMap<SeriesIndex, u64>);

/// The distribution of the values of one series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    /// The sum of all values.
    pub sum: u64,
    /// The number of values up to each bound and above the one before, and then above the last.
    pub buckets: Vec<u64>,
}

impl Counts {
    /// Returns whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds to a counter.
    pub fn add(&mut self, counter: Counter, count: u64) {
        self.add_at(counter.index(), count);
    }

    /// Adds a value to a histogram.
    pub fn observe(&mut self, histogram: Histogram, value: u64) {
        let (family, series) = histogram.index();
        let bounds = bounds(family);
        let first = series.saturating_mul(numbers(bounds));
        let above = bounds.iter().take_while(|bound| **bound < value).count();
        let bucket = u16::try_from(above).unwrap_or(u16::MAX).saturating_add(1);
        self.add_at((family, first), value);
        self.add_at((family, first.saturating_add(bucket)), 1);
    }

    /// Adds other counts to these.
    pub fn merge(&mut self, other: &Self) {
        for (index, count) in &other.0 {
            self.add_at(*index, *count);
        }
    }

    fn add_at(&mut self, index: SeriesIndex, count: u64) {
        let total = self.0.entry(index).or_default();
        // After some centuries of microseconds a sum begins anew, as any counter may.
        *total = total.wrapping_add(count);
    }

    /// Returns the counter at `series` of the family at `family`.
    #[must_use]
    pub fn counter(&self, family: u8, series: u16) -> u64 {
        self.0.get(&(family, series)).copied().unwrap_or_default()
    }

    /// Returns the histogram at `series` of the family at `family`.
    #[must_use]
    pub fn histogram(&self, family: u8, series: u16) -> Distribution {
        let numbers = numbers(bounds(family));
        let first = series.saturating_mul(numbers);
        let at = |number| self.counter(family, first.saturating_add(number));
        Distribution {
            sum: at(0),
            buckets: (1..numbers).map(at).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::metrics::{Call, Label};

    #[test]
    fn a_value_is_counted_in_the_first_bucket_whose_bound_it_does_not_exceed() {
        let mut counts = Counts::default();
        for events in [1, 2, 3, 4, 5, 4_096, 4_097, 1_000_000] {
            counts.observe(Histogram::CommitEvents, events);
        }
        let (family, series) = Histogram::CommitEvents.index();
        let distribution = counts.histogram(family, series);
        assert_eq!(distribution.sum, 1_008_208);
        assert_eq!(distribution.buckets, [1, 1, 2, 1, 0, 0, 0, 0, 0, 0, 1, 2]);
    }

    #[test]
    fn series_of_a_family_do_not_mix() {
        let mut counts = Counts::default();
        counts.observe(Histogram::Store(Call::Get), 70);
        counts.observe(Histogram::Store(Call::Swap), u64::MAX);
        let (family, series) = Histogram::Store(Call::Swap).index();
        for at in 0..=series {
            let distribution = counts.histogram(family, at);
            let count: u64 = distribution.buckets.iter().sum();
            assert_eq!(count, u64::from(at == 0 || at == series), "{at}");
        }
        assert_eq!(usize::from(series) + 1, Call::VALUES.len());
        assert_eq!(counts.histogram(family, 0).sum, 70);
    }

    #[test]
    fn merged_counts_add_up_and_unknown_ones_stay() {
        let mut one = Counts(BTreeMap::from([((200, 7), 3), ((0, 0), 1)]));
        let mut other = Counts::default();
        other.add(Counter::StreamsOpened, 4);
        one.merge(&other);
        assert_eq!((one.counter(0, 0), one.counter(200, 7)), (5, 3));
        assert!(!one.is_empty() && Counts::default().is_empty());
    }
}
