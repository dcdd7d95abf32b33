//! Key-value stores, with the semantics of Spin's SQLite backend.
//!
//! [`Sqlite`] is what the development server uses, [`Memory`] what tests under paused time use, and
//! [`Faulty`] wraps either to count calls and to fail on purpose.

mod faulty;
mod memory;
mod sqlite;

use std::fmt;

use async_trait::async_trait;

pub use faulty::{Call, Fault, Faulty, Operation};
pub use memory::Memory;
pub use sqlite::Sqlite;

/// A store operation that failed. The guest sees the text as `error::other`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreError(pub String);

impl StoreError {
    pub(crate) fn new(reason: impl fmt::Display) -> Self {
        Self(reason.to_string())
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StoreError {}

/// What a store operation answers.
pub type StoreResult<T> = Result<T, StoreError>;

/// How a compare-and-swap went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// The new value is stored.
    Done,
    /// The value is no longer the one that was seen; nothing was stored.
    Lost,
}

/// One key-value store, as one label of a manifest names it.
#[async_trait]
pub trait KeyValue: Send + Sync + 'static {
    /// The value of `key`.
    async fn get(&self, key: &str) -> StoreResult<Option<Vec<u8>>>;

    /// The value of `key` as the beginning of a compare-and-swap: a `get` that a test can tell from
    /// others.
    async fn current(&self, key: &str) -> StoreResult<Option<Vec<u8>>> {
        self.get(key).await
    }

    /// Sets the value of `key`, whatever it was.
    async fn set(&self, key: &str, value: &[u8]) -> StoreResult<()>;

    /// Removes `key`; no error if it was not there.
    async fn delete(&self, key: &str) -> StoreResult<()>;

    /// Whether `key` is there.
    async fn exists(&self, key: &str) -> StoreResult<bool>;

    /// All keys, in no order one may rely on.
    async fn get_keys(&self) -> StoreResult<Vec<String>>;

    /// Adds `delta` to the number under `key` (absent: zero) and returns the sum. The number is
    /// kept as eight bytes, little-endian; a value of another length is an error.
    async fn increment(&self, key: &str, delta: i64) -> StoreResult<i64>;

    /// Stores `value` if the value of `key` is still `seen`.
    ///
    /// With `seen` absent it stores *whatever is there*: Spin's SQLite backend answers a swap on a
    /// key that was missing with an unconditional upsert, so of two creators both win. Code that
    /// runs on Spin must live with that, so this host has it too.
    async fn swap(&self, key: &str, seen: Option<&[u8]>, value: &[u8]) -> StoreResult<Swap>;

    /// The pairs of those of `keys` that are there. (Spin's SQLite backend leaves the others out,
    /// where the interface would have them listed as absent.)
    async fn get_many(&self, keys: &[String]) -> StoreResult<Vec<(String, Vec<u8>)>> {
        let mut pairs = Vec::new();
        for key in keys {
            if let Some(value) = self.get(key).await? {
                pairs.push((key.clone(), value));
            }
        }
        Ok(pairs)
    }

    /// Sets all pairs, as one transaction where the store has transactions.
    async fn set_many(&self, pairs: &[(String, Vec<u8>)]) -> StoreResult<()> {
        for (key, value) in pairs {
            self.set(key, value).await?;
        }
        Ok(())
    }

    /// Removes all `keys`, as one transaction where the store has transactions.
    async fn delete_many(&self, keys: &[String]) -> StoreResult<()> {
        for key in keys {
            self.delete(key).await?;
        }
        Ok(())
    }
}

/// The sum an increment stores, as a number and as its encoding.
fn incremented(stored: Option<&[u8]>, delta: i64) -> StoreResult<(i64, [u8; 8])> {
    let number = match stored {
        None => 0,
        Some(bytes) => i64::from_le_bytes(bytes.try_into().map_err(|_| {
            StoreError::new(format!(
                "cannot increment a value of {} bytes: a number has 8",
                bytes.len()
            ))
        })?),
    };
    let sum = number
        .checked_add(delta)
        .ok_or_else(|| StoreError::new("the increment overflows"))?;
    Ok((sum, sum.to_le_bytes()))
}

/// The laws every store keeps, run against each of them.
#[cfg(test)]
mod tests {
    use super::*;

    async fn keeps_the_laws(store: &dyn KeyValue) {
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

        // The quirk: of two that saw no value both win.
        assert_eq!(store.swap("q", None, b"first").await.unwrap(), Swap::Done);
        assert_eq!(store.swap("q", None, b"second").await.unwrap(), Swap::Done);
        assert_eq!(store.get("q").await.unwrap().unwrap(), b"second");

        let pairs = [
            ("m1".to_owned(), b"1".to_vec()),
            ("m2".to_owned(), b"2".to_vec()),
        ];
        store.set_many(&pairs).await.unwrap();
        let asked = ["m2", "absent", "m1"].map(str::to_owned);
        let mut found = store.get_many(&asked).await.unwrap();
        found.sort();
        assert_eq!(found, pairs);
        store.delete_many(&asked).await.unwrap();
        let mut keys = store.get_keys().await.unwrap();
        keys.sort();
        assert_eq!(keys, ["c", "n", "q", "word"]);
    }

    #[tokio::test]
    async fn memory_keeps_the_laws() {
        keeps_the_laws(&Memory::default()).await;
    }

    #[tokio::test]
    async fn sqlite_keeps_the_laws_on_one_thread() {
        let folder = tempfile::tempdir().unwrap();
        keeps_the_laws(&Sqlite::open(folder.path(), "default").unwrap()).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn sqlite_keeps_the_laws_on_many_threads() {
        let folder = tempfile::tempdir().unwrap();
        keeps_the_laws(&Sqlite::open(folder.path(), "default").unwrap()).await;
    }

    #[tokio::test]
    async fn a_faulty_store_without_faults_keeps_the_laws() {
        keeps_the_laws(&Faulty::new(std::sync::Arc::new(Memory::default()), |_| {
            Fault::None
        }))
        .await;
    }
}
