//! The key-value store beneath the log, the rate limits and the metrics.
//!
//! [`KeyValueStore`] is the interface of Spin's stores. [`StoreClient`] is the handle that the rest of an
//! instance uses: it counts and times each call, enforces the budget of swaps, and holds the circuit
//! breaker.

mod client;

pub use client::StoreClient;

use bytes::Bytes;
use thiserror::Error;

/// A store whose values are replaced by compare-and-swap.
///
/// Its guarantees are weak (measured on Spin 4.1): a failed call may have taken effect, or may take effect
/// later; [`swap`](Self::swap) may report a loss for a swap that took effect (Redis); a swap on a
/// missing key may let several callers succeed (SQLite); [`get`](Self::get) may be stale (DynamoDB);
/// [`increment`](Self::increment) is sound.
pub trait KeyValueStore: 'static {
    /// A value as it was read, to be swapped for another.
    type Cas;

    /// Reads a value; `None` if there is none.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Bytes>, StoreError>>;

    /// Reads several values in the order of their keys; `None` where there is none.
    fn get_many(
        &self,
        keys: &[String],
    ) -> impl Future<Output = Result<Vec<Option<Bytes>>, StoreError>>;

    /// Stores a value. After an error it may be stored.
    fn set(&self, key: &str, value: &[u8]) -> impl Future<Output = Result<(), StoreError>>;

    /// Stores values under their keys, in any order. After an error some may be stored.
    fn set_many(
        &self,
        values: Vec<(String, Bytes)>,
    ) -> impl Future<Output = Result<(), StoreError>>;

    /// Deletes keys, present or not. After an error some may be deleted.
    fn delete_many(&self, keys: &[String]) -> impl Future<Output = Result<(), StoreError>>;

    /// Adds 1 to a counter and returns the sum.
    fn increment(&self, key: &str) -> impl Future<Output = Result<i64, StoreError>>;

    /// Begins a compare-and-swap: reads the value that [`swap`](Self::swap) compares with.
    fn read_for_swap(
        &self,
        key: &str,
    ) -> impl Future<Output = Result<(Self::Cas, Option<Bytes>), StoreError>>;

    /// Stores `value` if the value has not changed since it was read.
    ///
    /// # Errors
    /// [`SwapError::Lost`] or [`SwapError::Store`]; either may be reported for a swap that took effect.
    fn swap(&self, cas: Self::Cas, value: &[u8]) -> impl Future<Output = Result<(), SwapError>>;
}

/// A call of the store that failed, with the store's own words.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{call}: {message}")]
pub struct StoreError {
    /// The call and its key, such as `get head!orders`.
    pub call: String,
    /// The store's message.
    pub message: String,
}

/// A swap that did not succeed, as far as the store knows.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SwapError {
    /// The store says that the value was changed in between.
    #[error("another writer was faster")]
    Lost,
    /// The store had an error.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The swap was not tried: the host grants this instance no more.
    #[error("the host grants this instance no more swaps")]
    Exhausted,
}
