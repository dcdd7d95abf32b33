//! The driver that writes an instance's counts to the store.
//!
//! While an instance is active, one of its tasks writes at intervals. When nothing has happened for a
//! second, it writes the rest, releases the slot and ends. It never writes twice within the interval.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use super::recorder::Recorder;
use super::slot::{BLOCKS, Slot, SlotError, block, probe, slot_creation_key, slot_key};
use super::{Counter, Metrics};
use crate::core::environment::Environment;
use crate::core::logging::Logger;
use crate::core::store::{KeyValueStore, StoreClient, StoreError, SwapError};
use crate::core::time::Instant;

/// The interval at which the task checks whether a write is due.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The largest number of reads to claim a slot.
const CLAIM_READS: u32 = 24;

/// The number of slots that an instance claims and releases; it keeps the next. Spin grants an instance
/// 256 swaps in its lifetime, and its commits and limits need 228.
const MAX_CLAIMS: u32 = 20;

/// The number of writes that an idle instance tries before it gives up its counts.
const LAST_TRIES: u32 = 3;

/// Counts that could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MetricsError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored value is not a slot.
    #[error(transparent)]
    Slot(#[from] SlotError),
}

/// The writer of an instance's counts. Clones are handles to the same writer.
pub struct MetricsWriter<E, S>(Rc<Shared<E, S>>);

struct Shared<E, S> {
    env: E,
    store: StoreClient<E, S>,
    metrics: Metrics,
    logger: Logger<E>,
    /// `None` until it is configured, and if nothing is to be written.
    interval: Cell<Option<Duration>>,
    activities: Rc<Activities>,
    is_running: Cell<bool>,
    /// The time of the last write, whether it succeeded or not.
    last_write: Cell<Option<Instant>>,
    /// The slot that this instance owns.
    slot: Cell<Option<u32>>,
    claims: Cell<u32>,
}

#[derive(Debug, Default)]
struct Activities {
    active: Cell<u64>,
    /// The number that ever began.
    begun: Cell<u64>,
}

/// Something that keeps the instance busy, such as a request, until it is dropped.
#[derive(Debug)]
pub struct Activity(Rc<Activities>);

impl Drop for Activity {
    fn drop(&mut self) {
        self.0.active.set(self.0.active.get().saturating_sub(1));
    }
}

/// An open event stream, until it is dropped.
#[derive(Debug)]
pub struct OpenStream {
    metrics: Metrics,
    _activity: Activity,
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.metrics.with(Recorder::stream_ended);
    }
}

impl<E, S> Clone for MetricsWriter<E, S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E, S> fmt::Debug for MetricsWriter<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricsWriter").finish_non_exhaustive()
    }
}

impl<E: Environment, S: KeyValueStore> MetricsWriter<E, S> {
    /// Creates a writer of `metrics`, which writes nothing before
    /// [`set_interval`](MetricsWriter::set_interval).
    #[must_use]
    pub fn new(env: E, store: StoreClient<E, S>, metrics: Metrics, logger: Logger<E>) -> Self {
        Self(Rc::new(Shared {
            env,
            store,
            metrics,
            logger,
            interval: Cell::new(None),
            activities: Rc::default(),
            is_running: Cell::new(false),
            last_write: Cell::new(None),
            slot: Cell::new(None),
            claims: Cell::new(0),
        }))
    }

    /// Sets the interval of writes; with `None` nothing is written.
    pub fn set_interval(&self, interval: Option<Duration>) {
        self.0.interval.set(interval);
    }

    /// Counts a request as active, and starts the task that writes the counts unless it runs already. Only
    /// within a request's own task.
    #[must_use]
    pub fn begin_activity(&self) -> Activity {
        let activities = &self.0.activities;
        let increment = |count: &Cell<u64>| count.set(count.get().saturating_add(1));
        increment(&activities.active);
        increment(&activities.begun);
        if let Some(interval) = self.0.interval.get()
            && !self.0.is_running.replace(true)
        {
            self.0.env.spawn(self.clone().run(interval));
        }
        Activity(activities.clone())
    }

    /// Counts an event stream as open.
    #[must_use]
    pub fn open_stream(&self) -> OpenStream {
        self.0.metrics.add(Counter::StreamsOpened, 1);
        self.0.metrics.with(Recorder::stream_opened);
        OpenStream {
            metrics: self.0.metrics.clone(),
            _activity: self.begin_activity(),
        }
    }

    /// Writes until the instance is idle.
    async fn run(self, interval: Duration) {
        let Shared {
            env, activities, ..
        } = &*self.0;
        let started = env.now();
        let mut seen = 0;
        let mut last_tries = 0_u32;
        loop {
            env.sleep(CHECK_INTERVAL).await;
            let begun = activities.begun.get();
            let is_idle = activities.active.get() == 0 && begun == seen;
            seen = begun;
            let has_passed =
                |since: Instant| env.now().saturating_duration_since(since) >= interval;
            let is_due = match self.0.last_write.get() {
                Some(last_write) => has_passed(last_write),
                None => is_idle || has_passed(started),
            };
            if !is_due {
                continue;
            }
            let is_written = self
                .write(is_idle && self.0.claims.get() < MAX_CLAIMS)
                .await;
            last_tries = last_tries.saturating_add(u32::from(is_idle));
            let is_still_idle = is_idle && activities.begun.get() == seen;
            if is_still_idle && (is_written || last_tries >= LAST_TRIES) {
                return self.0.is_running.set(false);
            }
        }
    }

    /// Writes the counts and returns whether that succeeded. With `release` the slot is free afterwards.
    async fn write(&self, release: bool) -> bool {
        if self.0.slot.get().is_none() && self.0.metrics.with(|recorder| recorder.is_clean()) {
            return true;
        }
        self.0.last_write.set(Some(self.0.env.now()));
        self.write_slot(release).await.unwrap_or_else(|error| {
            self.0.logger.error("metrics_failed", None, error);
            false
        })
    }

    async fn write_slot(&self, release: bool) -> Result<bool, MetricsError> {
        if let Some(slot) = self.0.slot.get()
            && self.renew(slot, release).await?
        {
            return Ok(true);
        }
        self.claim(release).await
    }

    /// Writes the slot that this instance owns; returns false if it has to be claimed again.
    async fn renew(&self, slot: u32, release: bool) -> Result<bool, MetricsError> {
        let key = slot_key(slot);
        let value = self.0.store.get(&key).await?;
        // No other instance creates a slot whose creation counter this one has won.
        let is_created = value.is_some();
        let stored = decode(value)?;
        if is_created && stored.is_free(self.0.env.clock().wall) {
            // A write that released it was reported failed, or it has expired: others may claim it.
            return Ok(false);
        }
        let Some(value) = self.next_value(stored, release) else {
            self.0.slot.set(None);
            return Ok(false);
        };
        self.0.store.set(&key, &value.encode()?).await?;
        self.written(slot, release);
        Ok(true)
    }

    /// Claims a slot and writes it, by one swap; returns false if none could be claimed. A slot that this
    /// instance has tried to write comes first, since it shows the outcome. A slot whose creator dies before
    /// it has written is never used; there are hundreds.
    async fn claim(&self, release: bool) -> Result<bool, MetricsError> {
        let store = &self.0.store;
        let mut tried = 0;
        let mut contested = self.0.slot.get();
        for _ in 0..CLAIM_READS {
            let Some(slot) = contested.or_else(|| probe(tried, self.0.env.random())) else {
                return Ok(false);
            };
            let (cas, stored) = store.read_for_swap(&slot_key(slot)).await?;
            // A store may let several swaps of a missing value succeed, so a counter chooses the creator.
            let is_taken =
                stored.is_none() && store.increment(&slot_creation_key(slot)).await? != 1;
            let value = if is_taken {
                None
            } else {
                self.next_value(decode(stored)?, release)
            };
            let Some(value) = value else {
                contested = None;
                tried = tried.saturating_add(1);
                continue;
            };
            // Record ownership first: if the swap reports failure, re-reading the slot reveals the outcome.
            self.0.slot.set(Some(slot));
            self.0.claims.set(self.0.claims.get().saturating_add(1));
            match store.swap(cas, &value.encode()?).await {
                Ok(()) => {
                    self.written(slot, release);
                    return Ok(true);
                }
                Err(SwapError::Lost) => contested = Some(slot),
                Err(SwapError::Exhausted) => {
                    self.0.slot.set(None);
                    return Ok(false);
                }
                Err(SwapError::Store(error)) => return Err(error.into()),
            }
        }
        Ok(false)
    }

    fn next_value(&self, stored: Slot, release: bool) -> Option<Slot> {
        let now = self.0.env.clock().wall;
        let next = |recorder: &mut Recorder| recorder.next_value(stored, now, release);
        self.0.metrics.with(next)
    }

    fn written(&self, slot: u32, release: bool) {
        self.0.metrics.with(Recorder::written);
        self.0.slot.set((!release).then_some(slot));
    }

    /// Reads the slots of all instances, present and past.
    ///
    /// # Errors
    /// If the store fails, or has a value that is not a slot.
    pub async fn read_slots(&self) -> Result<Vec<Slot>, MetricsError> {
        let mut slots = vec![];
        for number in 0..BLOCKS {
            let keys: Vec<_> = block(number).map(slot_key).collect();
            let before = slots.len();
            for value in self.0.store.get_many(&keys).await?.into_iter().flatten() {
                slots.push(Slot::decode(&value)?);
            }
            if slots.len() == before {
                break;
            }
        }
        Ok(slots)
    }
}

fn decode(stored: Option<Bytes>) -> Result<Slot, SlotError> {
    stored.map_or_else(|| Ok(Slot::default()), |bytes| Slot::decode(&bytes))
}
