//! A store without I/O, so that it works under paused time.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{KeyValue, StoreResult, Swap, incremented};

/// A store in memory, initially empty.
#[derive(Debug, Default)]
pub struct Memory(Mutex<BTreeMap<String, Vec<u8>>>);

impl Memory {
    /// Returns a copy of all keys and values.
    pub fn snapshot(&self) -> BTreeMap<String, Vec<u8>> {
        self.values().clone()
    }

    fn values(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl KeyValue for Memory {
    async fn get(&self, key: &str) -> StoreResult<Option<Vec<u8>>> {
        Ok(self.values().get(key).cloned())
    }

    async fn set(&self, key: &str, value: &[u8]) -> StoreResult<()> {
        self.values().insert(key.to_owned(), value.to_vec());
        Ok(())
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        self.values().remove(key);
        Ok(())
    }

    async fn exists(&self, key: &str) -> StoreResult<bool> {
        Ok(self.values().contains_key(key))
    }

    async fn get_keys(&self) -> StoreResult<Vec<String>> {
        Ok(self.values().keys().cloned().collect())
    }

    async fn increment(&self, key: &str, delta: i64) -> StoreResult<i64> {
        let mut values = self.values();
        let (sum, encoded) = incremented(values.get(key).map(Vec::as_slice), delta)?;
        values.insert(key.to_owned(), encoded.to_vec());
        Ok(sum)
    }

    async fn swap(&self, key: &str, seen: Option<&[u8]>, value: &[u8]) -> StoreResult<Swap> {
        let mut values = self.values();
        if seen.is_some() && values.get(key).map(Vec::as_slice) != seen {
            return Ok(Swap::Lost);
        }
        values.insert(key.to_owned(), value.to_vec());
        Ok(Swap::Done)
    }
}
