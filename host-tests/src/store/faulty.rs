//! A store that fails as a test tells it to, and counts what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{KeyValue, StoreError, StoreResult, Swap};

/// An operation of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named after the methods of `KeyValue`")]
pub enum Operation {
    Get,
    /// The read of a compare-and-swap.
    Current,
    Set,
    Delete,
    Exists,
    GetKeys,
    Increment,
    Swap,
    GetMany,
    SetMany,
    DeleteMany,
}

/// One call, as the closure that decides over it sees it.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// What is asked.
    pub operation: Operation,
    /// Of which key: the first of a batch, empty for [`Operation::GetKeys`].
    pub key: &'a str,
    /// How many calls of this operation on this key there were, this one included: 1, 2, 3 …
    pub ordinal: u64,
    /// How many calls of any kind there were, this one included.
    pub total: u64,
}

/// What befalls a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It fails and has no effect.
    ErrorBefore,
    /// It takes effect and reports failure all the same.
    ErrorAfter,
    /// It takes this long (by tokio's clock), then effect.
    Hang(Duration),
    /// A read answers what stood there before the last write to the key. Writes are not affected.
    Stale,
    /// A swap takes effect and reports that it lost, as Spin's Redis backend does. Other operations
    /// are not affected.
    LostAfter,
}

/// A store around another one, with faults.
///
/// Stale reads know the writes that went through this wrapper.
pub struct Faulty {
    inner: Arc<dyn KeyValue>,
    plan: Box<dyn Fn(&Call<'_>) -> Fault + Send + Sync>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    total: u64,
    counts: BTreeMap<(Operation, String), u64>,
    /// What stood under a key before its last write.
    before: BTreeMap<String, Option<Vec<u8>>>,
}

impl Faulty {
    /// Wraps `inner`; `plan` is asked before every call what is to befall it.
    pub fn new(
        inner: Arc<dyn KeyValue>,
        plan: impl Fn(&Call<'_>) -> Fault + Send + Sync + 'static,
    ) -> Self {
        Self {
            inner,
            plan: Box::new(plan),
            seen: Mutex::default(),
        }
    }

    /// How many calls of `operation` there were on keys that begin with `prefix`.
    pub fn count(&self, operation: Operation, prefix: &str) -> u64 {
        self.seen()
            .counts
            .iter()
            .filter(|((counted, key), _)| *counted == operation && key.starts_with(prefix))
            .map(|(_, count)| count)
            .sum()
    }

    /// How many calls of any kind there were.
    pub fn total(&self) -> u64 {
        self.seen().total
    }

    /// Starts counting (and the ordinals of calls) from zero.
    pub fn reset_counts(&self) {
        let mut seen = self.seen();
        seen.total = 0;
        seen.counts.clear();
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the call, lets the plan decide, and suffers what comes before the effect.
    async fn enter(&self, operation: Operation, key: &str) -> StoreResult<Fault> {
        let (ordinal, total) = {
            let mut seen = self.seen();
            seen.total += 1;
            let total = seen.total;
            let ordinal = seen.counts.entry((operation, key.to_owned())).or_default();
            *ordinal += 1;
            (*ordinal, total)
        };
        let fault = (self.plan)(&Call {
            operation,
            key,
            ordinal,
            total,
        });
        match fault {
            Fault::ErrorBefore => return Err(injected("before", operation, key)),
            Fault::Hang(time) => tokio::time::sleep(time).await,
            _ => {}
        }
        Ok(fault)
    }

    async fn remember(&self, key: &str) -> StoreResult<()> {
        let before = self.inner.get(key).await?;
        self.seen().before.insert(key.to_owned(), before);
        Ok(())
    }

    fn stale(&self, fault: Fault, key: &str) -> Option<Option<Vec<u8>>> {
        (fault == Fault::Stale)
            .then(|| self.seen().before.get(key).cloned())
            .flatten()
    }
}

fn injected(when: &str, operation: Operation, key: &str) -> StoreError {
    StoreError::new(format!(
        "injected failure {when} the effect of {operation:?} {key:?}"
    ))
}

/// What the caller hears of an operation that was carried out.
fn leave<T>(fault: Fault, operation: Operation, key: &str, answer: T) -> StoreResult<T> {
    match fault {
        Fault::ErrorAfter => Err(injected("after", operation, key)),
        _ => Ok(answer),
    }
}

#[async_trait]
impl KeyValue for Faulty {
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
        self.remember(key).await?;
        self.inner.set(key, value).await?;
        leave(fault, Operation::Set, key, ())
    }

    async fn delete(&self, key: &str) -> StoreResult<()> {
        let fault = self.enter(Operation::Delete, key).await?;
        self.remember(key).await?;
        self.inner.delete(key).await?;
        leave(fault, Operation::Delete, key, ())
    }

    async fn exists(&self, key: &str) -> StoreResult<bool> {
        let fault = self.enter(Operation::Exists, key).await?;
        let there = match self.stale(fault, key) {
            Some(old) => old.is_some(),
            None => self.inner.exists(key).await?,
        };
        leave(fault, Operation::Exists, key, there)
    }

    async fn get_keys(&self) -> StoreResult<Vec<String>> {
        let fault = self.enter(Operation::GetKeys, "").await?;
        let keys = self.inner.get_keys().await?;
        leave(fault, Operation::GetKeys, "", keys)
    }

    async fn increment(&self, key: &str, delta: i64) -> StoreResult<i64> {
        let fault = self.enter(Operation::Increment, key).await?;
        self.remember(key).await?;
        let sum = self.inner.increment(key, delta).await?;
        leave(fault, Operation::Increment, key, sum)
    }

    async fn swap(&self, key: &str, seen: Option<&[u8]>, value: &[u8]) -> StoreResult<Swap> {
        let fault = self.enter(Operation::Swap, key).await?;
        self.remember(key).await?;
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
            self.remember(key).await?;
        }
        self.inner.set_many(pairs).await?;
        leave(fault, Operation::SetMany, first, ())
    }

    async fn delete_many(&self, keys: &[String]) -> StoreResult<()> {
        let first = first(keys);
        let fault = self.enter(Operation::DeleteMany, first).await?;
        for key in keys {
            self.remember(key).await?;
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
    use super::super::Memory;
    use super::*;

    fn on(wanted: Operation, nth: u64, fault: Fault) -> Faulty {
        Faulty::new(Arc::new(Memory::default()), move |call| {
            if call.operation == wanted && call.ordinal == nth {
                fault
            } else {
                Fault::None
            }
        })
    }

    #[tokio::test]
    async fn an_error_before_leaves_no_trace() {
        let store = on(Operation::Set, 2, Fault::ErrorBefore);
        store.set("k", b"1").await.unwrap();
        assert!(store.set("k", b"2").await.is_err());
        assert_eq!(store.get("k").await.unwrap().unwrap(), b"1");
    }

    #[tokio::test]
    async fn an_error_after_has_taken_effect() {
        let store = on(Operation::Swap, 1, Fault::ErrorAfter);
        assert!(store.swap("k", None, b"1").await.is_err());
        assert_eq!(store.get("k").await.unwrap().unwrap(), b"1");
    }

    #[tokio::test]
    async fn a_swap_can_win_and_be_told_it_lost() {
        let store = on(Operation::Swap, 1, Fault::LostAfter);
        assert_eq!(store.swap("k", None, b"1").await.unwrap(), Swap::Lost);
        assert_eq!(store.get("k").await.unwrap().unwrap(), b"1");
    }

    #[tokio::test(start_paused = true)]
    async fn a_hang_passes_by_the_virtual_clock() {
        let store = on(Operation::Get, 1, Fault::Hang(Duration::from_secs(3600)));
        let start = tokio::time::Instant::now();
        store.get("k").await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 3600);
    }

    #[tokio::test]
    async fn a_stale_read_answers_what_was_there_before() {
        let store = on(Operation::Get, 2, Fault::Stale);
        store.set("k", b"old").await.unwrap();
        store.set("k", b"new").await.unwrap();
        assert_eq!(store.get("k").await.unwrap().unwrap(), b"new");
        assert_eq!(store.get("k").await.unwrap().unwrap(), b"old");
        assert_eq!(store.get("k").await.unwrap().unwrap(), b"new");
    }

    #[tokio::test]
    async fn counts_by_operation_and_prefix() {
        let store = Faulty::new(Arc::new(Memory::default()), |_| Fault::None);
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
