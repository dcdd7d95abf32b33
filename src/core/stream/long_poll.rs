//! One answer to a client that asks again and again instead of holding a stream.

use super::feeds::Found;
use super::{EventFilter, GapSignal, MergedReader, Step, StreamConfig, Subscription};
use crate::core::log::ClockReading;
use crate::core::sse::Cursor;
use crate::core::time::{Instant, Timestamp};

/// An answer ends with the event that takes it to this many bytes of data: 256 KiB.
const PAGE_BYTES: usize = 256 * 1024;

/// The store is given this long, if streams give it longer: 5 s.
const PATIENCE_MILLIS: u64 = 5_000;

/// The life of one request: it waits until there is something to answer, or until its time is up.
/// It is driven as a [`EventStream`](super::EventStream) is, but never emits.
#[derive(Debug)]
pub struct LongPoll {
    types: EventFilter,
    limit: usize,
    /// The tags of answers that the client has.
    known: Vec<String>,
    until: Instant,
    feeds: MergedReader,
    events: Vec<PageEvent>,
    gaps: Vec<GapSignal>,
    bytes: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    /// It is over, and why.
    Over(Over),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Over {
    /// The answer is full, and more events are there.
    Full,
    /// The store has not said what more there is.
    CutShort,
    /// That is all there is now.
    Caught,
    /// That is all there will ever be.
    Closed,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// What is told of events that cannot be had.
    pub gaps: Vec<GapSignal>,
    /// The events, in order of their channels' seqs.
    pub events: Vec<PageEvent>,
    /// Where the client stands now.
    pub cursor: Cursor,
    /// Whether more events are there already, or may be.
    pub more: bool,
    /// Whether it is full, and so stays what it is.
    pub full: bool,
    /// Whether nothing will ever follow.
    pub closed: bool,
}

impl Page {
    /// What the answer to the same request is only as long as it is the same.
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
    /// Its channel's place in the subscription.
    pub channel: usize,
    /// Where the client stands when it has it.
    pub cursor: Cursor,
    /// Its type, if it has one.
    pub event_type: Option<String>,
    /// Its data.
    pub data: String,
    /// When it was appended.
    pub time: Timestamp,
    /// The `traceparent` of what published it, if it is to be told.
    pub trace: Option<String>,
}

impl LongPoll {
    /// A request that is answered as soon as there is something to tell and the answer's tag is not
    /// `known`; at the latest at `until`, or when the client's token expires. `limit` is the most events in the answer.
    #[must_use]
    pub fn new(
        subscription: Subscription,
        settings: StreamConfig,
        limit: usize,
        known: Vec<String>,
        until: Instant,
        random: u64,
        now: Instant,
    ) -> Self {
        let mut random = fastrand::Rng::with_seed(random);
        let settings = StreamConfig {
            patience_millis: settings.patience_millis.min(PATIENCE_MILLIS),
            ..settings
        };
        Self {
            types: subscription.types.clone(),
            limit,
            known,
            until: subscription
                .expires
                .map_or(until, |expires| until.min(expires)),
            feeds: MergedReader::new(subscription, settings, &mut random, now),
            events: vec![],
            gaps: vec![],
            bytes: 0,
            state: State::Reading,
        }
    }

    /// The channels: what was read is told to them.
    pub const fn feeds(&mut self) -> &mut MergedReader {
        &mut self.feeds
    }

    /// Says what to do next: [`Step::End`] once it can be answered.
    pub fn next(&mut self, now: ClockReading) -> Step {
        loop {
            if self.state != State::Reading {
                return Step::End;
            }
            match self.feeds.next(now) {
                Found::Read(step) => return step,
                Found::Gaps => {
                    let gaps = self.feeds.take_gaps().into_iter();
                    self.gaps.extend(gaps.map(|(gap, _)| gap));
                }
                Found::Events(_) if self.is_full() => self.end(Over::Full),
                Found::Events(place) => self.take(place, now.monotonic),
                Found::Ended { closed: true } => self.end(Over::Closed),
                Found::Ended { closed: false } => self.end(Over::Caught),
                Found::Nothing(until) => match self.feeds.are_settled() {
                    true if self.has_news() || now.monotonic >= self.until => {
                        self.end(Over::Caught)
                    }
                    true => return Step::Wait(until.min(self.until)),
                    // Whatever the time, it is not known yet what is there.
                    false => match self.feeds.patience_ends() {
                        Some(end) if now.monotonic >= self.gives_up(end) => {
                            self.end(Over::CutShort)
                        }
                        Some(end) => return Step::Wait(until.min(self.gives_up(end))),
                        None => return Step::Wait(until),
                    },
                },
            }
        }
    }

    /// The answer; `None` if the store has not said where the client stands.
    #[must_use]
    pub fn into_page(self) -> Option<Page> {
        let State::Over(over) = self.state else {
            return None;
        };
        Some(Page {
            gaps: self.gaps,
            events: self.events,
            cursor: self.feeds.cursor()?.clone(),
            more: matches!(over, Over::Full | Over::CutShort),
            full: over == Over::Full,
            closed: over == Over::Closed,
        })
    }

    fn end(&mut self, over: Over) {
        self.state = State::Over(over);
    }

    /// When to give up, the store's time being over at `end`: only when the client's is, too, if it is
    /// known where the client stands and there is nothing to tell.
    fn gives_up(&self, end: Instant) -> Instant {
        match self.feeds.cursor() {
            Some(_) if !self.has_news() => end.max(self.until),
            _ => end,
        }
    }

    fn is_full(&self) -> bool {
        self.events.len() >= self.limit || self.bytes >= PAGE_BYTES
    }

    fn has_news(&self) -> bool {
        let told = !self.events.is_empty() || !self.gaps.is_empty();
        let tag = self.feeds.cursor().map(|cursor| tag(cursor, false, false));
        told && tag.is_none_or(|tag| !self.known.contains(&tag))
    }

    fn take(&mut self, place: usize, now: Instant) {
        let (types, events, bytes) = (&self.types, &mut self.events, &mut self.bytes);
        let limit = self.limit;
        let _ = self.feeds.deliver(place, now, |cursor, record| {
            if types.include(record.event_type) {
                *bytes = record.data.len().saturating_add(*bytes);
                events.push(PageEvent {
                    channel: place,
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
