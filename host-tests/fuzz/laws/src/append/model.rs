//! What a log must hold, kept beside the log.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::log::stored;
use runnel::core::log::{
    Append, AppendError, Appended, Batch, Head, IDEMPOTENCY_KEYS, IDEMPOTENCY_MILLIS,
    IdempotencyKey, NewEvent, RECENT_COMMITS, RecordBatch, Retention, SegmentId, append, purge,
    segment,
};
use runnel::core::sse::{Epoch, Seq};
use runnel::core::time::Timestamp;

/// When the first command is carried out: the beginning of 2026.
const BEGIN: Timestamp = Timestamp(1_767_225_600_000);

/// A log with its store, and what it should be.
pub(super) struct Model {
    head: Head,
    /// The segments in the store.
    store: BTreeMap<(Epoch, Seq), Bytes>,
    now: Timestamp,
    commits: u64,
    /// Every event of this epoch and when it was appended; the first has seq 1.
    events: Vec<(Timestamp, NewEvent)>,
    closed: bool,
    remembered: BTreeMap<[u8; 16], IdempotencyEntry>,
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
            store: BTreeMap::new(),
            now: BEGIN,
            commits: 0,
            events: vec![],
            closed: false,
            remembered: BTreeMap::new(),
        }
    }
}

impl Model {
    /// Lets time pass, or the clock go back.
    pub(super) fn pass(&mut self, millis: i64) {
        self.now = Timestamp(self.now.0.saturating_add_signed(millis).max(BEGIN.0));
    }

    /// Commits a group and holds the answers and the next head against what they should be.
    pub(super) fn append(&mut self, group: &[Batch], retention: &Retention) {
        let nonce = self.commits + 1;
        let plan = append(&self.head, group, nonce, self.now, retention);
        let Append { answers, change } = plan.expect("every record was written by us");
        let expired = self.now.minus_seconds(IDEMPOTENCY_MILLIS / 1000);
        let mut remembered = self.remembered.clone();
        remembered.retain(|_, known| known.time > expired);
        let old_next = self.next();
        let mut changed = false;
        assert_eq!(answers.len(), group.len());
        for (batch, answer) in group.iter().zip(answers) {
            let known = batch.repeat.and_then(|repeat| remembered.get(&repeat.key));
            let expected = match (known, batch.repeat) {
                (Some(known), Some(repeat)) if known.content == repeat.content => {
                    Ok((known.first, known.count, true))
                }
                (Some(_), _) => Err(AppendError::KeyReused),
                _ if self.closed && batch.events.is_empty() => Ok((old_next, 0, true)),
                _ if self.closed => Err(AppendError::Closed),
                _ => {
                    changed = true;
                    let (first, count) = (self.next(), batch.events.len() as u64);
                    if let Some(IdempotencyKey { key, content }) = batch.repeat {
                        let time = self.now;
                        let new = IdempotencyEntry {
                            content,
                            first,
                            count,
                            time,
                        };
                        remembered.insert(key, new);
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
            assert_eq!(answer, expected);
        }
        assert_eq!(change.is_some(), changed);
        let Some(change) = change else { return };
        self.remembered = remembered;
        self.put(change.seal);
        for name in &change.discard {
            assert!(!refers(&self.head, *name), "{name:?} may still be read");
            assert!(!refers(&change.head, *name), "{name:?} will still be read");
            self.store.remove(&(name.epoch, name.first));
        }
        let old_first = self.head.first();
        self.swap(change.head);
        self.check_kept(old_first, retention);
    }

    /// Plans a commit and stores its segments, but another writer is quicker.
    pub(super) fn overtaken(&mut self, batch: &Batch, retention: &Retention) {
        let group = std::slice::from_ref(batch);
        let plan = append(&self.head, group, u64::MAX, self.now, retention);
        let plan = plan.expect("every record was written by us");
        self.put(plan.change.map(|change| change.seal).unwrap_or_default());
    }

    /// Begins a new log.
    pub(super) fn purge(&mut self) {
        self.check();
        let epoch = Epoch::from_random(self.commits + 1);
        let head = purge(&self.head, epoch, self.commits + 1, self.now);
        self.events.clear();
        self.remembered.clear();
        self.closed = false;
        self.swap(head.expect("every record was written by us"));
        assert_eq!(self.head.epoch, epoch);
    }

    /// Reads the whole log and holds it against what it should be.
    pub(super) fn check(&self) {
        let mut next = self.head.first();
        for sealed in &self.head.segments {
            assert_eq!(sealed.first, next);
            let run = self.sealed(sealed.first);
            assert_eq!(run.count, sealed.count);
            assert_eq!(run.records.len() as u64, sealed.bytes);
            let newest = self.check_run(&run);
            assert_eq!(newest, Some(sealed.newest));
            next = sealed.next();
        }
        assert_eq!(self.head.inline.first, next);
        self.check_run(&self.head.inline);
    }

    fn next(&self) -> Seq {
        Seq::FIRST.plus(self.events.len() as u64)
    }

    /// Stores segments. One that is there already has the same bytes, whoever wrote it.
    fn put(&mut self, sealed: Vec<(SegmentId, Bytes)>) {
        for (name, bytes) in sealed {
            let before = self.store.insert((name.epoch, name.first), bytes.clone());
            match before {
                Some(before) => assert_eq!(before, bytes, "{name:?}"),
                None => drop(self.check_run(&self.sealed(name.first))),
            }
        }
    }

    /// Makes this the head, as it is read back.
    fn swap(&mut self, head: Head) {
        self.commits += 1;
        self.head = stored(&head);
        assert_eq!(self.head, head);
        assert_eq!((head.closed, head.next()), (self.closed, self.next()));
        assert_eq!(head.commits, self.commits);
        assert!(head.committed(self.commits).is_some());
        assert!(head.recent.len() as u64 <= RECENT_COMMITS);
        assert!(head.remembered.len() <= IDEMPOTENCY_KEYS);
        if let Some((time, _)) = self.events.last() {
            assert_eq!(head.newest, *time);
        }
        self.check_store();
    }

    /// The store has what the head refers to, and nothing that no head will ever refer to.
    fn check_store(&self) {
        let epoch = self.head.epoch;
        for sealed in &self.head.segments {
            assert!(
                self.store.contains_key(&(epoch, sealed.first)),
                "{sealed:?} is gone"
            );
        }
        let (to_seal, _) = segment::cut(&self.head.inline).expect("what was written is read");
        for &(epoch, first) in self.store.keys() {
            let name = SegmentId { epoch, first };
            let due = epoch == self.head.epoch && to_seal.iter().any(|run| run.first == first);
            let known = self
                .head
                .trash
                .iter()
                .any(|trashed| trashed.segment == name);
            assert!(
                refers(&self.head, name) || known || due,
                "{name:?} is forgotten"
            );
        }
    }

    /// What was dropped since `old_first` retention let go, and it would not let go of more.
    fn check_kept(&self, old_first: Seq, retention: &Retention) {
        let head = &self.head;
        let (first, kept) = (head.first(), head.next().since(head.first()));
        let oldest = self.now.minus_seconds(retention.seconds);
        let too_old = |time: Timestamp| retention.seconds > 0 && time < oldest;
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

    fn sealed(&self, first: Seq) -> RecordBatch {
        let name = self.head.segment(first);
        let bytes = &self.store[&(name.epoch, first)];
        segment::decode("seg!fuzz", name, bytes).expect("what is sealed can be read")
    }

    /// Every record is the event of its seq. Returns the newest's time.
    fn check_run(&self, run: &RecordBatch) -> Option<Timestamp> {
        let mut records = run.records();
        let mut newest = None;
        let mut seq = run.first;
        for record in records.by_ref() {
            let (at, record) = record.expect("what was written is read");
            let place = usize::try_from(at.since(Seq::FIRST)).expect("few events");
            let (time, event) = &self.events[place];
            assert_eq!(
                (at, record.time, record.data),
                (seq, *time, event.data.as_str())
            );
            let event_type = record.event_type.map(|text| text.as_str());
            assert_eq!(event_type, event.event_type.as_deref());
            newest = newest.max(Some(record.time));
            seq = seq.plus(1);
        }
        assert_eq!((seq, records.offset()), (run.next(), run.records.len()));
        newest
    }
}

fn refers(head: &Head, name: SegmentId) -> bool {
    let sealed = |first| head.segments.iter().any(|sealed| sealed.first == first);
    name.epoch == head.epoch && sealed(name.first)
}
