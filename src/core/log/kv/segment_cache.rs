//! Segments that were read recently, shared by all readers of an instance.

use std::cell::RefCell;
use std::collections::HashMap;

use super::SHARED_READ_TIMEOUT;
use super::segment::Parts;
use crate::core::cache::BoundedCache;
use crate::core::time::Instant;

/// The memory for segments: 1 MiB.
const CAPACITY_BYTES: usize = 1024 * 1024;

#[derive(Debug)]
pub(super) struct SegmentCache {
    /// By key. A segment never changes, so its age does not matter.
    segments: RefCell<BoundedCache<String, Parts>>,
    /// The keys that are being read, with the start of the newest read of each.
    in_flight: RefCell<HashMap<String, Instant>>,
}

/// The result of a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// All of them are cached, in the order of the keys.
    Hit(Vec<Parts>),
    /// The first that is not cached is being read.
    InFlight,
    /// The first that is not cached has to be read.
    Miss,
}

impl Default for SegmentCache {
    fn default() -> Self {
        Self {
            segments: RefCell::new(BoundedCache::new(CAPACITY_BYTES)),
            in_flight: RefCell::default(),
        }
    }
}

impl SegmentCache {
    /// Looks up the segments under `keys`.
    pub(super) fn lookup(&self, keys: &[String], now: Instant) -> Lookup {
        let segments = self.segments.borrow();
        let mut hits = Vec::with_capacity(keys.len());
        for key in keys {
            match segments.get(key) {
                Some(parts) => hits.push(parts.clone()),
                None if self.is_in_flight(key, now) => return Lookup::InFlight,
                None => return Lookup::Miss,
            }
        }
        Lookup::Hit(hits)
    }

    fn is_in_flight(&self, key: &str, now: Instant) -> bool {
        let in_flight = self.in_flight.borrow();
        let started = in_flight.get(key);
        started.is_some_and(|started| now.saturating_duration_since(*started) < SHARED_READ_TIMEOUT)
    }

    pub(super) fn get(&self, key: &str) -> Option<Parts> {
        self.segments.borrow().get(key).cloned()
    }

    pub(super) fn insert(&self, key: &str, parts: &Parts) {
        let sizes = parts.iter().map(|part| part.records.len());
        let bytes = sizes.fold(0, usize::saturating_add);
        let mut segments = self.segments.borrow_mut();
        segments.insert(key.to_owned(), parts.clone(), bytes);
    }

    /// Begins a read, which is under way until the guard is dropped.
    pub(super) fn begin<'a>(&'a self, keys: &'a [String], now: Instant) -> InFlightGuard<'a> {
        let begun = keys.iter().map(|key| (key.clone(), now));
        self.in_flight.borrow_mut().extend(begun);
        InFlightGuard {
            cache: self,
            keys,
            started: now,
        }
    }
}

/// A read under way. If it is dropped early, others read the segments themselves.
pub(super) struct InFlightGuard<'a> {
    cache: &'a SegmentCache,
    keys: &'a [String],
    started: Instant,
}

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        let mut in_flight = self.cache.in_flight.borrow_mut();
        for key in self.keys {
            if in_flight.get(key) == Some(&self.started) {
                in_flight.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::log::RecordBatch;

    const NOW: Instant = Instant(1_000);

    fn keys(keys: &[&str]) -> Vec<String> {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }

    fn segment(bytes: usize) -> Parts {
        let part = RecordBatch {
            records: vec![0; bytes].into(),
            ..RecordBatch::default()
        };
        vec![part].into()
    }

    #[test]
    fn one_read_serves_all_readers_that_ask_meanwhile() {
        let cache = SegmentCache::default();
        let both = keys(&["a", "b"]);
        assert_eq!(cache.lookup(&both, NOW), Lookup::Miss);
        let read = cache.begin(&both, NOW);
        assert_eq!(cache.lookup(&both, NOW), Lookup::InFlight);
        assert_eq!(cache.lookup(&keys(&["b"]), NOW), Lookup::InFlight);
        assert_eq!(cache.lookup(&keys(&["c", "a"]), NOW), Lookup::Miss);
        cache.insert("a", &segment(1));
        assert_eq!(
            cache.lookup(&keys(&["a"]), NOW),
            Lookup::Hit(vec![segment(1)])
        );
        assert_eq!(cache.lookup(&both, NOW), Lookup::InFlight);
        cache.insert("b", &segment(2));
        drop(read);
        let hits = vec![segment(1), segment(2)];
        assert_eq!(cache.lookup(&both, NOW), Lookup::Hit(hits));
        assert_eq!(cache.get("b"), Some(segment(2)));
    }

    #[test]
    fn a_read_that_is_dropped_is_left_to_others() {
        let cache = SegmentCache::default();
        let both = keys(&["a", "b"]);
        let read = cache.begin(&both, NOW);
        cache.insert("a", &segment(1));
        drop(read);
        assert_eq!(cache.lookup(&both, NOW), Lookup::Miss);
        assert_eq!(cache.get("b"), None);
    }

    #[test]
    fn a_read_that_takes_long_is_not_waited_for() {
        let cache = SegmentCache::default();
        let one = keys(&["a"]);
        let slow = cache.begin(&one, Instant(10));
        assert_eq!(cache.lookup(&one, Instant(1_009)), Lookup::InFlight);
        assert_eq!(cache.lookup(&one, Instant(1_010)), Lookup::Miss);
        let _second = cache.begin(&one, Instant(1_010));
        drop(slow);
        assert_eq!(cache.lookup(&one, Instant(1_011)), Lookup::InFlight);
    }

    #[test]
    fn the_oldest_segments_are_dropped_when_memory_is_full() {
        let cache = SegmentCache::default();
        let quarter = segment(CAPACITY_BYTES / 4);
        for key in ["a", "b", "c", "d", "e"] {
            cache.insert(key, &quarter);
        }
        assert_eq!(cache.get("a"), None);
        let kept = cache.lookup(&keys(&["b", "c", "d", "e"]), NOW);
        assert_eq!(kept, Lookup::Hit(vec![quarter; 4]));
    }
}
