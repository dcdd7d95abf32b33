//! The laws.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::super::{Storage, Violation, wall_clock};
use crate::core::channel::Channel;
use crate::core::log::kv::Head;
use crate::core::log::kv::key::{head_key, segment_key};
use crate::core::log::kv::segment::{self, SegmentId, SegmentKind};
use crate::core::log::{Appended, Retention};
use crate::core::sse::{Epoch, EventId, Position, Seq};
use crate::core::time::{Instant, Timestamp, millis};

/// A subscriber knows what was appended longer ago: 1 s, and the lag of a stale read.
const STATE_AGE: Duration = Duration::from_millis(1_400);

/// The outcome of a batch, as its publisher was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Report {
    Appended(Appended),
    NotAppended,
    Closed,
    Unknown,
}

/// A batch that was published, possibly several times under its idempotency key.
#[derive(Clone, Debug)]
pub(super) struct Published {
    /// The data of its events; no two events of a schedule have the same.
    pub(super) events: Vec<String>,
    pub(super) reports: Vec<Report>,
    pub(super) keyed: bool,
}

/// Everything that was ever in one log.
#[derive(Debug, Default)]
struct Log {
    events: Vec<Event>,
    first: Seq,
    closed: bool,
    /// Set if it was replaced by a log that no purge began.
    lost: bool,
}

/// An event in a log.
#[derive(Debug)]
struct Event {
    data: String,
    time: Timestamp,
    /// The bytes of its record.
    bytes: u64,
    /// The time at which its commit took effect.
    appended: Instant,
}

impl Log {
    fn get(&self, seq: Seq) -> Option<&Event> {
        self.events.get(seq.minus(1).0 as usize)
    }

    fn has(&self, index: usize, data: &[String]) -> bool {
        let events = self.events.get(index..).unwrap_or_default();
        let mut events = events.iter().map(|event| &event.data);
        data.iter().all(|data| events.next() == Some(data))
    }

    /// Returns whether retention keeps an event at `now`, by what was appended until `known`.
    fn keeps(&self, seq: Seq, retention: &Retention, now: Instant, known: Instant) -> bool {
        let Some(event) = self.get(seq) else {
            return false;
        };
        let newer = self.events.iter().skip(seq.0 as usize);
        let mut newer = newer.take_while(|event| event.appended <= known);
        let (mut events, mut bytes) = (0, 0);
        let is_within = |events, bytes| events < retention.events && bytes < retention.bytes;
        while is_within(events, bytes)
            && let Some(event) = newer.next()
        {
            events += 1;
            bytes += event.bytes;
        }
        is_within(events, bytes) && event.time >= retention.oldest_time(wall_clock(now))
    }
}

/// Holds what happens against the laws.
#[derive(Debug)]
pub(super) struct Checker {
    retention: Retention,
    logs: BTreeMap<Epoch, Log>,
    current: Option<Epoch>,
    /// The number of events in all logs together.
    events: u64,
    published: Vec<Published>,
    seen: HashSet<(Epoch, String)>,
    /// The newest merged segment that the head lists.
    merged: Option<SegmentId>,
}

type Checked = Result<(), Violation>;

/// The occurrences of each event, by its data.
type Occurrences<'a> = HashMap<&'a str, Vec<(Epoch, usize)>>;

pub(super) fn law(holds: bool, broken: impl FnOnce() -> String) -> Checked {
    if holds {
        Ok(())
    } else {
        Err(Violation(broken()))
    }
}

impl Checker {
    pub(super) fn new(retention: Retention) -> Self {
        Self {
            retention,
            logs: BTreeMap::new(),
            current: None,
            events: 0,
            published: vec![],
            merged: None,
            seen: HashSet::new(),
        }
    }

    /// Registers a batch that is about to be published, and returns its number.
    pub(super) fn publish(&mut self, events: Vec<String>, keyed: bool) -> usize {
        self.published.push(Published {
            events,
            reports: vec![],
            keyed,
        });
        self.published.len() - 1
    }

    pub(super) fn batch(&self, batch: usize) -> &Published {
        &self.published[batch]
    }

    /// Records the outcome of a batch.
    pub(super) fn report(&mut self, batch: usize, report: Report) {
        self.published[batch].reports.push(report);
    }

    /// Takes a head that has taken effect. Returns whether it lists a newly merged segment.
    pub(super) fn head_written(
        &mut self,
        head: &Head,
        purged: bool,
        now: Instant,
    ) -> Result<bool, Violation> {
        let mut events: Vec<(Seq, Event)> = vec![];
        let (mut records, mut offset) = (head.inline.records(), 0);
        while let Some(record) = records.next() {
            let (seq, record) = record.map_err(|error| {
                Violation(format!("a head is written that cannot be read: {error}"))
            })?;
            let bytes = (records.offset() - offset) as u64;
            offset = records.offset();
            let event = Event {
                data: token(record.data),
                time: record.time,
                bytes,
                appended: now,
            };
            events.push((seq, event));
        }
        if self.current != Some(head.epoch) {
            law(!self.logs.contains_key(&head.epoch), || {
                format!("law 3: the epoch {} comes again", head.epoch)
            })?;
            if let Some(before) = self.current.and_then(|epoch| self.logs.get_mut(&epoch)) {
                before.lost = !purged;
            }
            self.current = Some(head.epoch);
        }
        let log = self.logs.entry(head.epoch).or_default();
        let known = log.events.len() as u64;
        law(head.inline.first.0 <= known + 1, || {
            format!("law 1: records {}… were never in a head", known + 1)
        })?;
        law(head.next().0 > known, || {
            format!(
                "law 1: the log shrinks from {known} events to {}",
                head.next().0 - 1
            )
        })?;
        law(head.first() >= log.first, || {
            "law 1: dropped events come back".to_owned()
        })?;
        law(
            !log.closed || (head.closed && head.next().0 == known + 1),
            || "law 2: a closed log changes".to_owned(),
        )?;
        for (seq, event) in events {
            match log.get(seq) {
                Some(before) => law(before.data == event.data, || {
                    format!(
                        "law 3: {}-{} was {}, now it is {}",
                        head.epoch, seq.0, before.data, event.data
                    )
                })?,
                None => {
                    law(self.seen.insert((head.epoch, event.data.clone())), || {
                        format!("law 4: {} is appended twice", event.data)
                    })?;
                    log.events.push(event);
                    self.events += 1;
                }
            }
        }
        log.first = head.first();
        log.closed = head.closed;
        let mut merged = head.segments.iter().rev();
        let merged = merged.find(|segment| segment.kind == SegmentKind::Merged);
        let merged = merged.map(|segment| segment.id(head.epoch));
        let has_merged = merged.is_some() && merged != self.merged;
        self.merged = merged;
        Ok(has_merged)
    }

    /// Takes an event that a subscriber gets after `last`. The first event of a new subscriber may be any
    /// that is kept.
    pub(super) fn event_read(
        &self,
        last: Option<Position>,
        id: EventId,
        event: &str,
        now: Instant,
    ) -> Checked {
        let follows = match last {
            None => true,
            Some(Position::Beginning) => id.seq == Seq::FIRST,
            Some(Position::After(last)) => last.epoch == id.epoch && last.seq.plus(1) == id.seq,
        };
        law(follows, || format!("law 1: {id} does not follow {last:?}"))?;
        let log = self.logs.get(&id.epoch);
        let written = log.and_then(|log| log.get(id.seq));
        law(written.is_some_and(|written| written.data == event), || {
            format!("law 1: a subscriber reads {event} as {id}; the log has {written:?}")
        })?;
        let known = Instant(now.0.saturating_sub(millis(STATE_AGE)));
        let is_kept = log.is_some_and(|log| log.keeps(id.seq, &self.retention, now, known));
        law(is_kept, || {
            format!("law 1: a subscriber reads {id}, which retention does not keep")
        })
    }

    /// Takes a position that a subscriber at `last` gets without an event. A log can begin without one.
    pub(super) fn position_read(last: Option<Position>, position: Position) -> Checked {
        let stays = match (last, position) {
            (None, _) => true,
            (Some(Position::Beginning), Position::After(id)) => id.seq.0 == 0,
            (Some(last), position) => last == position,
        };
        law(stays, || {
            format!("law 5: from {last:?} to {position:?} without an event or a gap")
        })
    }

    /// Takes a gap that is reported to a subscriber at `last`, which continues after `to`.
    pub(super) fn gap_read(
        &self,
        reason: &str,
        last: Option<Position>,
        to: EventId,
        now: Instant,
    ) -> Checked {
        let is_dropped = |epoch: Epoch, after: Seq| {
            self.logs.get(&epoch).is_some_and(|log| {
                let mut missed = (after.0 + 1..=to.seq.0).map(Seq);
                missed.all(|seq| !log.keeps(seq, &self.retention, now, now))
            })
        };
        let last = match last {
            Some(Position::After(last)) => last,
            Some(Position::Beginning) => {
                let is_true = match reason {
                    "evicted" => to.seq.0 > 0 && is_dropped(to.epoch, Seq(0)),
                    // A log that has begun without events is gone.
                    "reset" => self.logs.len() > 1,
                    _ => false,
                };
                return law(is_true, || {
                    format!("law 5: a gap `{reason}` from the beginning to {to}")
                });
            }
            None => {
                return Err(Violation("law 5: a gap for a new subscriber".to_owned()));
            }
        };
        match reason {
            "evicted" => {
                let dropped = is_dropped(last.epoch, last.seq);
                let lost = self.current != Some(last.epoch);
                law(
                    to.epoch == last.epoch && to.seq > last.seq && (dropped || lost),
                    || {
                        format!(
                            "law 5: events between {last} and {to} are reported as evicted; they were not"
                        )
                    },
                )
            }
            "reset" => law(to.epoch != last.epoch, || {
                format!("law 5: reset from {last} to {to}")
            }),
            other => Err(Violation(format!(
                "law 5: a gap `{other}` from {last} to {to}"
            ))),
        }
    }

    /// Takes the end of the channel, reported to a subscriber at `last`.
    pub(super) fn end_read(&self, last: Position) -> Checked {
        let is_end = |log: &Log, seq: Seq| log.closed && log.events.len() as u64 == seq.0;
        let at_end = match last {
            Position::After(last) => {
                let log = self.logs.get(&last.epoch);
                log.is_some_and(|log| is_end(log, last.seq))
            }
            Position::Beginning => self.logs.values().any(|log| is_end(log, Seq(0))),
        };
        law(at_end, || {
            format!("law 2: the closed log is reported to end at {last:?}")
        })
    }

    /// Checks at rest that a subscriber has everything, or has never had anything and nothing is kept.
    pub(super) fn subscriber_at_rest(&self, last: Option<Position>, now: Instant) -> Checked {
        let Some(epoch) = self.current else {
            return Ok(());
        };
        let log = &self.logs[&epoch];
        let newest = Seq(log.events.len() as u64);
        if last.is_none() && !log.keeps(newest, &self.retention, now, now) {
            return Ok(());
        }
        let last = match last {
            Some(Position::After(last)) if last.epoch == epoch => last.seq,
            _ => Seq(0),
        };
        law(last == newest, || {
            format!("law 5: a subscriber is stuck at {} of {}", last.0, newest.0)
        })
    }

    /// Checks at rest that the outcomes of all batches are true.
    pub(super) fn publishers_at_rest(&self) -> Checked {
        let mut occurrences: Occurrences<'_> = HashMap::new();
        for (epoch, log) in &self.logs {
            for (index, event) in log.events.iter().enumerate() {
                let places = occurrences.entry(&event.data).or_default();
                places.push((*epoch, index));
            }
        }
        self.published
            .iter()
            .try_for_each(|batch| self.batch_at_rest(batch, &occurrences))
    }

    fn batch_at_rest(&self, batch: &Published, occurrences: &Occurrences<'_>) -> Checked {
        let Some(first) = batch.events.first() else {
            return Ok(());
        };
        let mut found: BTreeMap<Epoch, usize> = BTreeMap::new();
        for &(epoch, index) in occurrences.get(first.as_str()).into_iter().flatten() {
            *found.entry(epoch).or_default() += 1;
            let whole = self.logs[&epoch].has(index, &batch.events);
            law(whole, || {
                format!("law 2: only a part of the batch of {first} is in the log")
            })?;
        }
        for report in &batch.reports {
            if let Report::Appended(appended) = report {
                let index = appended.first.minus(1).0 as usize;
                let log = self.logs.get(&appended.epoch).filter(|log| !log.lost);
                let there = log.is_some_and(|log| log.has(index, &batch.events));
                law(there, || {
                    format!(
                        "law 1: {first} was acknowledged as {}, where it is not",
                        appended.first_id()
                    )
                })?;
            }
        }
        let total: usize = found.values().sum();
        law(found.values().all(|&times| times <= 1), || {
            format!("law 4: {first} is in a log twice")
        })?;
        // A purge forgets idempotency keys, so a repeat may go to the new log, but not without a key.
        law(batch.keyed || total <= 1, || {
            format!("law 4: {first} is in two logs")
        })?;
        let denied = batch
            .reports
            .iter()
            .all(|report| matches!(report, Report::NotAppended | Report::Closed));
        law(!denied || total == 0, || {
            format!("law 4: {first} was reported as not appended, but it is")
        })
    }

    /// Checks that every key in the store is one that the head knows.
    pub(super) fn keys_are_known(&self, storage: &Storage, channel: &Channel) -> Checked {
        let key = head_key(channel);
        let Some(head) = storage.value(&key) else {
            return Ok(());
        };
        let head = Head::decode(&key, head).map_err(|error| Violation(error.to_string()))?;
        let listed = head.segments.iter().map(|segment| segment.id(head.epoch));
        // An instance may have crashed sealing these; the next to seal them writes the same values.
        let sealable = segment::cut(&head.inline)
            .map_err(|error| Violation(error.to_string()))?
            .0;
        let sealable = sealable.iter();
        let sealable = sealable.map(|batch| SegmentId::sealed(head.epoch, batch.first));
        let pending = head.pending_deletes.iter().map(|pending| pending.segment);
        let merge = head.due_merge();
        let merged = merge.map(|merge| merge.merged.id(head.epoch));
        let known: HashSet<_> = listed
            .chain(sealable)
            .chain(merged)
            .chain(pending)
            .map(|id| segment_key(channel, id))
            .chain([key])
            .collect();
        match storage.keys().find(|key| !known.contains(*key)) {
            Some(orphan) => Err(Violation(format!("law 6: {orphan} is an orphan"))),
            None => Ok(()),
        }
    }

    /// Checks that the segments that the head lists are stored and have the events of the log.
    pub(super) fn segments_are_stored(&self, storage: &Storage, channel: &Channel) -> Checked {
        let invalid = |error: &dyn std::fmt::Display| Violation(format!("law 1: {error}"));
        let key = head_key(channel);
        let Some(head) = storage.value(&key) else {
            return Ok(());
        };
        let head = Head::decode(&key, head).map_err(|error| invalid(&error))?;
        let log = self.logs.get(&head.epoch);
        for segment in &head.segments {
            let id = segment.id(head.epoch);
            let key = segment_key(channel, id);
            let value = storage.value(&key);
            let value = value.ok_or_else(|| invalid(&format!("{key} is not stored")))?;
            let parts = segment::decode(&key, id, value).map_err(|error| invalid(&error))?;
            law(segment.describes(&parts), || {
                format!("law 1: {key} has other records")
            })?;
            for record in parts.iter().flat_map(|part| part.records()) {
                let (seq, record) = record.map_err(|error| invalid(&error))?;
                let written = log.and_then(|log| log.events.get(seq.minus(1).0 as usize));
                law(
                    written.is_some_and(|event| event.data == token(record.data)),
                    || format!("law 1: {key} has another event {}", seq.0),
                )?;
            }
        }
        Ok(())
    }

    pub(super) const fn events(&self) -> u64 {
        self.events
    }
}

/// Returns the part of an event's data that identifies it; the rest makes it large.
pub(super) fn token(data: &str) -> String {
    data.split(' ').next().unwrap_or_default().to_owned()
}
