//! What was read for a feed, and what to think of it.

use std::rc::Rc;

use bytes::Bytes;

use super::{ChannelReader, Missing, Origin, STALE_MILLIS};
use crate::core::log::{FormatError, Head, SegmentId, segment, segment_key};
use crate::core::time::Instant;

impl ChannelReader {
    /// Takes the head that was read at `at`, `None` if there is none, or what the store said.
    pub(in crate::core::stream) fn head_read(
        &mut self,
        at: Instant,
        result: Result<Option<Rc<Head>>, String>,
        now: Instant,
    ) {
        self.reading = None;
        match result {
            Ok(head) => {
                self.trouble.over();
                if !self.is_outdated(head.as_deref(), now) {
                    self.head = head;
                }
                self.head_read = Some(at);
                self.pace.polled(now);
            }
            Err(_) => self.store_failed(now),
        }
    }

    fn store_failed(&mut self, now: Instant) {
        // What is missing while the store fails says nothing.
        self.missing = Missing::No;
        self.pace.poll_at(self.trouble.again(now));
    }

    /// Whether the store answers with less than it did before. It may, for a while, if it has
    /// replicas; if it goes on, the log was lost.
    fn is_outdated(&mut self, head: Option<&Head>, now: Instant) -> bool {
        let commits = |head: Option<&Head>| head.map_or(0, |head| head.commits);
        if commits(head) >= commits(self.head.as_deref()) {
            self.outdated = None;
        } else {
            self.outdated.get_or_insert(now);
        }
        self.outdated
            .is_some_and(|since| now.since(since) < STALE_MILLIS)
    }

    /// Takes what was read for [`Turn::ReadSegments`], in its order.
    pub(in crate::core::stream) fn segments_read(
        &mut self,
        asked: &[SegmentId],
        results: Vec<Result<Option<Bytes>, String>>,
        now: Instant,
    ) {
        self.reading = None;
        for (name, result) in asked.iter().zip(results) {
            let key = segment_key(&self.channel, *name);
            match result.map(|bytes| bytes.map(|bytes| segment::decode(&key, *name, &bytes))) {
                Ok(Some(Ok(run))) => {
                    self.replay.push(Origin::Segment, run);
                    self.trouble.over();
                    self.missing = Missing::No;
                }
                Ok(Some(Err(error @ FormatError::Newer { .. }))) => {
                    self.error = Some(error);
                    return self.store_failed(now);
                }
                Ok(Some(Err(error))) => {
                    self.error = Some(error);
                    return self.record_missing(now);
                }
                Ok(None) => return self.record_missing(now),
                Err(_) => return self.store_failed(now),
            }
        }
    }

    /// What is wrong with the stored log, if anything was found since this was last asked. The feed
    /// deals with it; this is for the operator.
    pub(in crate::core::stream) fn take_error(&mut self) -> Option<FormatError> {
        self.error.take()
    }

    /// A record that the head promises cannot be had: retention may have dropped it since, or the
    /// store's answer was stale. A newer head may know better.
    pub(super) fn record_missing(&mut self, now: Instant) {
        self.missing = match self.missing {
            Missing::No => Missing::Since(now),
            Missing::Since(since) if now.since(since) >= STALE_MILLIS => Missing::ForGood,
            known => known,
        };
        self.pace.poll_at(now.after(self.settings.poll_millis.0));
        self.head_read = None;
        self.stale_before = now;
    }
}
