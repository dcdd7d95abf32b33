//! One answer to a client that asks again and again instead of holding a stream.

use std::time::Duration;

use super::action::ReadRequest;
use super::fetcher::Fetcher;
use super::gap_signal::GapSignal;
use super::merged_reader::{MergedAction, MergedReader};
use super::subscriber::{StreamObserver, report_errors};
use super::subscription::{EventFilter, StreamConfig, Subscription};
use crate::core::environment::Environment;
use crate::core::log::Log;
use crate::core::sse::Cursor;
use crate::core::time::{ClockReading, Instant, Timestamp};

/// An answer ends with the event that takes it to this size of data: 256 KiB.
const PAGE_BYTES: usize = 256 * 1024;

/// The longest time for which the store may fail, if streams bear it longer: 5 s.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// The state machine of one request: it waits until there is something to answer, or until its time is
/// up.
#[derive(Debug)]
pub struct LongPoll {
    filter: EventFilter,
    /// The largest number of events in the answer.
    limit: usize,
    /// The entity tags of answers that the client has.
    known_tags: Vec<String>,
    until: Instant,
    reader: MergedReader,
    events: Vec<PageEvent>,
    gaps: Vec<GapSignal>,
    bytes: usize,
    outcome: Option<Outcome>,
}

/// The reason for which the answer is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// The answer is full, and more events are there.
    Full,
    /// The store failed before the rest was read.
    CutShort,
    /// The answer has everything that is there now.
    CaughtUp,
    /// The answer has everything that will ever be there.
    Closed,
}

/// The next command of a long-poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PollAction {
    /// Read from the log of the channel at this index: [`MergedReader::page_read`].
    Read(usize, ReadRequest),
    /// Ask again at this time, or when a page was read.
    Wait(Instant),
    /// The answer is complete: [`LongPoll::into_page`].
    Done,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LongPollPage {
    /// The gaps before the events.
    pub gaps: Vec<GapSignal>,
    /// The events, those of each channel in the order of their seqs.
    pub events: Vec<PageEvent>,
    /// The position after the events.
    pub cursor: Cursor,
    /// Set if more events are there already, or may be.
    pub more: bool,
    /// Set if the answer is full, and so never changes.
    pub full: bool,
    /// Set if nothing will ever follow.
    pub closed: bool,
}

impl LongPollPage {
    /// Returns the entity tag of the answer: equal tags mean equal answers to the same request.
    #[must_use]
    pub fn tag(&self) -> String {
        tag(&self.cursor, self.more, self.closed)
    }
}

fn tag(cursor: &Cursor, more: bool, closed: bool) -> String {
    let more = if more { ".more" } else { "" };
    let closed = if closed { ".closed" } else { "" };
    format!("{cursor}{more}{closed}")
}

/// An event in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageEvent {
    /// The index of its channel in the subscription.
    pub channel: usize,
    /// The position after it.
    pub cursor: Cursor,
    /// Its type, if it has one.
    pub event_type: Option<String>,
    /// Its data.
    pub data: String,
    /// The time of its append.
    pub time: Timestamp,
    /// The `traceparent` of its publisher, if subscribers are to see it.
    pub trace: Option<String>,
}

impl LongPoll {
    /// Creates a request that is answered once there is something to report whose entity tag is not among
    /// `known_tags`; at the latest at `until`, or when the client's token expires. The answer has at most
    /// `limit` events.
    #[must_use]
    pub fn new(
        subscription: Subscription,
        config: StreamConfig,
        limit: usize,
        known_tags: Vec<String>,
        until: Instant,
        random: u64,
        now: Instant,
    ) -> Self {
        let mut random = fastrand::Rng::with_seed(random);
        let config = StreamConfig {
            store_patience: config.store_patience.min(STORE_PATIENCE),
            ..config
        };
        let reader = MergedReader::new(&subscription, config, &mut random, now);
        let expires = subscription.expires;
        Self {
            filter: subscription.filter,
            limit,
            known_tags,
            until: expires.map_or(until, |expires| until.min(expires)),
            reader,
            events: vec![],
            gaps: vec![],
            bytes: 0,
            outcome: None,
        }
    }

    /// Drives the request to its answer; returns `None` if the store has not said where the client
    /// starts.
    pub async fn run<E: Environment, L: Log>(
        mut self,
        env: &E,
        mut fetcher: Fetcher<E, L>,
        observer: &mut impl StreamObserver,
    ) -> Option<LongPollPage> {
        loop {
            fetcher.deliver(&mut self.reader).await;
            report_errors(&mut fetcher, &mut self.reader, observer);
            match self.next(env.clock()) {
                PollAction::Read(index, request) => fetcher.begin(index, request),
                PollAction::Wait(until) => fetcher.wait(until, &mut self.reader).await,
                PollAction::Done => return self.into_page(),
            }
        }
    }

    /// Returns the channels of the request, which take the pages that were read.
    #[cfg(test)]
    pub(super) const fn reader(&mut self) -> &mut MergedReader {
        &mut self.reader
    }

    /// Returns the next command.
    pub(super) fn next(&mut self, clock: ClockReading) -> PollAction {
        let now = clock.monotonic;
        loop {
            if self.outcome.is_some() {
                return PollAction::Done;
            }
            match self.reader.next(clock) {
                MergedAction::Read(index, request) => return PollAction::Read(index, request),
                MergedAction::ReportGaps => {
                    let gaps = self.reader.take_gaps().into_iter();
                    self.gaps.extend(gaps.map(|(gap, _)| gap));
                }
                MergedAction::Deliver(_) if self.is_full() => self.outcome = Some(Outcome::Full),
                MergedAction::Deliver(index) => self.take(index, now),
                MergedAction::Ended { closed: true } => self.outcome = Some(Outcome::Closed),
                MergedAction::Ended { closed: false } => self.outcome = Some(Outcome::CaughtUp),
                MergedAction::Wait(until) if self.reader.is_settled() => {
                    if !self.has_news() && now < self.until {
                        return PollAction::Wait(until.min(self.until));
                    }
                    self.outcome = Some(Outcome::CaughtUp);
                }
                // The end of the client's time does not end a read under way.
                MergedAction::Wait(until) => match self.gives_up_at() {
                    Some(end) if now >= end => self.outcome = Some(Outcome::CutShort),
                    Some(end) => return PollAction::Wait(until.min(end)),
                    None => return PollAction::Wait(until),
                },
            }
        }
    }

    /// Returns the answer; `None` if the store has not said where the client starts.
    pub(super) fn into_page(self) -> Option<LongPollPage> {
        let outcome = self.outcome?;
        Some(LongPollPage {
            gaps: self.gaps,
            events: self.events,
            cursor: self.reader.cursor()?.clone(),
            more: matches!(outcome, Outcome::Full | Outcome::CutShort),
            full: outcome == Outcome::Full,
            closed: outcome == Outcome::Closed,
        })
    }

    /// Returns the time to give up a store that fails: the end of its patience, but not before the end of
    /// the client's if there is a position to answer with and nothing to report.
    fn gives_up_at(&self) -> Option<Instant> {
        let end = self.reader.patience_ends()?;
        Some(match self.reader.cursor() {
            Some(_) if !self.has_news() => end.max(self.until),
            _ => end,
        })
    }

    fn is_full(&self) -> bool {
        self.events.len() >= self.limit || self.bytes >= PAGE_BYTES
    }

    fn has_news(&self) -> bool {
        let is_empty = self.events.is_empty() && self.gaps.is_empty();
        let tag = self.reader.cursor().map(|cursor| tag(cursor, false, false));
        !is_empty && tag.is_none_or(|tag| !self.known_tags.contains(&tag))
    }

    fn take(&mut self, index: usize, now: Instant) {
        let (filter, events, bytes) = (&self.filter, &mut self.events, &mut self.bytes);
        let limit = self.limit;
        let _ = self.reader.deliver(index, now, |cursor, record| {
            if filter.includes(record.event_type) {
                *bytes = record.data.len().saturating_add(*bytes);
                events.push(PageEvent {
                    channel: index,
                    cursor: cursor.clone(),
                    event_type: record.event_type.map(|text| text.as_str().to_owned()),
                    data: record.data.to_owned(),
                    time: record.time,
                    trace: record.trace().map(str::to_owned),
                });
            }
            events.len() < limit && *bytes < PAGE_BYTES
        });
    }
}
