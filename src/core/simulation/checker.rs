//! The laws.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::store::Store;
use crate::core::channel::Channel;
use crate::core::log::{Appended, Head, head_key, segment, segment_key};
use crate::core::sse::{Epoch, EventId, Seq};

/// What a publisher was told about a batch, or is left to guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Appended(Appended),
    NotAppended,
    Closed,
    Unknown,
}

/// A batch that was published, perhaps several times under its idempotency key.
#[derive(Clone, Debug)]
pub(super) struct Published {
    /// The data of its events; no two events of a schedule have the same.
    pub(super) events: Vec<String>,
    pub(super) told: Vec<Told>,
    pub(super) keyed: bool,
}

/// Everything that ever was in one log.
#[derive(Debug, Default)]
struct Log {
    events: Vec<String>,
    first: Seq,
    closed: bool,
    /// Replaced by a log that no purge began.
    lost: bool,
}

/// Sees what happens and says when it must not.
#[derive(Debug, Default)]
pub(super) struct Checker {
    logs: BTreeMap<Epoch, Log>,
    current: Option<Epoch>,
    /// How many events there are in all logs together.
    events: u64,
    published: Vec<Published>,
    seen: HashSet<(Epoch, String)>,
}

type Checked = Result<(), String>;

/// Where an event is, by its data.
type Places<'a> = HashMap<&'a str, Vec<(Epoch, usize)>>;

fn law(holds: bool, broken: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(broken()) }
}

impl Checker {
    /// A batch is about to be published.
    pub(super) fn publish(&mut self, events: Vec<String>, keyed: bool) -> usize {
        self.published.push(Published {
            events,
            told: vec![],
            keyed,
        });
        self.published.len() - 1
    }

    pub(super) fn batch(&self, batch: usize) -> &Published {
        &self.published[batch]
    }

    pub(super) fn tell(&mut self, batch: usize, told: Told) {
        self.published[batch].told.push(told);
    }

    /// A head takes effect.
    pub(super) fn head_written(&mut self, head: &Head, purged: bool) -> Checked {
        let events: Vec<(Seq, String)> = head
            .inline
            .records()
            .map(|record| record.map(|(seq, record)| (seq, token(record.data))))
            .collect::<Result<_, _>>()
            .map_err(|error| format!("a head is written that cannot be read: {error}"))?;
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
            match log.events.get(seq.minus(1).0 as usize) {
                Some(before) => law(*before == event, || {
                    format!(
                        "law 3: {}-{} was {before}, now it is {event}",
                        head.epoch, seq.0
                    )
                })?,
                None => {
                    law(self.seen.insert((head.epoch, event.clone())), || {
                        format!("law 4: {event} is appended twice")
                    })?;
                    log.events.push(event);
                    self.events += 1;
                }
            }
        }
        log.first = head.first();
        log.closed = head.closed;
        Ok(())
    }

    /// A subscriber whose last event was `last` gets an event.
    pub(super) fn event_read(&self, last: Option<EventId>, id: EventId, event: &str) -> Checked {
        let follows = last.is_none_or(|last| last.epoch == id.epoch && last.seq.plus(1) == id.seq);
        law(follows, || format!("law 1: {id} does not follow {last:?}"))?;
        let written = self
            .logs
            .get(&id.epoch)
            .and_then(|log| log.events.get(id.seq.minus(1).0 as usize));
        law(written.is_some_and(|written| *written == event), || {
            format!("law 1: a subscriber reads {event} as {id}; the log has {written:?}")
        })
    }

    /// A subscriber whose last event was `last` is told of a gap, after which it is at `to`.
    pub(super) fn gap_read(&self, reason: &str, last: Option<EventId>, to: EventId) -> Checked {
        let Some(last) = last else {
            return Err("law 5: a gap for a new subscriber".to_owned());
        };
        match reason {
            "evicted" => {
                let dropped = self
                    .logs
                    .get(&last.epoch)
                    .is_some_and(|log| to.seq.plus(1) <= log.first);
                let lost = self.current != Some(last.epoch);
                law(
                    to.epoch == last.epoch && to.seq > last.seq && (dropped || lost),
                    || {
                        format!(
                            "law 5: told that events between {last} and {to} were evicted; they were not"
                        )
                    },
                )
            }
            "reset" => law(to.epoch != last.epoch, || {
                format!("law 5: reset from {last} to {to}")
            }),
            other => Err(format!("law 5: a gap `{other}` from {last} to {to}")),
        }
    }

    /// A subscriber at `last` is told that the channel is closed.
    pub(super) fn end_read(&self, last: EventId) -> Checked {
        let log = self.logs.get(&last.epoch);
        let at_end = log.is_some_and(|log| log.closed && log.events.len() as u64 == last.seq.0);
        law(at_end, || {
            format!("law 2: told at {last} that the closed log ends there")
        })
    }

    /// When everything has come to rest: the subscriber has got everything.
    pub(super) fn subscriber_at_rest(&self, last: Option<EventId>) -> Checked {
        let Some(epoch) = self.current else {
            return Ok(());
        };
        let newest = Seq(self.logs[&epoch].events.len() as u64);
        let last = last
            .filter(|last| last.epoch == epoch)
            .map_or(Seq(0), |last| last.seq);
        law(last == newest, || {
            format!("law 5: a subscriber is stuck at {} of {}", last.0, newest.0)
        })
    }

    /// When everything has come to rest: what publishers were told is true.
    pub(super) fn publishers_at_rest(&self) -> Checked {
        let mut places: Places<'_> = HashMap::new();
        for (epoch, log) in &self.logs {
            for (place, event) in log.events.iter().enumerate() {
                places.entry(event).or_default().push((*epoch, place));
            }
        }
        self.published
            .iter()
            .try_for_each(|batch| self.batch_at_rest(batch, &places))
    }

    fn batch_at_rest(&self, batch: &Published, places: &Places<'_>) -> Checked {
        let Some(first) = batch.events.first() else {
            return Ok(());
        };
        let mut found: BTreeMap<Epoch, usize> = BTreeMap::new();
        for &(epoch, place) in places.get(first.as_str()).into_iter().flatten() {
            *found.entry(epoch).or_default() += 1;
            let whole = self.logs[&epoch].events[place..].starts_with(&batch.events);
            law(whole, || {
                format!("law 2: only a part of the batch of {first} is in the log")
            })?;
        }
        for told in &batch.told {
            if let Told::Appended(appended) = told {
                let place = appended.first.minus(1).0 as usize;
                let log = self.logs.get(&appended.epoch).filter(|log| !log.lost);
                let there = log.is_some_and(|log| {
                    log.events
                        .get(place..)
                        .is_some_and(|events| events.starts_with(&batch.events))
                });
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
            .told
            .iter()
            .all(|told| matches!(told, Told::NotAppended | Told::Closed));
        law(!denied || total == 0, || {
            format!("law 4: {first} was reported as not appended, but it is")
        })
    }

    /// Every key in the store is one that the head knows.
    pub(super) fn keys_are_known(&self, store: &Store, channel: &Channel) -> Checked {
        let key = head_key(channel);
        let Some(head) = store.value(&key) else {
            return Ok(());
        };
        let head = Head::decode(&key, head).map_err(|error| error.to_string())?;
        let live = head.segments.iter().map(|sealed| sealed.first);
        // Somebody may have died sealing these; whoever seals them next writes the same again.
        let sealable = segment::cut(&head.inline)
            .map_err(|error| error.to_string())?
            .0;
        let live = live
            .chain(sealable.iter().map(|run| run.first))
            .map(|first| head.segment(first));
        let trash = head.trash.iter().map(|trashed| trashed.segment);
        let known: HashSet<_> = live
            .chain(trash)
            .map(|name| segment_key(channel, name))
            .chain([key])
            .collect();
        match store.keys().find(|key| !known.contains(*key)) {
            Some(orphan) => Err(format!("law 6: {orphan} is an orphan")),
            None => Ok(()),
        }
    }

    pub(super) const fn events(&self) -> u64 {
        self.events
    }
}

/// The part of an event's data that is its own; the rest makes it large.
pub(super) fn token(data: &str) -> String {
    data.split(' ').next().unwrap_or_default().to_owned()
}
