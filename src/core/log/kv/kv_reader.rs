//! One subscriber's reader of one channel.

use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::format;
use super::head_cache::CachedHead;
use super::key::segment_key;
use super::kv_log::KvLog;
use super::locate::Location;
use super::poll_schedule::PollSchedule;
use super::segment::{Parts, SegmentError, SegmentId, SegmentMeta};
use super::shared_head::SharedHead;
use crate::core::channel::Channel;
use crate::core::environment::Environment;
use crate::core::log::{
    FormatError, GapReason, LogReader, News, Page, PageBatch, ReadError, ReaderOptions, Retention,
    StartFrom,
};
use crate::core::sse::Seq;
use crate::core::store::KeyValueStore;
use crate::core::time::Instant;

/// The time for which an older head than the one known is put down to a stale read of the store: 1 s.
/// After that the log was lost.
const STALE_READS: Duration = Duration::from_secs(1);

/// A reader on a key-value store: it knows a head, and asks for a newer one on schedule.
pub struct KvReader<E, S> {
    log: KvLog<E, S>,
    channel: Channel,
    retention: Retention,
    /// The newest head; `None` if there was none, or before the first read.
    head: Option<Rc<SharedHead>>,
    /// The time at which it was read.
    as_of: Instant,
    /// Set if the next read has to ask for a head that was read later than at `newer_than`.
    refresh: bool,
    newer_than: Instant,
    schedule: PollSchedule,
    /// The time since which the store has been answering with an older head than the one known.
    regressed_since: Option<Instant>,
}

impl<E, S> fmt::Debug for KvReader<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KvReader")
            .field("channel", &self.channel)
            .field("schedule", &self.schedule)
            .finish_non_exhaustive()
    }
}

impl<E: Environment, S: KeyValueStore> LogReader for KvReader<E, S> {
    async fn read(&mut self, from: &StartFrom, max_bytes: u64) -> Result<Page, ReadError> {
        if let Some(result) = self.try_read(from, max_bytes) {
            return result;
        }
        if self.refresh {
            let read = self.log.head(&self.channel, self.newer_than).await?;
            self.accept(read);
        }
        match self.local_page(from, max_bytes) {
            LocalPage::Complete(page) => Ok(page),
            LocalPage::InSegments {
                mut page,
                head,
                segments,
            } => {
                page.batches = self.read_segments(&head, page.start, &segments).await?;
                self.schedule.activity(self.log.env().now());
                Ok(page)
            }
        }
    }

    fn try_read(&mut self, from: &StartFrom, max_bytes: u64) -> Option<Result<Page, ReadError>> {
        if self.refresh {
            match self.log.cached_head(&self.channel, self.newer_than)? {
                Ok(read) => self.accept(read),
                Err(error) => return Some(Err(error)),
            }
        }
        match self.local_page(from, max_bytes) {
            LocalPage::Complete(page) => Some(Ok(page)),
            LocalPage::InSegments { .. } => None,
        }
    }

    fn news(&mut self, now: Instant) -> News {
        let due = self.schedule.due();
        if now < due {
            return News::NotBefore(due);
        }
        if !self.refresh {
            self.refresh = true;
            self.newer_than = self.as_of.max(self.schedule.before_due());
        }
        News::Ready
    }

    fn invalidate(&mut self, now: Instant) {
        self.refresh = true;
        self.newer_than = now;
        self.schedule.poll_soon(now);
    }
}

/// A page, as far as the known head has it.
enum LocalPage {
    Complete(Page),
    /// Its records are in these segments.
    InSegments {
        page: Page,
        head: Rc<SharedHead>,
        segments: Vec<SegmentMeta>,
    },
}

impl<E: Environment, S: KeyValueStore> KvReader<E, S> {
    pub(super) fn new(log: KvLog<E, S>, channel: Channel, options: ReaderOptions) -> Self {
        Self {
            log,
            channel,
            retention: options.retention,
            head: None,
            as_of: options.opened,
            refresh: true,
            newer_than: options.opened,
            schedule: PollSchedule::new(options.poll, options.opened),
            regressed_since: None,
        }
    }

    fn local_page(&mut self, from: &StartFrom, max_bytes: u64) -> LocalPage {
        let mut page = Page {
            state: None,
            as_of: self.as_of,
            start: Seq::FIRST,
            batches: vec![],
        };
        let Some(head) = &self.head else {
            return LocalPage::Complete(page);
        };
        let now = self.log.env().clock();
        let state = head.kept(&self.retention, self.retention.oldest_time(now.wall));
        page.state = Some(state);
        let resolved = from.resolve(&state, |since| head.first_between(since, now.wall));
        page.start = resolved.next;
        if resolved.gap == Some(GapReason::Ahead) {
            // The store may have answered with an old head.
            return LocalPage::Complete(page);
        }
        match head.locate(resolved.next, max_bytes) {
            Location::Inline(records) => {
                page.batches.push(PageBatch {
                    records,
                    newer_bytes: 0,
                    is_tail: true,
                });
                self.schedule.activity(now.monotonic);
            }
            Location::Segments(segments) if max_bytes > 0 => {
                return LocalPage::InSegments {
                    page,
                    head: head.clone(),
                    segments,
                };
            }
            Location::Segments(_) | Location::Tail | Location::Evicted => {}
        }
        LocalPage::Complete(page)
    }

    /// Takes a head that was read, and schedules the next read.
    fn accept(&mut self, read: CachedHead) {
        let now = self.log.env().now();
        self.refresh = false;
        self.as_of = read.as_of;
        if !self.is_stale(read.head.as_deref(), now) {
            self.head = read.head;
        }
        self.schedule.polled(now);
    }

    /// Returns whether the store answers with an older head than before. A store with replicas may do so
    /// for a while; if it goes on, the log was lost.
    fn is_stale(&mut self, head: Option<&SharedHead>, now: Instant) -> bool {
        let commits = |head: Option<&SharedHead>| head.map_or(0, |head| head.commits);
        if commits(head) >= commits(self.head.as_deref()) {
            self.regressed_since = None;
            return false;
        }
        let since = *self.regressed_since.get_or_insert(now);
        now.saturating_duration_since(since) < STALE_READS
    }

    /// Reads segments that follow each other, and returns their records from the parts on that have
    /// `start`: those before the first segment that cannot be had, if any.
    async fn read_segments(
        &self,
        head: &SharedHead,
        start: Seq,
        segments: &[SegmentMeta],
    ) -> Result<Vec<PageBatch>, ReadError> {
        let ids: Vec<_> = segments.iter().map(|meta| meta.id(head.epoch)).collect();
        let read = self.log.segments(&self.channel, &ids).await;
        let mut batches = vec![];
        for ((meta, id), read) in segments.iter().zip(&ids).zip(read) {
            match self.listed(meta, *id, read) {
                Ok(parts) => {
                    let mut newer_bytes = head.bytes_from(meta.next()).saturating_add(meta.bytes);
                    for part in parts.iter() {
                        let size = part.records.len() as u64;
                        newer_bytes = newer_bytes.saturating_sub(size);
                        if part.next() > start {
                            batches.push(PageBatch {
                                records: part.clone(),
                                newer_bytes,
                                is_tail: false,
                            });
                        }
                    }
                }
                Err(error) if batches.is_empty() => return Err(error),
                Err(_) => break,
            }
        }
        Ok(batches)
    }

    /// Returns the parts of a segment that was read. They must have the records that the directory lists:
    /// with fewer, a reader would ask for the rest again and again.
    fn listed(
        &self,
        meta: &SegmentMeta,
        id: SegmentId,
        read: Result<Parts, SegmentError>,
    ) -> Result<Parts, ReadError> {
        let missing = |cause| ReadError::Missing {
            resume_at: meta.next(),
            cause,
        };
        match read {
            Ok(parts) if meta.describes(&parts) => Ok(parts),
            Ok(_) => {
                let key = segment_key(&self.channel, id);
                let detail = "its records are not those that the head lists";
                Err(missing(Some(format::corrupt(&key, detail))))
            }
            Err(SegmentError::Store(error)) => Err(error.into()),
            Err(SegmentError::Absent) => Err(missing(None)),
            Err(SegmentError::Format(error @ FormatError::Newer { .. })) => Err(error.into()),
            Err(SegmentError::Format(error)) => Err(missing(Some(error))),
        }
    }
}
