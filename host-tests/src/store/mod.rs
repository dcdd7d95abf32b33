//! Key-value stores, with the semantics of Spin's SQLite backend.
//!
//! The development server uses [`Sqlite`], tests under paused time use [`Memory`]. [`FaultInjector`]
//! wraps either to count calls and to inject the faults of a [`FaultPlan`].

mod fault_injector;
mod fault_plan;
mod memory;
mod sqlite;

use async_trait::async_trait;

pub use fault_injector::FaultInjector;
pub use fault_plan::{Call, Fault, FaultPattern, FaultPlan, Operation};
pub use memory::Memory;
pub use sqlite::Sqlite;

/// A failed store operation. The guest sees the text as `error::other`.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite failed.
    #[error("SQLite: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// An increment of a value that is not a number, and its length.
    #[error("cannot increment a value of {0} bytes: a number has 8")]
    NotANumber(usize),
    /// The sum of an increment does not fit 64 bits.
    #[error("the increment overflows")]
    Overflow,
    /// A test injected [`Fault::ErrorBefore`].
    #[error("injected failure before the effect of {operation:?} {key:?}")]
    InjectedBefore {
        /// The operation that was called.
        operation: Operation,
        /// Its key.
        key: String,
    },
    /// A test injected [`Fault::ErrorAfter`].
    #[error("injected failure after the effect of {operation:?} {key:?}")]
    InjectedAfter {
        /// The operation that was called.
        operation: Operation,
        /// Its key.
        key: String,
    },
}

/// The result of a store operation.
pub type StoreResult<T> = Result<T, StoreError>;

/// The outcome of a compare-and-swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// The new value is stored.
    Done,
    /// The value has changed since it was read; nothing was stored.
    Lost,
}

/// The key-value store behind one label of a manifest.
#[async_trait]
pub trait KeyValue: Send + Sync + 'static {
    /// Returns the value of `key`.
    async fn get(&self, key: &str) -> StoreResult<Option<Vec<u8>>>;

    /// Returns the value of `key` at the beginning of a compare-and-swap. A method of its own so that
    /// tests can distinguish it from `get`.
    async fn current(&self, key: &str) -> StoreResult<Option<Vec<u8>>> {
        self.get(key).await
    }

    /// Sets the value of `key` unconditionally.
    async fn set(&self, key: &str, value: &[u8]) -> StoreResult<()>;

    /// Removes `key`. It is no error if `key` does not exist.
    async fn delete(&self, key: &str) -> StoreResult<()>;

    /// Returns `true` if `key` exists.
    async fn exists(&self, key: &str) -> StoreResult<bool>;

    /// Returns all keys, in no particular order.
    async fn get_keys(&self) -> StoreResult<Vec<String>>;

    /// Adds `delta` to the number under `key` (zero if absent) and returns the sum. The number is
    /// stored as eight bytes, little-endian; a value of another length is an error.
    async fn increment(&self, key: &str, delta: i64) -> StoreResult<i64>;

    /// Stores `value` if the value of `key` is still `seen`.
    ///
    /// If `seen` is `None`, stores `value` *unconditionally*: Spin's SQLite backend turns a swap on a
    /// missing key into an upsert, so two concurrent creators both win. Code that runs on Spin has to
    /// cope with that, so this host behaves the same.
    async fn swap(&self, key: &str, seen: Option<&[u8]>, value: &[u8]) -> StoreResult<Swap>;

    /// Returns the pairs of those of `keys` that exist. (Spin's SQLite backend leaves the others out,
    /// although the interface lists them as absent.)
    async fn get_many(&self, keys: &[String]) -> StoreResult<Vec<(String, Vec<u8>)>> {
        let mut pairs = Vec::new();
        for key in keys {
            if let Some(value) = self.get(key).await? {
                pairs.push((key.clone(), value));
            }
        }
        Ok(pairs)
    }

    /// Sets all pairs, in one transaction if the store has transactions.
    async fn set_many(&self, pairs: &[(String, Vec<u8>)]) -> StoreResult<()> {
        for (key, value) in pairs {
            self.set(key, value).await?;
        }
        Ok(())
    }

    /// Removes all `keys`, in one transaction if the store has transactions.
    async fn delete_many(&self, keys: &[String]) -> StoreResult<()> {
        for key in keys {
            self.delete(key).await?;
        }
        Ok(())
    }
}

/// Returns the sum of an increment, as a number and encoded.
fn incremented(stored: Option<&[u8]>, delta: i64) -> StoreResult<(i64, [u8; 8])> {
    let number = match stored {
        None => 0,
        Some(bytes) => {
            let number = bytes
                .try_into()
                .map_err(|_| StoreError::NotANumber(bytes.len()))?;
            i64::from_le_bytes(number)
        }
    };
    let sum = number.checked_add(delta).ok_or(StoreError::Overflow)?;
    Ok((sum, sum.to_le_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn assert_conforms(store: &dyn KeyValue) {
        assert_eq!(store.get("a").await.unwrap(), None);
        assert!(!store.exists("a").await.unwrap());
        store.set("a", b"1").await.unwrap();
        store.set("a", b"2").await.unwrap();
        assert_eq!(store.get("a").await.unwrap().unwrap(), b"2");
        assert!(store.exists("a").await.unwrap());
        store.delete("a").await.unwrap();
        store.delete("a").await.unwrap();
        assert_eq!(store.get("a").await.unwrap(), None);

        assert_eq!(store.increment("n", 5).await.unwrap(), 5);
        assert_eq!(store.increment("n", -7).await.unwrap(), -2);
        assert_eq!(
            store.get("n").await.unwrap().unwrap(),
            (-2i64).to_le_bytes()
        );
        store.set("word", b"abc").await.unwrap();
        assert!(store.increment("word", 1).await.is_err());
        assert_eq!(store.get("word").await.unwrap().unwrap(), b"abc");

        store.set("c", b"old").await.unwrap();
        let lost = store.swap("c", Some(b"other"), b"new").await.unwrap();
        assert_eq!(lost, Swap::Lost);
        let done = store.swap("c", Some(b"old"), b"new").await.unwrap();
        assert_eq!(done, Swap::Done);
        assert_eq!(store.get("c").await.unwrap().unwrap(), b"new");
        let gone = store.swap("gone", Some(b"x"), b"y").await.unwrap();
        assert_eq!(gone, Swap::Lost);

        // Two swaps that read no value both win.
        assert_eq!(store.swap("q", None, b"first").await.unwrap(), Swap::Done);
        assert_eq!(store.swap("q", None, b"second").await.unwrap(), Swap::Done);
        assert_eq!(store.get("q").await.unwrap().unwrap(), b"second");

        let pairs = [
            ("m1".to_owned(), b"1".to_vec()),
            ("m2".to_owned(), b"2".to_vec()),
        ];
        store.set_many(&pairs).await.unwrap();
        let keys = ["m2", "absent", "m1"].map(str::to_owned);
        let mut found = store.get_many(&keys).await.unwrap();
        found.sort();
        assert_eq!(found, pairs);
        store.delete_many(&keys).await.unwrap();
        let mut keys = store.get_keys().await.unwrap();
        keys.sort();
        assert_eq!(keys, ["c", "n", "q", "word"]);
    }

    #[tokio::test]
    async fn the_memory_store_conforms() {
        assert_conforms(&Memory::default()).await;
    }

    #[tokio::test]
    async fn the_sqlite_store_conforms_on_one_thread() {
        let folder = tempfile::tempdir().unwrap();
        assert_conforms(&Sqlite::open(folder.path(), "default").unwrap()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_sqlite_store_conforms_on_many_threads() {
        let folder = tempfile::tempdir().unwrap();
        assert_conforms(&Sqlite::open(folder.path(), "default").unwrap()).await;
    }

    #[tokio::test]
    async fn a_fault_injector_without_faults_conforms() {
        let memory = std::sync::Arc::new(Memory::default());
        assert_conforms(&FaultInjector::new(memory)).await;
    }
}
