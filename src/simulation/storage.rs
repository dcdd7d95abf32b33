//! Models of the stores that Spin offers.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::core::store::SwapError;
use crate::core::time::Instant;

/// The store that is modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Model {
    /// A swap on a missing key always succeeds. Calls are local: when one is reported failed, it
    /// is over.
    Sqlite,
    /// Every swap is reported lost, also one that took effect. Calls go over a network: one that
    /// was reported failed may take effect later.
    Redis,
    /// Plain reads may be stale for a while; the rest is sound. Over a network.
    DynamoDb,
    /// Sound in everything. Over a network.
    Sound,
}

/// The longest lag of a stale read, in milliseconds.
const STALE_MILLIS: u64 = 400;

impl Model {
    /// Returns whether a call can take effect after it was reported failed.
    pub(crate) fn is_remote(self) -> bool {
        self != Self::Sqlite
    }

    fn is_stale(self) -> bool {
        self == Self::DynamoDb
    }
}

/// The size of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) keys: usize,
    /// The bytes of the values.
    pub(crate) bytes: usize,
}

/// The stored values and, for stale reads, their predecessors.
#[derive(Debug)]
pub(crate) struct Storage {
    model: Model,
    values: BTreeMap<String, Bytes>,
    counters: BTreeMap<String, i64>,
    bytes: usize,
    past: BTreeMap<String, Vec<(Instant, Option<Bytes>)>>,
}

impl Storage {
    pub(super) fn new(model: Model) -> Self {
        Self {
            model,
            values: BTreeMap::new(),
            counters: BTreeMap::new(),
            bytes: 0,
            past: BTreeMap::new(),
        }
    }

    pub(super) const fn model(&self) -> Model {
        self.model
    }

    /// Returns the keys of all values. Counters are not among them.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &String> {
        self.values.keys()
    }

    /// Returns the number of counters.
    pub(crate) fn counters(&self) -> usize {
        self.counters.len()
    }

    /// Returns the size of everything, counters included.
    pub(crate) fn size(&self) -> Size {
        Size {
            keys: self.values.len() + self.counters.len(),
            bytes: self.bytes + self.counters.len() * size_of::<i64>(),
        }
    }

    /// Returns a value, never a stale one.
    pub(crate) fn value(&self, key: &str) -> Option<&Bytes> {
        self.values.get(key)
    }

    /// Swaps a value for what was read before. Returns the answer, and whether the swap took effect.
    pub(super) fn swap(
        &mut self,
        key: &str,
        expected: Option<&Bytes>,
        value: Bytes,
        now: Instant,
    ) -> (Result<(), SwapError>, bool) {
        let is_upsert = self.model == Model::Sqlite && expected.is_none();
        let is_swapped = is_upsert || self.value(key) == expected;
        if is_swapped {
            self.set(key, Some(value), now);
        }
        let answer = if is_swapped && self.model != Model::Redis {
            Ok(())
        } else {
            Err(SwapError::Lost)
        };
        (answer, is_swapped)
    }

    pub(super) fn increment(&mut self, key: &str) -> i64 {
        let counter = self.counters.entry(key.to_owned()).or_default();
        *counter += 1;
        *counter
    }

    /// Stores a value, or deletes it.
    pub(super) fn set(&mut self, key: &str, value: Option<Bytes>, now: Instant) {
        self.bytes += value.as_ref().map_or(0, Bytes::len);
        let before = match value {
            Some(value) => self.values.insert(key.to_owned(), value),
            None => self.values.remove(key),
        };
        self.bytes -= before.as_ref().map_or(0, Bytes::len);
        if self.model.is_stale() {
            self.past.retain(|_, past| {
                past.retain(|(until, _)| until.0 + STALE_MILLIS > now.0);
                !past.is_empty()
            });
            let past = self.past.entry(key.to_owned()).or_default();
            past.push((now, before));
        }
    }

    /// Reads a value, which may be stale.
    pub(super) fn read(
        &self,
        key: &str,
        now: Instant,
        random: &mut fastrand::Rng,
    ) -> Option<Bytes> {
        if self.model.is_stale() && random.u8(..4) == 0 {
            let lag = random.u64(..STALE_MILLIS);
            let mut past = self.past.get(key).into_iter().flatten();
            if let Some((_, value)) = past.find(|(until, _)| until.0 + lag > now.0) {
                return value.clone();
            }
        }
        self.value(key).cloned()
    }
}
