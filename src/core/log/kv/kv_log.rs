//! The engine: carries commits and reads out against a store.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;

use super::commit::{Action, Commit, Completion, Contention, Request};
use super::commit_queue::{CommitQueue, GroupLeader, GroupOutcome, Ticket};
use super::head::Head;
use super::head_cache::{self, CachedHead, HeadCache};
use super::key::{create_key, head_key, segment_key};
use super::kv_reader::KvReader;
use super::segment::{self, Parts, SegmentError, SegmentId};
use super::segment_cache::{self, SegmentCache};
use crate::core::channel::Channel;
use crate::core::environment::Environment;
use crate::core::limit::RetryAfter;
use crate::core::log::{
    AppendError, Appended, Batch, CommitError, Log, ReadError, ReaderOptions, Retention,
};
use crate::core::metrics::{Counter, Histogram, Metrics};
use crate::core::parking::Parking;
use crate::core::store::{KeyValueStore, StoreClient, SwapError};
use crate::core::time::Instant;

/// The shortest and the longest interval at which a reader that waits for another looks the result up in
/// the cache. Between these it has waited as long as it waits again.
const LOOKUP_INTERVAL: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(64));

/// While swaps are lost to other instances, one commit in this many merges segments: most of them would
/// store the same merged segment.
const CONTENDED_MERGES: u64 = 32;

/// The log engine on a key-value store. Clones are handles to the same engine.
pub struct KvLog<E, S>(Rc<Shared<E, S>>);

struct Shared<E, S> {
    env: E,
    store: StoreClient<E, S>,
    metrics: Metrics,
    parking: Parking<E>,
    heads: HeadCache,
    segments: SegmentCache,
    queues: RefCell<HashMap<Channel, CommitQueue>>,
}

impl<E, S> Clone for KvLog<E, S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E, S> fmt::Debug for KvLog<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvLog").finish_non_exhaustive()
    }
}

impl<E: Environment, S: KeyValueStore> Log for KvLog<E, S> {
    type Reader = KvReader<E, S>;

    async fn append(
        &self,
        channel: &Channel,
        batch: Batch,
        retention: Retention,
    ) -> Result<Appended, AppendError> {
        let mut queued = QueuedBatch::join(self, channel, batch);
        loop {
            if let Some(outcome) = queued.with_queue(CommitQueue::take_outcome).flatten() {
                return outcome;
            }
            let now = self.0.env.now();
            let leader = queued.with_queue(|queue, ticket| queue.try_lead(ticket, now));
            if let Some(leader) = leader.flatten() {
                queued.commit(leader, retention).await;
            } else if let Some(then) =
                queued.with_queue(|queue, ticket| queue.next_check(ticket, now))
            {
                self.0.env.sleep_until(then).await;
            }
        }
    }

    async fn purge(&self, channel: &Channel, retention: Retention) -> Result<(), CommitError> {
        let (outcome, _) = self.commit(channel, Request::Purge, retention, false).await;
        outcome.map(drop)
    }

    fn reader(&self, channel: &Channel, options: ReaderOptions) -> KvReader<E, S> {
        KvReader::new(self.clone(), channel.clone(), options)
    }
}

impl<E: Environment, S: KeyValueStore> KvLog<E, S> {
    /// Creates an engine on `store`. Its readers wait in `parking`.
    #[must_use]
    pub fn new(env: E, store: StoreClient<E, S>, metrics: Metrics, parking: Parking<E>) -> Self {
        Self(Rc::new(Shared {
            env,
            store,
            metrics,
            parking,
            heads: HeadCache::default(),
            segments: SegmentCache::default(),
            queues: RefCell::default(),
        }))
    }

    pub(super) fn env(&self) -> &E {
        &self.0.env
    }

    /// Returns the head of `channel` as it was later than at `newer_than`. One read serves all readers of
    /// the instance that ask meanwhile.
    pub(super) async fn head(
        &self,
        channel: &Channel,
        newer_than: Instant,
    ) -> Result<CachedHead, ReadError> {
        let asked = self.0.env.now();
        let mut now = asked;
        loop {
            match self.0.heads.lookup(channel, newer_than, asked, now) {
                head_cache::Lookup::Hit(read) => return read,
                head_cache::Lookup::Miss => return self.fetch_head(channel).await,
                head_cache::Lookup::InFlight => now = self.await_other_reader(asked, now).await,
            }
        }
    }

    /// Returns the head as [`KvLog::head`] does, if that needs no waiting.
    pub(super) fn cached_head(
        &self,
        channel: &Channel,
        newer_than: Instant,
    ) -> Option<Result<CachedHead, ReadError>> {
        let now = self.0.env.now();
        match self.0.heads.lookup(channel, newer_than, now, now) {
            head_cache::Lookup::Hit(read) => Some(read),
            head_cache::Lookup::InFlight | head_cache::Lookup::Miss => None,
        }
    }

    async fn fetch_head(&self, channel: &Channel) -> Result<CachedHead, ReadError> {
        let _announced = Announced(&self.0.parking);
        let read = self.0.heads.begin(channel, self.0.env.now());
        let key = head_key(channel);
        let value = self.0.parking.on_host(self.0.store.get(&key)).await;
        let result = value
            .map_err(ReadError::from)
            .and_then(|value| self.decode_head(channel, &key, value, read.started));
        read.complete(&result, self.0.env.now());
        result
    }

    fn decode_head(
        &self,
        channel: &Channel,
        key: &str,
        value: Option<Bytes>,
        as_of: Instant,
    ) -> Result<CachedHead, ReadError> {
        let head = match &value {
            None => None,
            Some(bytes) => Some(match self.0.heads.unchanged(channel, bytes) {
                Some(head) => head,
                None => Rc::new(Head::decode(key, bytes)?.into()),
            }),
        };
        Ok(CachedHead { as_of, value, head })
    }

    /// Reads segments. One read serves all readers of the instance that ask meanwhile.
    pub(super) async fn segments(
        &self,
        channel: &Channel,
        ids: &[SegmentId],
    ) -> Vec<Result<Parts, SegmentError>> {
        let keys: Vec<_> = ids.iter().map(|id| segment_key(channel, *id)).collect();
        let asked = self.0.env.now();
        let mut now = asked;
        loop {
            match self.0.segments.lookup(&keys, now) {
                segment_cache::Lookup::Hit(segments) => {
                    return segments.into_iter().map(Ok).collect();
                }
                segment_cache::Lookup::Miss => break,
                segment_cache::Lookup::InFlight => now = self.await_other_reader(asked, now).await,
            }
        }
        let _announced = Announced(&self.0.parking);
        let _read = self.0.segments.begin(&keys, now);
        let reads = keys.iter().zip(ids).map(|(key, id)| self.segment(key, *id));
        join_all(reads).await
    }

    async fn segment(&self, key: &str, id: SegmentId) -> Result<Parts, SegmentError> {
        if let Some(parts) = self.0.segments.get(key) {
            return Ok(parts);
        }
        let parts = self.fetch_segment(key, id).await?;
        self.0.segments.insert(key, &parts);
        Ok(parts)
    }

    async fn fetch_segment(&self, key: &str, id: SegmentId) -> Result<Parts, SegmentError> {
        let value = self.0.parking.on_host(self.0.store.get(key)).await?;
        let value = value.ok_or(SegmentError::Absent)?;
        Ok(segment::decode(key, id, &value)?.into())
    }

    /// Reads the sources of a merge. They are not cached, since nobody will read them again.
    async fn merge_sources(
        &self,
        channel: &Channel,
        ids: &[SegmentId],
    ) -> Vec<Result<Parts, SegmentError>> {
        let read = async |id: &SegmentId| self.fetch_segment(&segment_key(channel, *id), *id).await;
        join_all(ids.iter().map(read)).await
    }

    /// Waits until another reader may have read what this one has wanted since `asked`. Returns the time.
    async fn await_other_reader(&self, asked: Instant, now: Instant) -> Instant {
        let (min, max) = LOOKUP_INTERVAL;
        let waited = now.saturating_duration_since(asked).clamp(min, max);
        let parking = &self.0.parking;
        parking.sleep(now.saturating_add(waited), true).await;
        self.0.env.now()
    }

    /// Commits `request` and returns its outcome. While the circuit breaker is open, the store is not
    /// asked.
    async fn commit(
        &self,
        channel: &Channel,
        request: Request,
        retention: Retention,
        merges: bool,
    ) -> (GroupOutcome, Contention) {
        let now = self.0.env.now();
        if let Err(RetryAfter(retry_after)) = self.0.store.circuit(|circuit| circuit.enter(now)) {
            let error = CommitError::CircuitOpen(retry_after);
            return (Err(error), Contention::default());
        }
        let (outcome, contention) = self.drive_commit(channel, request, retention, merges).await;
        self.0
            .metrics
            .add(Counter::SwapConflicts, contention.lost_swaps);
        let (now, random) = (self.0.env.now(), self.0.env.random());
        self.0.store.circuit(|circuit| match &outcome {
            Err(CommitError::Store(_) | CommitError::Timeout | CommitError::OutcomeUnknown(_)) => {
                circuit.failed(now, random)
            }
            _ => circuit.succeeded(),
        });
        (outcome, contention)
    }

    async fn drive_commit(
        &self,
        channel: &Channel,
        request: Request,
        retention: Retention,
        merges: bool,
    ) -> (GroupOutcome, Contention) {
        let Shared { env, store, .. } = &*self.0;
        let mut commit = Commit::new(channel.clone(), request, retention, env.random(), env.now())
            .with_backoff_factor(store.swap_backoff_factor())
            .with_merges(merges);
        let head_key = head_key(channel);
        let mut cas = None;
        let mut action = Action::Read;
        loop {
            let completion = match action {
                Action::Read => {
                    let read = store.read_for_swap(&head_key).await;
                    Completion::Read(read.map(|(read, value)| {
                        cas = Some(read);
                        value
                    }))
                }
                Action::Increment(period) => {
                    Completion::Incremented(store.increment(&create_key(channel, period)).await)
                }
                Action::ReadSegments(ids) => {
                    Completion::Segments(self.merge_sources(channel, &ids).await)
                }
                Action::Write(values) => Completion::Written(store.set_many(values).await),
                Action::Delete(keys) => Completion::Written(store.delete_many(&keys).await),
                Action::Swap(value) => Completion::Swapped(match cas.take() {
                    Some(cas) => store.swap(cas, &value).await,
                    None => Err(SwapError::Lost),
                }),
                Action::Sleep(duration) => {
                    env.sleep(duration).await;
                    Completion::Slept
                }
                Action::Done(outcomes) => return (Ok(outcomes), commit.contention()),
                Action::Failed(error) => return (Err(error), commit.contention()),
            };
            action = commit.step(completion, env.clock());
        }
    }
}

/// Announces the end of a shared read when it is dropped, after the guard of the read.
struct Announced<'a, E: Environment>(&'a Parking<E>);

impl<E: Environment> Drop for Announced<'_, E> {
    fn drop(&mut self) {
        self.0.read_ended();
    }
}

/// A publisher's batch in the commit queue of its channel, until it is dropped.
struct QueuedBatch<'a, E: Environment, S: KeyValueStore> {
    log: &'a KvLog<E, S>,
    channel: &'a Channel,
    ticket: Ticket,
    /// The group that this publisher is committing.
    leads: Option<u64>,
}

impl<'a, E: Environment, S: KeyValueStore> QueuedBatch<'a, E, S> {
    fn join(log: &'a KvLog<E, S>, channel: &'a Channel, batch: Batch) -> Self {
        let now = log.0.env.now();
        let mut queues = log.0.queues.borrow_mut();
        let ticket = queues.entry(channel.clone()).or_default().join(batch, now);
        Self {
            log,
            channel,
            ticket,
            leads: None,
        }
    }

    fn with_queue<T>(&self, act: impl FnOnce(&mut CommitQueue, &Ticket) -> T) -> Option<T> {
        let mut queues = self.log.0.queues.borrow_mut();
        Some(act(queues.get_mut(self.channel)?, &self.ticket))
    }

    async fn commit(&mut self, leader: GroupLeader, retention: Retention) {
        self.leads = Some(leader.group());
        let merges =
            !leader.is_contended || self.log.0.env.random().is_multiple_of(CONTENDED_MERGES);
        let request = Request::Append(leader.batches);
        let commit = self.log.commit(self.channel, request, retention, merges);
        let (outcome, contention) = commit.await;
        let appended = outcome.iter().flatten().flatten();
        let events = appended
            .filter(|appended| !appended.repeated)
            .map(|appended| appended.count)
            .fold(0, u64::saturating_add);
        if events > 0 {
            let metrics = &self.log.0.metrics;
            metrics.observe(Histogram::CommitEvents, events);
        }
        self.finish(outcome, contention);
    }

    fn finish(&mut self, outcome: GroupOutcome, contention: Contention) {
        if let Some(group) = self.leads.take() {
            self.with_queue(|queue, _| queue.finish(group, outcome, contention));
        }
    }
}

impl<E: Environment, S: KeyValueStore> Drop for QueuedBatch<'_, E, S> {
    fn drop(&mut self) {
        // A leader that is dropped in mid-commit must not leave the others waiting.
        let abandoned = CommitError::OutcomeUnknown("the commit was abandoned".to_owned());
        self.finish(Err(abandoned), Contention::default());
        self.with_queue(CommitQueue::leave);
    }
}
