//! One answer to a client that asks again and again instead of holding a stream.

use super::feeds::Found;
use super::{Feeds, GapSignal, Settings, Step, Subscription, Types};
use crate::core::log::Now;
use crate::core::sse::Cursor;
use crate::core::time::{Millis, Mono};

/// An answer ends with the event that takes it to this many bytes of data: 256 KiB.
const PAGE_BYTES: usize = 256 * 1024;

/// The store is given this long, if streams give it longer: 5 s.
const PATIENCE_MILLIS: u64 = 5_000;

/// The life of one request: it waits until there is something to answer, or until its time is up.
/// It is driven as a [`Stream`](super::Stream) is, but never emits.
#[derive(Debug)]
pub struct LongPoll {
    types: Types,
    limit: usize,
    /// An answer that ends here is known to the client already.
    known: Option<String>,
    until: Mono,
    feeds: Feeds,
    events: Vec<PageEvent>,
    gaps: Vec<GapSignal>,
    bytes: usize,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Reading,
    /// It is over; whether more events are there, and whether all channels are closed and done.
    Over {
        more: bool,
        closed: bool,
    },
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
    /// Whether more events are there already.
    pub more: bool,
    /// Whether nothing will ever follow.
    pub closed: bool,
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
    pub time: Millis,
}

impl LongPoll {
    /// A request that is answered as soon as there is something to tell and the answer does not end
    /// at `known`; at the latest at `until`. `limit` is the most events in the answer.
    #[must_use]
    pub fn new(
        subscription: Subscription,
        settings: Settings,
        limit: usize,
        known: Option<String>,
        until: Mono,
        random: u64,
        now: Mono,
    ) -> Self {
        let mut random = fastrand::Rng::with_seed(random);
        let settings = Settings {
            patience_millis: settings.patience_millis.min(PATIENCE_MILLIS),
            ..settings
        };
        Self {
            types: subscription.types.clone(),
            limit,
            known,
            until,
            feeds: Feeds::new(subscription, settings, &mut random, now),
            events: vec![],
            gaps: vec![],
            bytes: 0,
            state: State::Reading,
        }
    }

    /// The channels: what was read is told to them.
    pub const fn feeds(&mut self) -> &mut Feeds {
        &mut self.feeds
    }

    /// Says what to do next: [`Step::End`] once it can be answered.
    pub fn next(&mut self, now: Now) -> Step {
        loop {
            if self.state != State::Reading {
                return Step::End;
            }
            match self.feeds.next(now) {
                Found::Read(step) => return step,
                Found::Gap(place) => self.gap(place),
                Found::Events(_) if self.is_full() => self.end(true, false),
                Found::Events(place) => self.take(place, now.mono),
                Found::Ended { closed } => self.end(false, closed),
                Found::Nothing(_) if !self.feeds.are_reading() && self.has_news() => {
                    self.end(false, false);
                }
                Found::Nothing(_) if now.mono >= self.deadline() => self.end(false, false),
                Found::Nothing(until) => return Step::Wait(until.min(self.deadline())),
            }
        }
    }

    /// The answer; `None` if the store has not said where the client stands.
    #[must_use]
    pub fn into_page(self) -> Option<Page> {
        let State::Over { more, closed } = self.state else {
            return None;
        };
        Some(Page {
            gaps: self.gaps,
            events: self.events,
            cursor: self.feeds.cursor()?.clone(),
            more,
            closed,
        })
    }

    fn end(&mut self, more: bool, closed: bool) {
        self.state = State::Over { more, closed };
    }

    /// The time is up when the client says so, but what is being read, or has never been, is waited
    /// for as long as the store is given.
    fn deadline(&self) -> Mono {
        let reading = self.feeds.cursor().is_none() || self.feeds.are_reading();
        match self.feeds.patience_ends() {
            Some(end) if reading => end,
            _ => self.until,
        }
    }

    fn is_full(&self) -> bool {
        self.events.len() >= self.limit || self.bytes >= PAGE_BYTES
    }

    fn has_news(&self) -> bool {
        let told = !self.events.is_empty() || !self.gaps.is_empty();
        let cursor = self.feeds.cursor().map(Cursor::to_string);
        told && (self.known.is_none() || cursor != self.known)
    }

    fn gap(&mut self, place: usize) {
        let gap = self.feeds.take_gap(place);
        let channel = self.feeds.channel(place).map(ToString::to_string);
        if let (Some(channel), Some(gap)) = (channel, gap) {
            self.gaps.push(GapSignal { channel, gap });
        }
    }

    fn take(&mut self, place: usize, now: Mono) {
        let (types, events, bytes) = (&self.types, &mut self.events, &mut self.bytes);
        let limit = self.limit;
        self.feeds.deliver(place, now, |cursor, _, record| {
            if types.include(record.event_type) {
                *bytes += record.data.len();
                events.push(PageEvent {
                    channel: place,
                    cursor: cursor.clone(),
                    event_type: record.event_type.map(|text| text.as_str().to_owned()),
                    data: record.data.to_owned(),
                    time: record.time,
                });
            }
            events.len() < limit && *bytes < PAGE_BYTES
        });
    }
}
