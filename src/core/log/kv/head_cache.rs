//! The newest head of each channel, shared by all readers of an instance.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::head::Head;
use crate::core::channel::Channel;
use crate::core::log::ReadError;
use crate::core::time::Instant;

/// Above this number of channels, heads that have not been read for a while are dropped.
const MANY_CHANNELS: usize = 256;

/// The time for which a head is kept in any case.
const KEEP: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct HeadCache(RefCell<HashMap<Channel, Entry>>);

#[derive(Debug, Default)]
struct Entry {
    newest: Option<CachedHead>,
    /// The start of the newest read under way.
    in_flight: Option<Instant>,
    /// The last read that failed.
    failed: Option<FailedRead>,
}

/// A head as it was read from the store.
#[derive(Clone, Debug)]
pub(super) struct CachedHead {
    /// The time at which the read began.
    pub(super) as_of: Instant,
    /// The stored bytes, to recognise an unchanged head.
    pub(super) value: Option<Bytes>,
    /// The head; `None` if there is none.
    pub(super) head: Option<Rc<Head>>,
}

#[derive(Debug)]
struct FailedRead {
    started: Instant,
    ended: Instant,
    error: ReadError,
}

/// The result of a lookup.
pub(super) enum Lookup {
    /// The head was read recently enough, or that read failed.
    Hit(Result<CachedHead, ReadError>),
    /// Another reader is reading it.
    InFlight,
    /// It has to be read.
    Miss,
}

impl HeadCache {
    /// Looks up the head of `channel` as it was later than at `newer_than`. A failed read counts only if
    /// it ended after `asked`, when the reader began to ask.
    pub(super) fn lookup(&self, channel: &Channel, newer_than: Instant, asked: Instant) -> Lookup {
        let entries = self.0.borrow();
        let Some(entry) = entries.get(channel) else {
            return Lookup::Miss;
        };
        match (&entry.newest, &entry.failed, entry.in_flight) {
            (Some(newest), ..) if newest.as_of > newer_than => Lookup::Hit(Ok(newest.clone())),
            (_, Some(failed), _) if failed.started > newer_than && failed.ended >= asked => {
                Lookup::Hit(Err(failed.error.clone()))
            }
            (.., Some(started)) if started > newer_than => Lookup::InFlight,
            _ => Lookup::Miss,
        }
    }

    /// Returns the cached head of `channel` if `value` is what it was stored as.
    pub(super) fn unchanged(&self, channel: &Channel, value: &Bytes) -> Option<Rc<Head>> {
        let entries = self.0.borrow();
        let newest = entries.get(channel)?.newest.as_ref()?;
        let (head, stored) = newest.head.as_ref().zip(newest.value.as_ref())?;
        head.is_stored_as(stored, value).then(|| head.clone())
    }

    /// Begins a read, which is under way until the guard is dropped.
    pub(super) fn begin(&self, channel: &Channel, now: Instant) -> InFlightGuard<'_> {
        let mut entries = self.0.borrow_mut();
        if entries.len() >= MANY_CHANNELS {
            entries.retain(|_, entry| entry.is_recent(now));
        }
        entries.entry(channel.clone()).or_default().in_flight = Some(now);
        InFlightGuard {
            cache: self,
            channel: channel.clone(),
            started: now,
        }
    }
}

impl Entry {
    fn is_recent(&self, now: Instant) -> bool {
        let read = self.newest.as_ref().map(|newest| newest.as_of);
        let used = read.into_iter().chain(self.in_flight).max();
        used.is_some_and(|used| now.saturating_duration_since(used) < KEEP)
    }
}

/// A read under way. If it is dropped early, others read the head themselves.
pub(super) struct InFlightGuard<'a> {
    cache: &'a HeadCache,
    channel: Channel,
    pub(super) started: Instant,
}

impl InFlightGuard<'_> {
    /// Stores the result of the read, unless a newer one is there already.
    pub(super) fn complete(&self, result: &Result<CachedHead, ReadError>, now: Instant) {
        let mut entries = self.cache.0.borrow_mut();
        let entry = entries.entry(self.channel.clone()).or_default();
        match result {
            Ok(read) => {
                let known = entry.newest.as_ref();
                if known.is_none_or(|known| known.as_of <= read.as_of) {
                    entry.newest = Some(read.clone());
                }
            }
            Err(error) => {
                entry.failed = Some(FailedRead {
                    started: self.started,
                    ended: now,
                    error: error.clone(),
                });
            }
        }
    }
}

impl Drop for InFlightGuard<'_> {
    fn drop(&mut self) {
        let mut entries = self.cache.0.borrow_mut();
        if let Some(entry) = entries.get_mut(&self.channel)
            && entry.in_flight == Some(self.started)
        {
            entry.in_flight = None;
        }
    }
}
