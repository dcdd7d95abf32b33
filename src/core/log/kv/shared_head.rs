//! A head as the readers of an instance share it.

use std::cell::Cell;
use std::ops::{Deref, Range};

use super::head::Head;
use crate::core::log::{LogState, Retention};
use crate::core::sse::Seq;
use crate::core::time::Timestamp;

/// A head, with what retention keeps of it. A search goes through the directory only once: the limit on
/// bytes never moves in a head, the others go on from where they were last.
#[derive(Debug)]
pub(super) struct SharedHead {
    head: Head,
    by_bytes: Cell<Option<ByteLimit>>,
    by_age: Cell<AgeLimit>,
    newer: Cell<NewerBytes>,
}

/// The part of the log that a limit on bytes keeps.
#[derive(Clone, Copy, Debug)]
struct ByteLimit {
    limit: u64,
    /// The first record of the oldest segment of which anything is kept.
    first: Seq,
    /// The first record of the segments that are kept whole, which follow.
    kept_from: Seq,
}

/// The part of the log that a limit on age keeps.
#[derive(Clone, Copy, Debug, Default)]
struct AgeLimit {
    oldest: Timestamp,
    /// The number of segments whose records are all older.
    segments: usize,
}

/// The bytes of the records from the segment at `index` on; with the number of segments, those of the
/// inline records.
#[derive(Clone, Copy, Debug)]
struct NewerBytes {
    index: usize,
    bytes: u64,
}

impl Deref for SharedHead {
    type Target = Head;

    fn deref(&self) -> &Head {
        &self.head
    }
}

impl From<Head> for SharedHead {
    fn from(head: Head) -> Self {
        let newer = NewerBytes {
            index: head.segments.len(),
            bytes: head.inline.records.len() as u64,
        };
        Self {
            head,
            by_bytes: Cell::default(),
            by_age: Cell::default(),
            newer: Cell::new(newer),
        }
    }
}

impl SharedHead {
    /// Returns the log's state, as readers see it under `retention` if no event before `oldest` is kept.
    pub(super) fn kept(&self, retention: &Retention, oldest: Timestamp) -> LogState {
        let by_bytes = self.by_bytes(retention.bytes);
        let next = self.head.next();
        let first = by_bytes.first.max(retention.first_by_number(next));
        let first = first.max(self.first_by_age(oldest)).min(next);
        LogState {
            first,
            kept_from: by_bytes.kept_from.max(first),
            ..self.head.state()
        }
    }

    /// Returns the bytes of the records from `next` on, with which a segment or the inline records begin.
    pub(super) fn bytes_from(&self, next: Seq) -> u64 {
        let segments = &self.head.segments;
        let index = segments.partition_point(|segment| segment.first < next);
        let mut newer = self.newer.get();
        let bytes = |range: Range<usize>| {
            let sizes = segments.get(range).unwrap_or_default().iter();
            sizes.fold(0, |sum, segment| segment.bytes.saturating_add(sum))
        };
        newer.bytes = if index <= newer.index {
            newer.bytes.saturating_add(bytes(index..newer.index))
        } else {
            newer.bytes.saturating_sub(bytes(newer.index..index))
        };
        newer.index = index;
        self.newer.set(newer);
        newer.bytes
    }

    fn by_bytes(&self, limit: u64) -> ByteLimit {
        let found = self.by_bytes.get();
        if let Some(found) = found.filter(|found| found.limit == limit) {
            return found;
        }
        let inline = &self.head.inline;
        let mut bytes = inline.records.len() as u64;
        let mut found = ByteLimit {
            limit,
            first: inline.first,
            kept_from: if bytes > limit {
                inline.next()
            } else {
                inline.first
            },
        };
        for segment in self.head.segments.iter().rev() {
            if bytes >= limit {
                break;
            }
            found.first = segment.first;
            bytes = bytes.saturating_add(segment.bytes);
            if bytes <= limit {
                found.kept_from = segment.first;
            }
        }
        self.by_bytes.set(Some(found));
        found
    }

    /// Returns the first record of the oldest segment that has one at `oldest` or later.
    fn first_by_age(&self, oldest: Timestamp) -> Seq {
        let mut found = self.by_age.get();
        if oldest < found.oldest {
            // The clock was set back.
            found.segments = 0;
        }
        let rest = self.head.segments.iter().skip(found.segments);
        let expired = rest.take_while(|segment| segment.newest < oldest);
        found.segments = found.segments.saturating_add(expired.count());
        found.oldest = oldest;
        self.by_age.set(found);
        let first = self.head.segments.get(found.segments);
        first.map_or(self.head.inline.first, |segment| segment.first)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::core::log::sample::log;
    use crate::core::log::{PageBatch, RecordBatch};

    const ALL: Retention = Retention {
        events: u64::MAX,
        bytes: u64::MAX,
        max_age: None,
    };

    fn kept(head: &SharedHead, retention: Retention, now: u64) -> (u64, u64) {
        let state = head.kept(&retention, retention.oldest_time(Timestamp(now)));
        (state.first.0, state.kept_from.0)
    }

    /// A log of eight events in segments of two, with the last two in the head.
    fn sample() -> SharedHead {
        let head = log(&[10, 20, 30, 40, 50, 60, 70, 80], 100);
        let firsts: Vec<_> = head
            .segments
            .iter()
            .map(|segment| segment.first.0)
            .collect();
        assert_eq!((firsts, head.inline.first.0), (vec![1, 3, 5], 7));
        head.into()
    }

    #[test]
    fn the_limit_on_number_keeps_the_newest_to_the_event() {
        let head = sample();
        let newest = |events| kept(&head, Retention { events, ..ALL }, 80);
        assert_eq!(newest(3), (6, 6));
        assert_eq!(newest(1), (8, 8));
        assert_eq!(newest(8), (1, 1));
        assert_eq!(newest(u64::MAX), (1, 1));
    }

    #[test]
    fn the_limit_on_age_keeps_segments_with_a_younger_event() {
        let head = sample();
        let younger = |age, now| {
            let max_age = Some(Duration::from_millis(age));
            kept(&head, Retention { max_age, ..ALL }, now).0
        };
        assert_eq!(younger(30, 40), 1);
        assert_eq!(younger(10, 50), 3);
        assert_eq!(younger(10, 51), 5);
        assert_eq!(younger(10, 1_000), 7);
        assert_eq!(younger(10, 50), 3, "after the clock was set back");
    }

    #[test]
    fn the_limit_on_bytes_keeps_an_event_that_is_followed_by_fewer() {
        let head = sample();
        // Records of one size, so two of them can stand for any segment.
        let two = &head.inline;
        let record = two.records.len() as u64 / 2;
        for bytes in 1..9 * record {
            let retention = Retention { bytes, ..ALL };
            let state = head.kept(&retention, Timestamp(0));
            let mut kept = vec![];
            for first in [3, 1, 5, 7].map(Seq) {
                let mut batch = PageBatch {
                    records: RecordBatch {
                        first,
                        ..two.clone()
                    },
                    newer_bytes: if first == two.first {
                        0
                    } else {
                        head.bytes_from(first.plus(2))
                    },
                    is_tail: false,
                };
                if batch.records.next() > state.first {
                    retention.trim(&mut batch);
                    kept.extend(batch.records.records().map(|record| record.unwrap().0));
                }
            }
            kept.sort_unstable();
            let is_kept = |seq: &Seq| (8 - seq.0) * record < bytes;
            let expected: Vec<_> = (1..=8).map(Seq).filter(is_kept).collect();
            assert_eq!(kept, expected, "{bytes}");
            assert!(state.kept_from == head.next() || is_kept(&state.kept_from));
        }
    }
}
