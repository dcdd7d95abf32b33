//! Segments that were read recently, shared by all readers of an instance.

use std::cell::RefCell;
use std::collections::HashSet;

use bytes::Bytes;

use crate::core::cache::BoundedCache;

/// The memory for segments: 1 MiB.
const CAPACITY_BYTES: usize = 1024 * 1024;

#[derive(Debug)]
pub(super) struct SegmentCache {
    /// By key. A segment never changes, so its age does not matter.
    segments: RefCell<BoundedCache<String, Bytes>>,
    /// The keys that are being read.
    in_flight: RefCell<HashSet<String>>,
}

/// The result of a lookup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lookup {
    /// All of them are cached: their values, in the order of the keys.
    Hit(Vec<Bytes>),
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
    pub(super) fn lookup(&self, keys: &[String]) -> Lookup {
        let segments = self.segments.borrow();
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            match segments.get(key) {
                Some(value) => values.push(value.clone()),
                None if self.in_flight.borrow().contains(key) => return Lookup::InFlight,
                None => return Lookup::Miss,
            }
        }
        Lookup::Hit(values)
    }

    pub(super) fn get(&self, key: &str) -> Option<Bytes> {
        self.segments.borrow().get(key).cloned()
    }

    pub(super) fn insert(&self, key: &str, value: &Bytes) {
        let mut segments = self.segments.borrow_mut();
        segments.insert(key.to_owned(), value.clone(), value.len());
    }

    /// Begins a read, which is under way until the guard is dropped.
    pub(super) fn begin<'a>(&'a self, keys: &'a [String]) -> InFlightGuard<'a> {
        self.in_flight.borrow_mut().extend(keys.iter().cloned());
        InFlightGuard { cache: self, keys }
    }
}

/// A read under way. If it is dropped early, others read the segments themselves.
pub(super) struct InFlightGuard<'a> {
    cache: &'a SegmentCache,
    keys: &'a [String],
}

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        let mut in_flight = self.cache.in_flight.borrow_mut();
        for key in self.keys {
            in_flight.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(keys: &[&str]) -> Vec<String> {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }

    #[test]
    fn one_read_serves_all_readers_that_ask_meanwhile() {
        let cache = SegmentCache::default();
        let both = keys(&["a", "b"]);
        assert_eq!(cache.lookup(&both), Lookup::Miss);
        let read = cache.begin(&both);
        assert_eq!(cache.lookup(&both), Lookup::InFlight);
        assert_eq!(cache.lookup(&keys(&["b"])), Lookup::InFlight);
        assert_eq!(cache.lookup(&keys(&["c", "a"])), Lookup::Miss);
        cache.insert("a", &Bytes::from_static(b"1"));
        let one = Bytes::from_static(b"1");
        assert_eq!(cache.lookup(&keys(&["a"])), Lookup::Hit(vec![one.clone()]));
        assert_eq!(cache.lookup(&both), Lookup::InFlight);
        cache.insert("b", &Bytes::from_static(b"2"));
        drop(read);
        let values = vec![one, Bytes::from_static(b"2")];
        assert_eq!(cache.lookup(&both), Lookup::Hit(values));
        assert_eq!(cache.get("b"), Some(Bytes::from_static(b"2")));
    }

    #[test]
    fn a_read_that_is_dropped_is_left_to_others() {
        let cache = SegmentCache::default();
        let both = keys(&["a", "b"]);
        let read = cache.begin(&both);
        cache.insert("a", &Bytes::from_static(b"1"));
        drop(read);
        assert_eq!(cache.lookup(&both), Lookup::Miss);
        assert_eq!(cache.get("b"), None);
    }

    #[test]
    fn the_oldest_segments_are_dropped_when_memory_is_full() {
        let cache = SegmentCache::default();
        let quarter = Bytes::from(vec![0; CAPACITY_BYTES / 4]);
        for key in ["a", "b", "c", "d", "e"] {
            cache.insert(key, &quarter);
        }
        assert_eq!(cache.get("a"), None);
        let kept = cache.lookup(&keys(&["b", "c", "d", "e"]));
        assert_eq!(kept, Lookup::Hit(vec![quarter; 4]));
    }
}
