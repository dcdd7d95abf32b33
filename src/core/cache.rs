//! A cache of bounded size.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// A cache of values that never change. When it is full, it drops the values that were inserted first.
#[derive(Debug)]
pub struct BoundedCache<K, V> {
    entries: HashMap<K, Entry<V>>,
    /// The keys in the order of their insertion.
    order: VecDeque<K>,
    bytes: usize,
    limit: usize,
}

#[derive(Debug)]
struct Entry<V> {
    bytes: usize,
    value: V,
}

impl<K: Clone + Eq + Hash, V> BoundedCache<K, V> {
    /// Creates a cache of up to `limit_bytes`.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            entries: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            limit: limit_bytes,
        }
    }

    /// Returns the value of a key, if the cache has it.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// Inserts a value of this size, unless it is larger than the whole cache or the key has a value.
    pub fn insert(&mut self, key: K, value: V, bytes: usize) {
        if bytes > self.limit || self.entries.contains_key(&key) {
            return;
        }
        self.entries.insert(key.clone(), Entry { bytes, value });
        self.order.push_back(key);
        self.bytes = self.bytes.saturating_add(bytes);
        while self.bytes > self.limit {
            let oldest = self.order.pop_front();
            let Some(entry) = oldest.and_then(|key| self.entries.remove(&key)) else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(entry.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_values_are_dropped_when_there_are_too_many_bytes() {
        let mut cache = BoundedCache::new(300);
        for key in 0..100 {
            cache.insert(key, key, 100);
        }
        let kept: Vec<_> = (0..100).filter(|key| cache.get(key).is_some()).collect();
        assert_eq!(kept, [97, 98, 99]);
        assert_eq!((cache.bytes, cache.order.len()), (300, 3));
        cache.insert(500, 500, 301);
        assert_eq!(cache.get(&500), None, "it is too large");
        assert!(cache.get(&99).is_some());
    }

    #[test]
    fn a_key_keeps_its_first_value() {
        let mut cache = BoundedCache::new(1_000);
        cache.insert("a", 1, 100);
        cache.insert("a", 2, 200);
        assert_eq!(cache.get("a"), Some(&1));
        assert_eq!((cache.bytes, cache.order.len()), (100, 1));
    }
}
