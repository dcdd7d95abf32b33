//! Subscribers.

use std::rc::Rc;

use super::checker::{Checker, token};
use super::stats::Stats;
use super::store::{Answer, Call};
use super::world::{Next, Scene};
use crate::core::log::{ClockReading, Head, SegmentId, StartFrom, head_key, segment_key};
use crate::core::sse::{EventId, Position};
use crate::core::stream::{EventFilter, EventStream, Step, StreamConfig, Subscription};
use crate::core::time::Instant;

const CONFIG: StreamConfig = StreamConfig {
    heartbeat_millis: 2_000,
    retry_millis: 50,
    max_age_millis: 20_000,
    patience_millis: 5_000,
    poll_millis: (5, 200),
};

/// A client that reads, breaks off and resumes by its last event ID.
pub(super) struct Subscriber {
    stream: Option<EventStream>,
    last: Option<EventId>,
    /// Whether it was told that the channel is closed.
    ended: bool,
    asked: Asked,
}

enum Asked {
    Nothing,
    Head(Instant),
    Segments(Vec<SegmentId>),
}

impl Subscriber {
    pub(super) fn new() -> Self {
        Self {
            stream: None,
            last: None,
            ended: false,
            asked: Asked::Nothing,
        }
    }

    pub(super) fn last(&self) -> Option<EventId> {
        self.last
    }

    /// The connection breaks.
    pub(super) fn crash(&mut self) {
        self.stream = None;
        self.asked = Asked::Nothing;
    }

    /// Comes back after the end, to see whether there is a new log.
    pub(super) fn come_back(&mut self) {
        self.ended = false;
        self.crash();
    }

    /// Time has passed, or the store has answered.
    pub(super) fn step(
        &mut self,
        answer: Option<Answer>,
        now: ClockReading,
        scene: &mut Scene,
    ) -> Result<Next, String> {
        let Scene {
            channel,
            random,
            checker,
            stats,
            frames,
            ..
        } = scene;
        let channel = &*channel;
        if self.ended {
            return Ok(Next::Rest);
        }
        let stream = self.stream.get_or_insert_with(|| {
            stats.streams += 1;
            let start = self.last.map_or(StartFrom::Earliest, |last| {
                StartFrom::After(Position::After(last))
            });
            let subscription = Subscription {
                channels: vec![(channel.clone(), start)],
                given: None,
                types: EventFilter::All,
                live: true,
                expires: None,
            };
            let stream = EventStream::new(subscription, CONFIG, random.u64(..), now.monotonic);
            stream.sharing(frames.clone())
        });
        match (answer, std::mem::replace(&mut self.asked, Asked::Nothing)) {
            (Some(Answer::Value(value)), Asked::Head(at)) => {
                let key = head_key(channel);
                let decode = |bytes| {
                    Head::decode(&key, &bytes)
                        .map(Rc::new)
                        .map_err(|error| error.to_string())
                };
                let head = value.and_then(|value| value.map(decode).transpose());
                stream.feeds().head_read(0, at, head, now.monotonic);
            }
            (Some(Answer::Values(values)), Asked::Segments(names)) => {
                stream
                    .feeds()
                    .segments_read(0, &names, values, now.monotonic)
            }
            _ => {}
        }
        match stream.next(now) {
            Step::Emit(bytes) => {
                for block in String::from_utf8_lossy(&bytes).split_terminator("\n\n") {
                    self.block(block, checker, stats)?;
                }
                // Some clients are slow.
                Ok(Next::Sleep(if random.u8(..10) == 0 {
                    random.u64(..500)
                } else {
                    1
                }))
            }
            Step::ReadHead(..) => {
                self.asked = Asked::Head(now.monotonic);
                Ok(Next::Call(Call::Get(head_key(channel))))
            }
            Step::ReadSegments(_, names) => {
                let keys = names
                    .iter()
                    .map(|name| segment_key(channel, *name))
                    .collect();
                self.asked = Asked::Segments(names);
                Ok(Next::Call(Call::GetAll(keys)))
            }
            Step::Wait(until) => Ok(Next::Sleep(until.since(now.monotonic).max(1))),
            Step::End => {
                self.crash();
                Ok(if self.ended {
                    Next::Rest
                } else {
                    Next::Sleep(random.u64(50..=100))
                })
            }
        }
    }

    fn block(&mut self, block: &str, checker: &Checker, stats: &mut Stats) -> Result<(), String> {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
        let Some(data) = field("data: ") else {
            return Ok(());
        };
        let id: EventId = field("id: ")
            .ok_or("a block without an id")?
            .parse()
            .map_err(|_| "a bad id")?;
        match field("event: ") {
            Some("runnel.gap") => {
                stats.gaps += 1;
                let reason = data.split('"').nth(7).unwrap_or_default();
                checker.gap_read(reason, self.last, id)?;
            }
            Some("runnel.end") => {
                stats.ends += 1;
                checker.end_read(id)?;
                self.ended = true;
            }
            _ => {
                stats.read += 1;
                // The first event of a new subscriber may be any that is kept.
                checker.event_read(self.last, id, &token(data))?;
            }
        }
        self.last = Some(id);
        Ok(())
    }
}
