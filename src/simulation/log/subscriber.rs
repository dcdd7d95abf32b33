//! Subscribers.

use std::cell::{Cell, RefCell};
use std::fmt::Display;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures::future::poll_fn;

use super::super::{SimulatedEnvironment, Violation};
use super::checker::{Checker, law, token};
use super::ledger::Ledger;
use super::publisher::{SimulatedLog, new_log};
use crate::core::channel::Channel;
use crate::core::environment::Environment;
use crate::core::log::{PollInterval, Retention};
use crate::core::parking::Parking;
use crate::core::sse::{Cursor, Position};
use crate::core::stream::{
    EventFilter, ResumePoint, SharedFrames, StreamConfig, StreamObserver, StreamStats, Subscriber,
    Subscription,
};

const CONFIG: StreamConfig = StreamConfig {
    heartbeat: Duration::from_secs(2),
    retry: Duration::from_millis(50),
    max_age: Duration::from_secs(20),
    store_patience: Duration::from_secs(5),
    poll: PollInterval {
        min: Duration::from_millis(5),
        max: Duration::from_millis(200),
    },
    retention: Retention {
        events: u64::MAX,
        bytes: u64::MAX,
        max_age: None,
    },
};

/// The time that a resuming subscriber waits for the first page, as in production.
const FIRST_PAGE: Duration = Duration::from_millis(500);

/// A connection breaks at one in this many polls.
const DISCONNECTS_ONE_IN: u64 = 400;

/// The memory for shared frames: so little that much of it is dropped in each run.
const SHARED_BYTES: usize = 4_000;

/// An instance that serves clients. Clones are handles to the same.
#[derive(Clone)]
pub(super) struct Server {
    env: SimulatedEnvironment,
    channel: Channel,
    config: StreamConfig,
    ledger: Rc<RefCell<Ledger>>,
    clients: Rc<Vec<Client>>,
    /// Set while connections break at random.
    breaks: Rc<Cell<bool>>,
}

/// A client that reads, is cut off, and resumes by its last event ID.
#[derive(Default)]
struct Client {
    last: Cell<Option<Position>>,
    /// Set once an event or a status 204 has said that the channel is closed.
    has_ended: Cell<bool>,
}

/// The part of an instance that its streams share.
#[derive(Clone)]
struct Shared {
    log: SimulatedLog,
    parking: Parking<SimulatedEnvironment>,
    frames: SharedFrames,
}

struct Unobserved;

impl StreamObserver for Unobserved {
    fn report(&mut self, _: &StreamStats, _: usize) {}

    fn read_failed(&mut self, _: &Channel, _: &dyn Display) {}
}

impl Server {
    pub(super) fn new(
        env: SimulatedEnvironment,
        clients: usize,
        channel: Channel,
        retention: Retention,
        ledger: Rc<RefCell<Ledger>>,
    ) -> Self {
        Self {
            env,
            channel,
            config: StreamConfig {
                retention,
                ..CONFIG
            },
            ledger,
            clients: Rc::new((0..clients).map(|_| Client::default()).collect()),
            breaks: Rc::new(Cell::new(true)),
        }
    }

    pub(super) const fn env(&self) -> &SimulatedEnvironment {
        &self.env
    }

    /// Returns the position of each client.
    pub(super) fn positions(&self) -> Vec<Option<Position>> {
        self.clients
            .iter()
            .map(|client| client.last.get())
            .collect()
    }

    /// Stops breaking connections.
    pub(super) fn calm(&self) {
        self.breaks.set(false);
    }

    /// Makes clients come back that have seen the end of the channel: there may be a new log.
    pub(super) fn forget_ends(&self) {
        self.clients
            .iter()
            .for_each(|client| client.has_ended.set(false));
    }

    /// Starts a new instance, to which all clients connect after `delay`.
    pub(super) fn start(&self, delay: Duration) {
        let parking = Parking::new(self.env.clone());
        let shared = Shared {
            log: new_log(&self.env, &parking),
            parking,
            frames: SharedFrames::new(SHARED_BYTES),
        };
        for index in 0..self.clients.len() {
            self.connect(shared.clone(), index, delay);
        }
    }

    /// Serves one connection of a client after another, as the host does: in a task of its own each.
    fn connect(&self, shared: Shared, index: usize, delay: Duration) {
        let server = self.clone();
        self.env.spawn(async move {
            server.env.sleep(delay).await;
            let Some(stream) = server.open(&shared, index).await else {
                return;
            };
            let parking = shared.parking.clone();
            parking.run(server.serve(shared, index, stream)).await;
        });
    }

    /// Answers a request; `None` with status 204.
    async fn open(
        &self,
        shared: &Shared,
        index: usize,
    ) -> Option<Subscriber<SimulatedEnvironment, SimulatedLog>> {
        let client = &self.clients[index];
        if client.has_ended.get() {
            return None;
        }
        self.ledger.borrow_mut().coverage.streams += 1;
        let last = client.last.get();
        let resume = last.map_or(ResumePoint::Earliest, |last| {
            ResumePoint::After(Cursor::from(last))
        });
        let subscription = Subscription {
            channels: vec![self.channel.clone()],
            resume,
            filter: EventFilter::All,
            live: true,
            expires: None,
        };
        let opened = self.env.now();
        let mut stream = Subscriber::open(
            self.env.clone(),
            shared.parking.clone(),
            &shared.log,
            shared.frames.clone(),
            subscription,
            self.config,
            opened,
        );
        if let Some(last) = last {
            let until = opened.saturating_add(FIRST_PAGE);
            if stream.read_first_pages(until).await {
                client.has_ended.set(true);
                let mut ledger = self.ledger.borrow_mut();
                ledger.coverage.finished += 1;
                let checked = ledger.checker.end_read(last);
                ledger.note(checked);
                return None;
            }
        }
        Some(stream)
    }

    /// Writes a stream to its client until it ends or the connection breaks; then the client comes back.
    async fn serve(
        self,
        shared: Shared,
        index: usize,
        mut stream: Subscriber<SimulatedEnvironment, SimulatedLog>,
    ) {
        let parking = shared.parking.clone();
        let mut serving = Box::pin(async {
            while let Some(chunk) = stream.next_chunk(&mut Unobserved).await {
                for block in String::from_utf8_lossy(&chunk).split_terminator("\n\n") {
                    let checked = self.block(index, block);
                    self.ledger.borrow_mut().note(checked);
                }
                self.write(&parking).await;
            }
        });
        poll_fn(|context| {
            if self.breaks.get() && self.env.random().is_multiple_of(DISCONNECTS_ONE_IN) {
                self.ledger.borrow_mut().coverage.disconnects += 1;
                return Poll::Ready(());
            }
            serving.as_mut().poll(context)
        })
        .await;
        drop(serving);
        if !self.clients[index].has_ended.get() {
            let delay = Duration::from_millis(50 + self.env.random() % 51);
            self.connect(shared, index, delay);
        }
    }

    /// Takes the time that a client takes for a chunk. Some clients are slow.
    async fn write(&self, parking: &Parking<SimulatedEnvironment>) {
        let random = self.env.random();
        let millis = if random.is_multiple_of(10) {
            random / 10 % 500
        } else {
            1
        };
        let write = pin!(self.env.sleep(Duration::from_millis(millis)));
        let timeout = self.env.now().saturating_add(Duration::from_secs(30));
        parking.with_deadline(write, timeout).await;
    }

    /// Takes a block of the stream.
    fn block(&self, index: usize, block: &str) -> Result<(), Violation> {
        let client = &self.clients[index];
        let (last, now) = (client.last.get(), self.env.now());
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
        let invalid = |what: &str| Violation(format!("{what}: {block}"));
        let Some(data) = field("data: ") else {
            let is_comment = block.lines().all(|line| line.starts_with(':'));
            return if is_comment {
                Ok(())
            } else {
                Err(invalid("a block without data"))
            };
        };
        let event_type = field("event: ");
        let Some(id) = field("id: ") else {
            let may_lack_id = matches!(event_type, Some("runnel.open" | "runnel.reconnect"));
            law(may_lack_id && last.is_none(), || {
                format!("a client at {last:?} gets no id: {block}")
            })?;
            return Ok(());
        };
        let cursor: Cursor = id.parse().map_err(|_| invalid("a bad id"))?;
        let position = cursor.positions()[0];
        let ledger = &mut *self.ledger.borrow_mut();
        match (event_type, position) {
            (Some("runnel.open" | "runnel.position" | "runnel.reconnect"), _) => {
                Checker::position_read(last, position)?;
            }
            (Some("runnel.end"), _) => {
                ledger.coverage.ends += 1;
                ledger.checker.end_read(position)?;
                client.has_ended.set(true);
            }
            (Some("runnel.gap"), Position::After(id)) => {
                ledger.coverage.gaps += 1;
                let reason = data.split('"').nth(7).unwrap_or_default();
                ledger.checker.gap_read(reason, last, id, now)?;
            }
            (None, Position::After(id)) => {
                ledger.coverage.read += 1;
                ledger.checker.event_read(last, id, &token(data), now)?;
            }
            _ => return Err(invalid("an unexpected block")),
        }
        client.last.set(Some(position));
        Ok(())
    }
}
