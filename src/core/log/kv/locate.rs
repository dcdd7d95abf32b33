//! Finding records in a head: by seq, and by time.

use super::head::Head;
use super::segment::SegmentMeta;
use crate::core::log::RecordBatch;
use crate::core::sse::Seq;
use crate::core::time::Timestamp;

/// The location of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// The first of these segments has the record.
    Segments(Vec<SegmentMeta>),
    /// The head's own records have it.
    Inline(RecordBatch),
    /// It is not appended yet.
    Tail,
    /// Retention dropped it.
    Evicted,
}

impl Head {
    /// Returns the seq of the first event that was appended at `since` or later and not after `now`, or
    /// of the first event of its segment. So a stream that opened at `since` misses nothing, even if it
    /// reads the log only later. A record from after `now` was written by a wrong clock and is ignored.
    #[must_use]
    pub fn first_between(&self, since: Timestamp, now: Timestamp) -> Seq {
        let is_between = |time: Timestamp| since <= time && time <= now;
        if !is_between(self.newest) {
            return self.next();
        }
        let records = self.inline.records().map_while(Result::ok);
        let first = records
            .into_iter()
            .find(|(_, record)| is_between(record.time));
        let first = first.map_or(self.next(), |(seq, _)| seq);
        if first > self.inline.first {
            return first;
        }
        let earlier = self
            .segments
            .iter()
            .rev()
            .take_while(|segment| is_between(segment.newest));
        earlier.last().map_or(first, |segment| segment.first)
    }

    /// Locates the record `seq`. Of segments, it returns as many as follow each other up to about
    /// `max_bytes`, and at least one.
    #[must_use]
    pub fn locate(&self, seq: Seq, max_bytes: u64) -> Location {
        if seq >= self.next() {
            return Location::Tail;
        }
        if seq < self.first() {
            return Location::Evicted;
        }
        if seq >= self.inline.first {
            return Location::Inline(self.inline.clone());
        }
        let index = self
            .segments
            .partition_point(|segment| segment.next() <= seq);
        let mut total = 0;
        let segments = self.segments.iter().skip(index).take_while(|segment| {
            let before = total;
            total = segment.bytes.saturating_add(total);
            before == 0 || total <= max_bytes
        });
        Location::Segments(segments.copied().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::log::sample::log;

    #[test]
    fn every_record_is_located() {
        let head = log(&[1, 2, 3, 4, 5, 6, 7, 8], 6);
        let firsts = |seq, bytes| -> Vec<u64> {
            match head.locate(Seq(seq), bytes) {
                Location::Segments(segments) => {
                    segments.iter().map(|segment| segment.first.0).collect()
                }
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((head.first(), head.inline.first), (Seq(3), Seq(7)));
        assert_eq!(head.locate(Seq(2), 1), Location::Evicted);
        assert_eq!(firsts(3, 1), [3]);
        assert_eq!(firsts(4, 24_100), [3, 5]);
        assert_eq!(firsts(5, u64::MAX), [5]);
        assert_eq!(
            head.locate(Seq(7), 1),
            Location::Inline(head.inline.clone())
        );
        assert_eq!(head.locate(Seq(9), 1), Location::Tail);
    }
}
