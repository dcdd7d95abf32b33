//! A store that injects faults by a plan, and records the calls.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::fault_plan::{Call, Fault, FaultPlan, Operation};
use super::{KeyValue, StoreError, StoreResult, Swap};

/// A store around another one. It injects the faults of the current [`FaultPlan`], at first none.
///
/// Stale reads know the writes that went through this wrapper.
pub struct FaultInjector {
    inner: Arc<dyn KeyValue>,
    plan: Mutex<FaultPlan>,
    history: Mutex<History>,
}

#[derive(Default)]
struct History {
    counts: BTreeMap<(Operation, String), u64>,
    /// The calls since they were last taken.
    calls: Vec<(Operation, String)>,
    /// The value of each key before its last write.
    overwritten: BTreeMap<String, Option<Vec<u8>>>,
}

impl FaultInjector {
    /// Wraps `inner`, without faults.
    pub fn new(inner: Arc<dyn KeyValue>) -> Self {
        Self {
            inner,
            plan: Mutex::new(FaultPlan::none()),
            history: Mutex::default(),
        }
    }

    /// Replaces the plan for the calls from now on.
    pub fn inject(&self, plan: FaultPlan) {
        *lock(&self.plan) = plan;
    }

    /// Lets all calls from now on succeed.
    pub fn heal(&self) {
        self.inject(FaultPlan::none());
    }

    /// Takes the calls since the last `take_calls` or [`reset_counts`](Self::reset_counts), in
    /// order. Of a batch, only the first key is recorded.
    pub fn take_calls(&self) -> Vec<(Operation, String)> {
        std::mem::take(&mut lock(&self.history).calls)
    }

    /// Counts the calls of `operation` on keys that begin with `prefix`.
    pub fn count(&self, operation: Operation, prefix: &str) -> u64 {
        lock(&self.history)
            .counts
            .iter()
            .filter(|((counted, key), _)| *counted == operation && key.starts_with(prefix))
            .map(|(_, count)| count)
            .sum()
    }

    /// Counts all calls.
    pub fn total(&self) -> u64 {
        lock(&self.history).counts.values().sum()
    }

    /// Counts from zero again, the ordinals of calls too.
    pub fn reset_counts(&self) {
        let mut history = lock(&self.history);
        history.counts.clear();
        history.calls.clear();
    }

    /// Records the call, decides its fault, and carries out the part that comes before the effect.
    async fn enter(&self, operation: Operation, key: &str) -> StoreResult<Fault> {
        let ordinal = lock(&self.history).record(operation, key);
        let fault = lock(&self.plan).decide(&Call {
            operation,
            key,
            ordinal,
        });
        match fault {
            Fault::ErrorBefore => {
                return Err(StoreError::InjectedBefore {
                    operation,
                    key: key.to_owned(),
                });
            }
            Fault::Delay(time) => tokio::time::sleep(time).await,
            _ => {}
        }
        Ok(fault)
    }

    /// Keeps the value of `key` for stale reads, before it is overwritten.
    async fn keep_overwritten(&self, key: &str) -> StoreResult<()> {
        let value = self.inner.get(key).await?;
        lock(&self.history)
            .overwritten
            .insert(key.to_owned(), value);
        Ok(())
    }

    fn stale(&self, fault: Fault, key: &str) -> Option<Option<Vec<u8>>> {
        (fault == Fault::StaleRead)
            .then(|| lock(&self.history).overwritten.get(key).cloned())
            .flatten()
    }
}

impl History {
    /// Returns the ordinal of the call.
    fn record(&mut self, operation: Operation, key: &str) -> u64 {
        self.calls.push((operation, key.to_owned()));
        let count = self.counts.entry((operation, key.to_owned())).or_default();
        *count += 1;
        *count
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the result of an operation that took effect.
fn leave<T>(fault: Fault, operation: Operation, key: &str, result: T) -> StoreResult<T> {
    if fault == Fault::ErrorAfter {
        return Err(StoreError::InjectedAfter {
            operation,
            key: key.to_owned(),
        });
    }
    Ok(result)
}

#[async_trait]
impl KeyValue for FaultInjector {
    async fn get(&self, key: &str) -> StoreResult<Option<Vec<u8>>> {
        let fault = self.enter(Operation::Get, key).await?;
        let value = match self.stale(fault, key) {
            Some(old) => old,
            None => self.inner.get(key).await?,
        };
        leave(fault, Operation::Get, key, value)
    }

    async fn current(&self, key: &str) -> StoreResult<Option<Vec<u8>>> {
        let fault = self.enter(Operation::Current, key).await?;
        let value = match self.stale(fault, key) {
            Some(old) => old,
            None => self.inner.current(key).await?,
        };
        leave(fault, Operation::Current, key, value)
    }

    async fn set(&self, key: &str, value: &[u8]) -> StoreResult<()> {
        let fault = self.enter(Operation::Set, key).await?;
        self.keep_overwritten(key).await?;
        self.inner.set(key, value).await?;
        leave(fault, Operation::Set, key, ())
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        let fault = self.enter(Operation::Delete, key).await?;
        self.keep_overwritten(key).await?;
        self.inner.delete(key).await?;
        leave(fault, Operation::Delete, key, ())
    }

    async fn exists(&self, key: &str) -> StoreResult<bool> {
        let fault = self.enter(Operation::Exists, key).await?;
        let exists = match self.stale(fault, key) {
            Some(old) => old.is_some(),
            None => self.inner.exists(key).await?,
        };
        leave(fault, Operation::Exists, key, exists)
    }

    async fn get_keys(&self) -> StoreResult<Vec<String>> {
        let fault = self.enter(Operation::GetKeys, "").await?;
        let keys = self.inner.get_keys().await?;
        leave(fault, Operation::GetKeys, "", keys)
    }

    async fn increment(&self, key: &str, delta: i64) -> StoreResult<i64> {
        let fault = self.enter(Operation::Increment, key).await?;
        self.keep_overwritten(key).await?;
        let sum = self.inner.increment(key, delta).await?;
        leave(fault, Operation::Increment, key, sum)
    }

    async fn swap(&self, key: &str, seen: Option<&[u8]>, value: &[u8]) -> StoreResult<Swap> {
        let fault = self.enter(Operation::Swap, key).await?;
        self.keep_overwritten(key).await?;
        let swap = self.inner.swap(key, seen, value).await?;
        if fault == Fault::LostAfter {
            return Ok(Swap::Lost);
        }
        leave(fault, Operation::Swap, key, swap)
    }

    async fn get_many(&self, keys: &[String]) -> StoreResult<Vec<(String, Vec<u8>)>> {
        let first = first(keys);
        let fault = self.enter(Operation::GetMany, first).await?;
        let pairs = self.inner.get_many(keys).await?;
        leave(fault, Operation::GetMany, first, pairs)
    }

    async fn set_many(&self, pairs: &[(String, Vec<u8>)]) -> StoreResult<()> {
        let first = pairs.first().map_or("", |(key, _)| key.as_str());
        let fault = self.enter(Operation::SetMany, first).await?;
        for (key, _) in pairs {
            self.keep_overwritten(key).await?;
        }
        self.inner.set_many(pairs).await?;
        leave(fault, Operation::SetMany, first, ())
    }

    async fn delete_many(&self, keys: &[String]) -> StoreResult<()> {
        let first = first(keys);
        let fault = self.enter(Operation::DeleteMany, first).await?;
        for key in keys {
            self.keep_overwritten(key).await?;
        }
        self.inner.delete_many(keys).await?;
        leave(fault, Operation::DeleteMany, first, ())
    }
}

fn first(keys: &[String]) -> &str {
    keys.first().map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Memory;
    use super::*;

    /// A store in memory whose `nth` call of `operation` on a key meets `fault`.
    fn store(operation: Operation, nth: u64, fault: Fault) -> FaultInjector {
        let store = FaultInjector::new(Arc::new(Memory::default()));
        store.inject(FaultPlan::when(
            move |call| call.operation == operation && call.ordinal == nth,
            fault,
        ));
        store
    }

    #[tokio::test]
    async fn an_error_before_has_no_effect() {
        let store = store(Operation::Set, 2, Fault::ErrorBefore);
        store.set("k", b"1").await.unwrap();
        assert!(store.set("k", b"2").await.is_err());
        assert_eq!(store.get("k").await.unwrap().unwrap(), b"1");
    }

    #[tokio::test]
    async fn an_error_after_has_taken_effect() {
        let store = store(Operation::Swap, 1, Fault::ErrorAfter);
        assert!(store.swap("k", None, b"1").await.is_err());
        assert_eq!(store.get("k").await.unwrap().unwrap(), b"1");
    }

    #[tokio::test]
    async fn a_swap_can_take_effect_and_report_a_lost_race() {
        let store = store(Operation::Swap, 1, Fault::LostAfter);
        assert_eq!(store.swap("k", None, b"1").await.unwrap(), Swap::Lost);
        assert_eq!(store.get("k").await.unwrap().unwrap(), b"1");
    }

    #[tokio::test(start_paused = true)]
    async fn a_delay_follows_the_virtual_clock() {
        let store = store(Operation::Get, 1, Fault::Delay(Duration::from_secs(3600)));
        let start = tokio::time::Instant::now();
        store.get("k").await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 3600);
    }

    #[tokio::test]
    async fn a_stale_read_returns_the_overwritten_value() {
        let store = store(Operation::Get, 2, Fault::StaleRead);
        store.set("k", b"old").await.unwrap();
        store.set("k", b"new").await.unwrap();
        assert_eq!(store.get("k").await.unwrap().unwrap(), b"new");
        assert_eq!(store.get("k").await.unwrap().unwrap(), b"old");
        assert_eq!(store.get("k").await.unwrap().unwrap(), b"new");
    }

    #[tokio::test]
    async fn calls_are_counted_by_operation_and_key_prefix() {
        let store = FaultInjector::new(Arc::new(Memory::default()));
        store.get("head/a").await.unwrap();
        store.get("head/b").await.unwrap();
        store.get("seg/a").await.unwrap();
        store.set("head/a", b"").await.unwrap();
        assert_eq!(store.count(Operation::Get, "head/"), 2);
        assert_eq!(store.count(Operation::Get, ""), 3);
        assert_eq!(store.count(Operation::Set, "head/"), 1);
        assert_eq!(store.total(), 4);
        store.reset_counts();
        assert_eq!(store.total(), 0);
    }
}
