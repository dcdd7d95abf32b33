//! Streams and long-polls over the real readers of the key-value engine, with logs in memory and time
//! that jumps from one wait to the next.

mod client;
mod expiry;
mod gaps;
mod lifetime;
mod long_poll;
mod multi_channel;
mod reconnect_storm;
mod retention;
mod sharing;
mod stats;
mod store_failures;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::core::channel::Channel;
use crate::core::log::kv::key::head_key;
use crate::core::log::kv::segment::SegmentId;
use crate::core::log::kv::{Head, append};
use crate::core::log::{Batch, NewEvent, PollInterval, Retention};
use crate::core::sse::{Epoch, Seq};
use crate::core::store::StoreError;
use crate::core::time::{ClockReading, Instant, Timestamp};
use client::Client;

const CONFIG: StreamConfig = StreamConfig {
    heartbeat: Duration::from_secs(15),
    retry: Duration::from_secs(2),
    max_age: Duration::from_secs(300),
    store_patience: Duration::from_secs(30),
    poll: PollInterval {
        min: Duration::from_millis(5),
        max: Duration::from_millis(500),
    },
    retention: KEEP_ALL,
};

const KEEP_ALL: Retention = Retention {
    events: 1_000_000,
    bytes: 1 << 40,
    max_age: None,
};

fn after(last_event_id: &str) -> ResumePoint {
    ResumePoint::parse(last_event_id, 1)
}

fn subscription(resume: ResumePoint, live: bool) -> Subscription {
    Subscription {
        channels: vec!["demo".parse().unwrap()],
        resume,
        filter: EventFilter::All,
        live,
        expires: None,
    }
}

/// A channel's log, the store that has it, and the time.
#[derive(Debug)]
struct World {
    now: u64,
    channel: Channel,
    head: Option<Head>,
    segments: HashMap<SegmentId, Bytes>,
    /// The part of the log that writers keep.
    retention: Retention,
    /// The part of the log that readers get.
    served: Retention,
    /// The milliseconds by which the clocks of writers are wrong.
    skew: i64,
    failing: bool,
    /// Segments whose next read fails.
    fails_once: HashSet<SegmentId>,
    head_reads: u64,
}

impl World {
    fn new() -> Self {
        Self::of("demo")
    }

    fn of(channel: &str) -> Self {
        Self {
            now: 1_000_000,
            channel: channel.parse().unwrap(),
            head: None,
            segments: HashMap::new(),
            retention: KEEP_ALL,
            served: KEEP_ALL,
            skew: 0,
            failing: false,
            fails_once: HashSet::new(),
            head_reads: 0,
        }
    }

    /// Creates a log of `count` events of `bytes` each.
    fn with_events(count: usize, bytes: usize) -> Self {
        let mut world = Self::new();
        for number in 0..count {
            world.publish(&format!("{number:0bytes$}"));
        }
        world
    }

    fn commit(&mut self, batch: Batch) {
        let head = self.head.take();
        let head = head.unwrap_or_else(|| Head::new(Epoch::from_random(7)));
        let now = Timestamp(self.now.saturating_add_signed(self.skew));
        let plan = append(&head, &[batch], self.now, now, &self.retention).unwrap();
        assert!(plan.outcomes.iter().all(Result::is_ok));
        let change = plan.change.unwrap();
        self.segments.extend(change.seal);
        for id in &change.discard {
            self.segments.remove(id);
        }
        self.head = Some(change.head);
    }

    fn publish(&mut self, data: &str) {
        self.publish_as(None, data);
    }

    fn publish_as(&mut self, event_type: Option<&str>, data: &str) {
        let event = NewEvent {
            event_type: event_type.map(str::to_owned),
            data: data.to_owned(),
            trace: None,
        };
        self.commit(Batch {
            events: vec![event],
            ..Batch::default()
        });
    }

    fn close(&mut self) {
        self.commit(Batch {
            close: true,
            ..Batch::default()
        });
    }

    /// Reads a key of the store.
    fn get(&mut self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let error = StoreError {
            call: format!("get {key}"),
            message: "down".to_owned(),
        };
        if key == head_key(&self.channel) {
            self.head_reads += 1;
            let value = self.head.as_ref().map(|head| head.encode().unwrap().into());
            return if self.failing { Err(error) } else { Ok(value) };
        }
        let mut parts = key.split('!').skip(2);
        let id = SegmentId {
            epoch: parts.next().unwrap().parse().unwrap(),
            first: Seq(parts.next().unwrap().parse().unwrap()),
            merged: parts.next().map(|count| count.parse().unwrap()),
        };
        if self.failing || self.fails_once.remove(&id) {
            return Err(error);
        }
        Ok(self.segments.get(&id).cloned())
    }

    const fn now(&self) -> ClockReading {
        ClockReading {
            monotonic: Instant(self.now),
            wall: Timestamp(self.now),
        }
    }

    /// Returns the configuration of readers.
    fn config(&self) -> StreamConfig {
        StreamConfig {
            retention: self.served,
            ..CONFIG
        }
    }

    fn stream(&self, subscription: Subscription, config: StreamConfig, seed: u64) -> EventStream {
        EventStream::new(subscription, config, seed, self.now().monotonic)
    }

    fn client<M>(&self, machine: M) -> Client<M> {
        let channels = std::slice::from_ref(&self.channel);
        Client::new(machine, channels, self.config(), self.now().monotonic)
    }

    fn subscribe(&self, subscription: Subscription) -> Client<EventStream> {
        self.client(self.stream(subscription, self.config(), 42))
    }

    fn open_with(
        &self,
        config: StreamConfig,
        resume: ResumePoint,
        live: bool,
    ) -> Client<EventStream> {
        self.client(self.stream(subscription(resume, live), config, 42))
    }

    fn open(&self, resume: ResumePoint) -> Client<EventStream> {
        self.open_with(self.config(), resume, true)
    }

    /// Lends this world to a client.
    fn lend<M, T>(&mut self, client: &mut Client<M>, run: impl FnOnce(&mut Client<M>) -> T) -> T {
        let mut worlds = vec![std::mem::replace(self, Self::new())];
        let result = client.run_in(&mut worlds, run);
        *self = worlds.remove(0);
        result
    }

    /// Returns the next chunk that the stream sends no later than `until`; `None` if it ends or waits.
    fn chunk(&mut self, stream: &mut Client<EventStream>, until: u64) -> Option<String> {
        self.lend(stream, |stream| stream.chunk(Instant(until)))
    }

    /// Returns the first bytes of the stream, up to `runnel.open`.
    fn opening(&mut self, stream: &mut Client<EventStream>) -> String {
        let mut opening = String::new();
        while !opening.contains("event: runnel.open\n") {
            opening += &self.chunk(stream, self.now).unwrap();
        }
        opening
    }

    /// Returns everything that the stream sends in the next `millis` milliseconds.
    fn sent(&mut self, stream: &mut Client<EventStream>, millis: u64) -> String {
        let until = Instant(self.now + millis);
        self.lend(stream, |stream| stream.sent(until))
    }
}

/// Returns the blocks after `runnel.open`, which has a random reconnection time.
fn after_opening(sent: &str) -> &str {
    let (open, rest) = sent.split_once("\n\n").unwrap();
    assert!(open.starts_with(": runnel\nevent: runnel.open\n"), "{open}");
    rest
}

/// Returns the seqs of the events in `sent`.
fn seqs(sent: &str) -> Vec<u64> {
    let events = sent
        .split("\n\n")
        .filter(|block| block.contains("data: ") && !block.contains("event: runnel."));
    let seq = |block: &str| {
        let mut lines = block.lines();
        let id = lines.find_map(|line| line.strip_prefix("id: 000007-"));
        id.unwrap().parse().unwrap()
    };
    events.map(seq).collect()
}
