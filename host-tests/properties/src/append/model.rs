//! A model of a log: the state that the log should have, beside the log.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use crate::log::stored;
use runnel::core::log::kv::segment::{self, SegmentId};
use runnel::core::log::kv::{
    Append, Head, IDEMPOTENCY_KEYS, IDEMPOTENCY_WINDOW, RECENT_COMMITS, append, purge,
};
use runnel::core::log::{
    AppendError, Appended, Batch, IdempotencyKey, NewEvent, RecordBatch, Retention,
};
use runnel::core::sse::{Epoch, Seq};
use runnel::core::time::Timestamp;

/// The time of the first command: the beginning of 2026.
const START_TIME: Timestamp = Timestamp(1_767_225_600_000);

/// A log with its store, and the state that it should have.
pub(super) struct Model {
    head: Head,
    /// The segments in the store.
    store: HashMap<SegmentId, Bytes>,
    now: Timestamp,
    commits: u64,
    /// The events of this epoch with the times of their appends; the first has seq 1.
    events: Vec<(Timestamp, NewEvent)>,
    closed: bool,
    idempotency: BTreeMap<[u8; 16], IdempotencyEntry>,
}

#[derive(Clone, Copy)]
struct IdempotencyEntry {
    content: [u8; 16],
    first: Seq,
    count: u64,
    time: Timestamp,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            head: Head::new(Epoch::from_random(0)),
            store: HashMap::new(),
            now: START_TIME,
            commits: 0,
            events: vec![],
            closed: false,
            idempotency: BTreeMap::new(),
        }
    }
}

impl Model {
    /// Advances the clock, or sets it back.
    pub(super) fn advance_clock(&mut self, millis: i64) {
        self.now = Timestamp(self.now.0.saturating_add_signed(millis).max(START_TIME.0));
    }

    /// Commits a group and checks the results and the next head.
    pub(super) fn append(&mut self, group: &[Batch], retention: &Retention) {
        let nonce = self.commits + 1;
        let plan = append(&self.head, group, nonce, self.now, retention);
        let Append { outcomes, change } = plan.expect("every record is readable");
        let expired = self.now.saturating_sub(IDEMPOTENCY_WINDOW);
        let mut idempotency = self.idempotency.clone();
        idempotency.retain(|_, entry| entry.time > expired);
        let old_next = self.next();
        let mut changed = false;
        assert_eq!(outcomes.len(), group.len());
        for (batch, outcome) in group.iter().zip(outcomes) {
            let known = batch
                .idempotency_key
                .and_then(|given| idempotency.get(&given.key));
            let expected = match (known, batch.idempotency_key) {
                (Some(known), Some(given)) if known.content == given.content => {
                    Ok((known.first, known.count, true))
                }
                (Some(_), _) => Err(AppendError::KeyReused),
                _ if self.closed && batch.events.is_empty() => Ok((old_next, 0, true)),
                _ if self.closed => Err(AppendError::Closed),
                _ => {
                    changed = true;
                    let (first, count) = (self.next(), batch.events.len() as u64);
                    if let Some(IdempotencyKey { key, content }) = batch.idempotency_key {
                        let time = self.now;
                        let new = IdempotencyEntry {
                            content,
                            first,
                            count,
                            time,
                        };
                        idempotency.insert(key, new);
                    }
                    let events = batch.events.iter().map(|event| (self.now, event.clone()));
                    self.events.extend(events);
                    self.closed = batch.close;
                    Ok((first, count, false))
                }
            };
            let expected = expected.map(|(first, count, repeated)| Appended {
                epoch: self.head.epoch,
                first,
                count,
                repeated,
            });
            assert_eq!(outcome, expected);
        }
        assert_eq!(change.is_some(), changed);
        let Some(change) = change else { return };
        self.idempotency = idempotency;
        self.store_segments(change.seal);
        for id in &change.discard {
            assert!(!self.head.lists(*id), "{id:?} may still be read");
            assert!(!change.head.lists(*id), "{id:?} will still be read");
            self.store.remove(id);
        }
        let old_first = self.head.first();
        self.replace_head(change.head);
        self.check_retention(old_first, retention);
    }

    /// Plans a commit and stores its segments, but loses the race for the head.
    pub(super) fn lose_race(&mut self, batch: &Batch, retention: &Retention) {
        let group = std::slice::from_ref(batch);
        let plan = append(&self.head, group, u64::MAX, self.now, retention);
        let plan = plan.expect("every record is readable");
        self.store_segments(plan.change.map(|change| change.seal).unwrap_or_default());
    }

    /// Starts a new log.
    pub(super) fn purge(&mut self) {
        self.check();
        let epoch = Epoch::from_random(self.commits + 1);
        let head = purge(&self.head, epoch, self.commits + 1, self.now);
        self.events.clear();
        self.idempotency.clear();
        self.closed = false;
        self.replace_head(head.expect("every record is readable"));
        assert_eq!(self.head.epoch, epoch);
    }

    /// Reads the whole log and compares it with the model.
    pub(super) fn check(&self) {
        let mut next = self.head.first();
        for listed in &self.head.segments {
            assert_eq!(listed.first, next);
            let parts = self.segment(listed.id(self.head.epoch));
            assert!(listed.describes(&parts));
            assert_eq!(self.check_parts(&parts), Some(listed.newest));
            next = listed.next();
        }
        assert_eq!(self.head.inline.first, next);
        self.check_records(&self.head.inline);
    }

    fn next(&self) -> Seq {
        Seq::FIRST.plus(self.events.len() as u64)
    }

    /// Stores segments. Planning is deterministic, so one that exists already has the same bytes.
    fn store_segments(&mut self, sealed: Vec<(SegmentId, Bytes)>) {
        for (id, bytes) in sealed {
            match self.store.insert(id, bytes.clone()) {
                Some(before) => assert_eq!(before, bytes, "{id:?}"),
                None => drop(self.check_parts(&self.segment(id))),
            }
        }
    }

    /// Replaces the head by the stored form of `head`.
    fn replace_head(&mut self, head: Head) {
        self.commits += 1;
        self.head = stored(&head);
        assert_eq!(self.head, head);
        assert_eq!((head.closed, head.next()), (self.closed, self.next()));
        assert_eq!(head.commits, self.commits);
        assert!(head.remembers(self.commits));
        assert!(head.recent_commits.len() as u64 <= RECENT_COMMITS);
        assert!(head.idempotency.len() <= IDEMPOTENCY_KEYS);
        if let Some((time, _)) = self.events.last() {
            assert_eq!(head.newest, *time);
        }
        self.check_store();
    }

    /// The store has every segment that the head refers to, and none that no head will refer to.
    fn check_store(&self) {
        let epoch = self.head.epoch;
        for listed in &self.head.segments {
            let id = listed.id(epoch);
            assert!(self.store.contains_key(&id), "{id:?} is missing");
        }
        let (to_seal, _) = segment::cut(&self.head.inline).expect("an appended record can be read");
        for &id in self.store.keys() {
            let mut to_seal = to_seal.iter();
            let is_to_be_sealed = to_seal.any(|batch| SegmentId::sealed(epoch, batch.first) == id);
            let mut pending = self.head.pending_deletes.iter();
            let is_pending_delete = pending.any(|pending| pending.segment == id);
            assert!(
                self.head.lists(id) || is_pending_delete || is_to_be_sealed,
                "{id:?} is an orphan"
            );
        }
    }

    /// Retention allowed every drop since `old_first`, and allows no further one.
    fn check_retention(&self, old_first: Seq, retention: &Retention) {
        let head = &self.head;
        let (first, kept) = (head.first(), head.next().since(head.first()));
        let oldest = retention.max_age.map(|age| self.now.saturating_sub(age));
        let too_old = |time: Timestamp| oldest.is_some_and(|oldest| time < oldest);
        let is_covered = |events, bytes| events >= retention.events || bytes >= retention.bytes;
        if first > old_first {
            let dropped = usize::try_from(first.minus(2).0).expect("few events");
            let (time, _) = &self.events[dropped];
            assert!(is_covered(kept, head.bytes()) || too_old(*time));
        }
        if let Some(oldest) = head.segments.first() {
            let (events, bytes) = (kept - oldest.count, head.bytes() - oldest.bytes);
            assert!(!is_covered(events, bytes) && !too_old(oldest.newest));
        }
    }

    fn segment(&self, id: SegmentId) -> Vec<RecordBatch> {
        segment::decode("seg!fuzz", id, &self.store[&id]).expect("a segment can be decoded")
    }

    /// Checks the records of a segment. Returns the newest time.
    fn check_parts(&self, parts: &[RecordBatch]) -> Option<Timestamp> {
        let newest = parts.iter().map(|part| self.check_records(part));
        newest.max().flatten()
    }

    /// Every record is the event of its seq. Returns the newest time.
    fn check_records(&self, batch: &RecordBatch) -> Option<Timestamp> {
        let mut records = batch.records();
        let mut newest = None;
        let mut seq = batch.first;
        for record in records.by_ref() {
            let (record_seq, record) = record.expect("an appended record can be read");
            let index = usize::try_from(record_seq.since(Seq::FIRST)).expect("few events");
            let (time, event) = &self.events[index];
            assert_eq!(
                (record_seq, record.time, record.data),
                (seq, *time, event.data.as_str())
            );
            let event_type = record.event_type.map(|text| text.as_str());
            assert_eq!(event_type, event.event_type.as_deref());
            newest = newest.max(Some(record.time));
            seq = seq.plus(1);
        }
        assert_eq!((seq, records.offset()), (batch.next(), batch.records.len()));
        newest
    }
}
