//! The newest of many values.

use std::borrow::Borrow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Values that never change, under their keys, as many as have room: the oldest are forgotten first.
#[derive(Debug)]
pub struct BoundedCache<K, V> {
    by_key: HashMap<K, Kept<V>>,
    /// The oldest first.
    order: VecDeque<K>,
    bytes: usize,
    limit: usize,
}

#[derive(Debug)]
struct Kept<V> {
    bytes: usize,
    value: V,
}

impl<K: Clone + Eq + Hash, V> BoundedCache<K, V> {
    /// Has room for so many bytes.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            by_key: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            limit: limit_bytes,
        }
    }

    /// The value under a key, if it was kept and is not forgotten.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.by_key.get(key).map(|kept| &kept.value)
    }

    /// Keeps a value, which takes so many bytes, unless it has no room at all or is kept already.
    pub fn insert(&mut self, key: K, value: V, bytes: usize) {
        if bytes > self.limit || self.by_key.contains_key(&key) {
            return;
        }
        self.by_key.insert(key.clone(), Kept { bytes, value });
        self.order.push_back(key);
        self.bytes = self.bytes.saturating_add(bytes);
        while self.bytes > self.limit {
            let oldest = self.order.pop_front();
            let Some(kept) = oldest.and_then(|key| self.by_key.remove(&key)) else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(kept.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_when_there_are_too_many_bytes() {
        let mut recent = BoundedCache::new(300);
        for key in 0..100 {
            recent.insert(key, key, 100);
        }
        let kept: Vec<_> = (0..100).filter(|key| recent.get(key).is_some()).collect();
        assert_eq!(kept, [97, 98, 99]);
        assert_eq!((recent.bytes, recent.order.len()), (300, 3));
        recent.insert(500, 500, 301);
        assert_eq!(recent.get(&500), None, "it is too large");
        assert!(recent.get(&99).is_some());
    }

    #[test]
    fn what_is_kept_already_is_not_kept_twice() {
        let mut recent = BoundedCache::new(1_000);
        recent.insert("a", 1, 100);
        recent.insert("a", 2, 200);
        assert_eq!(recent.get("a"), Some(&1));
        assert_eq!((recent.bytes, recent.order.len()), (100, 1));
    }
}
