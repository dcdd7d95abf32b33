//! The newest head of each channel, shared by all readers of an instance.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::shared_head::SharedHead;
use super::{SHARED_READ_TIMEOUT, format};
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
    pub(super) head: Option<Rc<SharedHead>>,
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
    /// The head has to be read.
    Miss,
}

impl HeadCache {
    /// Looks up the head of `channel` as it was later than at `newer_than`. A failed read counts only if
    /// it did not end before `asked`, when the reader began to ask.
    pub(super) fn lookup(
        &self,
        channel: &Channel,
        newer_than: Instant,
        asked: Instant,
        now: Instant,
    ) -> Lookup {
        let entries = self.0.borrow();
        let Some(entry) = entries.get(channel) else {
            return Lookup::Miss;
        };
        match (&entry.newest, &entry.failed, entry.in_flight) {
            (Some(newest), ..) if newest.as_of > newer_than => Lookup::Hit(Ok(newest.clone())),
            (_, Some(failed), _) if failed.started > newer_than && failed.ended >= asked => {
                Lookup::Hit(Err(failed.error.clone()))
            }
            (.., Some(started)) if started > newer_than && !is_overdue(started, now) => {
                Lookup::InFlight
            }
            _ => Lookup::Miss,
        }
    }

    /// Returns the cached head of `channel` if `value` is what it was stored as.
    pub(super) fn unchanged(&self, channel: &Channel, value: &Bytes) -> Option<Rc<SharedHead>> {
        let entries = self.0.borrow();
        let newest = entries.get(channel)?.newest.as_ref()?;
        let (head, stored) = newest.head.as_ref().zip(newest.value.as_ref())?;
        format::is_unchanged(stored, value).then(|| head.clone())
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

fn is_overdue(started: Instant, now: Instant) -> bool {
    now.saturating_duration_since(started) >= SHARED_READ_TIMEOUT
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

#[cfg(test)]
mod tests {
    use super::super::head::Head;
    use super::*;
    use crate::core::sse::Epoch;
    use crate::core::store::StoreError;

    fn channel() -> Channel {
        "demo".parse().unwrap()
    }

    fn read_at(as_of: u64, epoch: u64) -> CachedHead {
        let head = Head::new(Epoch::from_random(epoch));
        CachedHead {
            as_of: Instant(as_of),
            value: Some(head.encode().unwrap().into()),
            head: Some(Rc::new(head.into())),
        }
    }

    fn error() -> ReadError {
        ReadError::Store(StoreError {
            call: "get head!demo".to_owned(),
            message: "down".to_owned(),
        })
    }

    fn lookup(cache: &HeadCache, newer_than: u64, asked: u64) -> Lookup {
        let asked = Instant(asked);
        cache.lookup(&channel(), Instant(newer_than), asked, asked)
    }

    /// Looks up a head that is in the cache; returns the time at which it was read.
    fn hit(cache: &HeadCache, newer_than: u64) -> u64 {
        match lookup(cache, newer_than, 0) {
            Lookup::Hit(Ok(read)) => read.as_of.0,
            Lookup::Hit(Err(error)) => panic!("{error}"),
            Lookup::InFlight | Lookup::Miss => panic!("not in the cache"),
        }
    }

    #[test]
    fn one_read_serves_all_readers_that_ask_meanwhile() {
        let cache = HeadCache::default();
        assert!(matches!(lookup(&cache, 5, 10), Lookup::Miss));
        let read = cache.begin(&channel(), Instant(10));
        assert!(matches!(lookup(&cache, 5, 11), Lookup::InFlight));
        let other = "other".parse().unwrap();
        let of_other = cache.lookup(&other, Instant(5), Instant(11), Instant(11));
        assert!(matches!(of_other, Lookup::Miss));
        read.complete(&Ok(read_at(10, 7)), Instant(12));
        drop(read);
        assert_eq!(hit(&cache, 5), 10);
    }

    #[test]
    fn a_reader_that_needs_a_newer_head_reads_it_itself() {
        let cache = HeadCache::default();
        let read = cache.begin(&channel(), Instant(10));
        assert!(matches!(lookup(&cache, 10, 11), Lookup::Miss));
        read.complete(&Ok(read_at(10, 7)), Instant(12));
        drop(read);
        assert!(matches!(lookup(&cache, 10, 13), Lookup::Miss));
    }

    #[test]
    fn a_read_that_is_dropped_is_left_to_others() {
        let cache = HeadCache::default();
        drop(cache.begin(&channel(), Instant(10)));
        assert!(matches!(lookup(&cache, 5, 11), Lookup::Miss));
        let first = cache.begin(&channel(), Instant(10));
        let second = cache.begin(&channel(), Instant(20));
        drop(first);
        assert!(matches!(lookup(&cache, 15, 21), Lookup::InFlight));
        drop(second);
        assert!(matches!(lookup(&cache, 15, 22), Lookup::Miss));
    }

    #[test]
    fn a_read_that_takes_long_is_not_waited_for() {
        let cache = HeadCache::default();
        let _slow = cache.begin(&channel(), Instant(10));
        assert!(matches!(lookup(&cache, 5, 1_009), Lookup::InFlight));
        assert!(matches!(lookup(&cache, 5, 1_010), Lookup::Miss));
        let _second = cache.begin(&channel(), Instant(1_010));
        assert!(matches!(lookup(&cache, 5, 1_011), Lookup::InFlight));
    }

    #[test]
    fn a_failed_read_counts_for_those_who_asked_before_it_ended() {
        let cache = HeadCache::default();
        let read = cache.begin(&channel(), Instant(10));
        read.complete(&Err(error()), Instant(20));
        drop(read);
        let failed = |newer_than, asked| match lookup(&cache, newer_than, asked) {
            Lookup::Hit(Err(failed)) => failed == error(),
            Lookup::Hit(Ok(_)) | Lookup::InFlight | Lookup::Miss => false,
        };
        assert!(failed(5, 15) && failed(5, 20));
        assert!(!failed(5, 21), "asked after the failure");
        assert!(!failed(10, 15), "needs a later read");
        let read = cache.begin(&channel(), Instant(30));
        read.complete(&Ok(read_at(30, 7)), Instant(31));
        assert_eq!(hit(&cache, 5), 30);
    }

    #[test]
    fn a_slow_read_does_not_replace_a_newer_head() {
        let cache = HeadCache::default();
        let slow = cache.begin(&channel(), Instant(10));
        let fast = cache.begin(&channel(), Instant(20));
        fast.complete(&Ok(read_at(20, 7)), Instant(21));
        slow.complete(&Ok(read_at(10, 8)), Instant(22));
        assert_eq!(hit(&cache, 0), 20);
    }

    #[test]
    fn an_unchanged_value_is_recognised() {
        let cache = HeadCache::default();
        let read = read_at(10, 7);
        let value = read.value.clone().unwrap();
        assert!(cache.unchanged(&channel(), &value).is_none());
        let guard = cache.begin(&channel(), Instant(10));
        guard.complete(&Ok(read.clone()), Instant(10));
        let unchanged = cache.unchanged(&channel(), &value).zip(read.head);
        assert!(unchanged.is_some_and(|(unchanged, read)| Rc::ptr_eq(&unchanged, &read)));
        let other = read_at(10, 8).value.unwrap();
        assert!(cache.unchanged(&channel(), &other).is_none());
    }

    #[test]
    fn with_many_channels_only_recently_read_heads_are_kept() {
        let cache = HeadCache::default();
        let name = |number: usize| -> Channel { format!("c{number}").parse().unwrap() };
        for number in 0..MANY_CHANNELS {
            let now = if number < 100 { 1_000 } else { 1_001 };
            let read = cache.begin(&name(number), Instant(now));
            read.complete(&Ok(read_at(now, 7)), Instant(now));
        }
        let is_cached = |number| {
            let found = cache.lookup(&name(number), Instant(0), Instant(0), Instant(0));
            matches!(found, Lookup::Hit(_))
        };
        assert!(is_cached(0) && is_cached(255));
        drop(cache.begin(&channel(), Instant(61_000)));
        assert!(!is_cached(0) && !is_cached(99));
        assert!(is_cached(100) && is_cached(255));
    }
}
