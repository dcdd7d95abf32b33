//! Streams driven against a log in memory, with time that jumps from one wait to the next.

mod expiry;
mod gaps;
mod life;
mod polling;
mod several;
mod sharing;
mod storm;
mod tally;
mod trouble;

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use bytes::Bytes;

use super::*;
use crate::core::log::{Batch, Head, NewEvent, Retention, SegmentId, StartFrom, append};
use crate::core::sse::Epoch;
use crate::core::time::Timestamp;
use proptest::prelude::*;

const CONFIG: StreamConfig = StreamConfig {
    heartbeat_millis: 15_000,
    retry_millis: 2_000,
    max_age_millis: 300_000,
    patience_millis: 30_000,
    poll_millis: (5, 500),
};

fn after(last_event_id: &str) -> StartFrom {
    StartFrom::after(last_event_id, 1).remove(0)
}

fn subscription(start: StartFrom, live: bool) -> Subscription {
    Subscription {
        channels: vec![("demo".parse().unwrap(), start)],
        given: None,
        types: EventFilter::All,
        live,
        expires: None,
    }
}

/// A channel's log and the store it is in.
struct World {
    now: u64,
    head: Option<Head>,
    segments: HashMap<SegmentId, Bytes>,
    retention: Retention,
    failing: bool,
    /// Segments whose next read fails.
    fails_once: HashSet<SegmentId>,
    head_reads: u64,
}

impl World {
    fn new() -> Self {
        Self {
            now: 1_000_000,
            head: None,
            segments: HashMap::new(),
            retention: Retention {
                events: 1_000_000,
                bytes: 1 << 40,
                seconds: 0,
            },
            failing: false,
            fails_once: HashSet::new(),
            head_reads: 0,
        }
    }

    fn with_events(count: usize, bytes: usize) -> Self {
        let mut world = Self::new();
        for place in 0..count {
            world.publish(&format!("{place:0bytes$}"));
        }
        world
    }

    fn commit(&mut self, batch: Batch) {
        let head = self
            .head
            .take()
            .unwrap_or_else(|| Head::new(Epoch::from_random(7)));
        let plan = append(
            &head,
            &[batch],
            self.now,
            Timestamp(self.now),
            &self.retention,
        )
        .unwrap();
        assert!(plan.answers.iter().all(Result::is_ok));
        let change = plan.change.unwrap();
        self.segments.extend(change.seal);
        change
            .discard
            .iter()
            .for_each(|name| drop(self.segments.remove(name)));
        self.head = Some(change.head);
    }

    fn publish(&mut self, data: &str) {
        let event = NewEvent {
            event_type: None,
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

    fn now(&self) -> ClockReading {
        ClockReading {
            monotonic: Instant(self.now),
            wall: Timestamp(self.now),
        }
    }

    fn open_with(&self, settings: StreamConfig, start: StartFrom, live: bool) -> EventStream {
        EventStream::new(subscription(start, live), settings, 42, Instant(self.now))
    }

    fn open(&self, start: StartFrom) -> EventStream {
        self.open_with(CONFIG, start, true)
    }

    fn head_as_read(&self) -> Result<Option<Rc<Head>>, String> {
        match self.failing {
            true => Err("down".to_owned()),
            false => Ok(self.head.clone().map(Rc::new)),
        }
    }

    /// The next chunk that the stream sends no later than `until`; `None` if it ends or waits.
    fn chunk(&mut self, stream: &mut EventStream, until: u64) -> Option<String> {
        loop {
            match stream.next(self.now()) {
                Step::Emit(bytes) => return Some(String::from_utf8(bytes).unwrap()),
                Step::End => return None,
                Step::Wait(at) => {
                    assert!(at.0 > self.now, "a wait makes time pass");
                    if at.0 > until {
                        self.now = until;
                        return None;
                    }
                    self.now = at.0;
                }
                Step::ReadHead(place, _) => {
                    self.head_reads += 1;
                    let head = self.head_as_read();
                    stream
                        .feeds()
                        .head_read(place, Instant(self.now), head, Instant(self.now));
                }
                Step::ReadSegments(place, names) => {
                    let mut read = |name| match self.failing || self.fails_once.remove(name) {
                        true => Err("down".into()),
                        false => Ok(self.segments.get(name).cloned()),
                    };
                    let values = names.iter().map(&mut read).collect();
                    stream
                        .feeds()
                        .segments_read(place, &names, values, Instant(self.now));
                }
            }
        }
    }

    /// Everything the stream sends in so many milliseconds.
    fn sent(&mut self, stream: &mut EventStream, millis: u64) -> String {
        let until = self.now + millis;
        let mut sent = String::new();
        while let Some(chunk) = self.chunk(stream, until) {
            assert!(chunk.ends_with("\n\n"), "a chunk is whole blocks");
            sent.push_str(&chunk);
        }
        sent
    }
}

/// The seqs of the events in it.
fn seqs(sent: &str) -> Vec<u64> {
    let ids = sent
        .split("\n\n")
        .filter(|block| block.contains("data: ") && !block.contains("event: runnel."));
    ids.map(|block| {
        block
            .lines()
            .find_map(|line| line.strip_prefix("id: 000007-"))
            .unwrap()
            .parse()
            .unwrap()
    })
    .collect()
}
