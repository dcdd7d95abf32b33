//! Readers of an instance that share what they read, in a simulated world.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use futures::FutureExt;
use futures::future::LocalBoxFuture;

use super::{KvLog, KvReader, PollInterval};
use crate::core::channel::Channel;
use crate::core::environment::Environment;
use crate::core::log::{
    Batch, Log, LogReader, NewEvent, Page, ReaderOptions, Retention, StartFrom,
};
use crate::core::metrics::Metrics;
use crate::core::parking::Parking;
use crate::core::store::StoreClient;
use crate::core::time::Instant;
use crate::simulation::{Conditions, Model, SimulatedEnvironment, SimulatedStore, World};

type Reader = KvReader<SimulatedEnvironment, SimulatedStore>;

/// The longest that a reader waits for another whose read does not end, with the calls of the store.
const MAX_WAIT: Duration = Duration::from_millis(1_500);

const RETENTION: Retention = Retention {
    events: 100,
    bytes: 1_000_000,
    max_age: None,
};

struct Instance {
    world: World,
    env: SimulatedEnvironment,
    log: KvLog<SimulatedEnvironment, SimulatedStore>,
    channel: Channel,
}

impl Instance {
    /// Creates an instance whose channel has three events, all but the last of them in segments.
    fn new() -> Self {
        let world = World::new(Model::Sound, Conditions::CALM, fastrand::Rng::with_seed(7));
        let env = world.instance();
        let metrics = Metrics::new(1);
        let store = StoreClient::new(env.clone(), env.store(), metrics.clone());
        let log = KvLog::new(env.clone(), store, metrics, Parking::new(env.clone()));
        let channel: Channel = "demo".parse().unwrap();
        let instance = Self {
            world,
            env,
            log,
            channel,
        };
        let (log, channel) = (instance.log.clone(), instance.channel.clone());
        instance.finish(async move {
            for _ in 0..3 {
                let event = NewEvent {
                    event_type: None,
                    data: "x".repeat(30_000),
                    trace: None,
                };
                let batch = Batch {
                    events: vec![event],
                    ..Batch::default()
                };
                log.append(&channel, batch, RETENTION).await.unwrap();
            }
        });
        instance
    }

    fn reader(&self) -> Reader {
        let options = ReaderOptions {
            opened: Instant(self.world.now().0 - 10),
            poll: PollInterval {
                min: Duration::from_millis(5),
                max: Duration::from_millis(500),
            },
            retention: RETENTION,
        };
        self.log.reader(&self.channel, options)
    }

    /// Runs a task to its end and returns the time that it took.
    fn finish(&self, task: impl Future<Output = ()> + 'static) -> Duration {
        let begin = self.world.now();
        let ended = Rc::new(Cell::new(false));
        let has_ended = ended.clone();
        self.env.spawn(async move {
            task.await;
            ended.set(true);
        });
        self.world.run_until(|| has_ended.get()).unwrap();
        self.world.now().saturating_duration_since(begin)
    }

    /// Begins a read that nobody polls any more, as while its client takes a chunk.
    fn stall(&self, read: impl Future<Output = Page> + 'static) {
        let mut read: Option<LocalBoxFuture<'static, Page>> = Some(read.boxed_local());
        let mut is_begun = false;
        self.env.spawn(poll_fn(move |context| {
            if !std::mem::replace(&mut is_begun, true) {
                let poll = read.as_mut().map(|read| read.as_mut().poll(context));
                assert!(poll.is_some_and(|poll| poll.is_pending()));
            }
            Poll::Pending
        }));
        self.world.run_for(Duration::from_millis(1)).unwrap();
    }
}

async fn read(mut reader: Reader, max_bytes: u64) -> Page {
    reader.read(&StartFrom::Earliest, max_bytes).await.unwrap()
}

#[test]
fn a_stalled_reader_of_a_head_does_not_block_others() {
    let instance = Instance::new();
    instance.stall(read(instance.reader(), 0));
    let reader = instance.reader();
    let took = instance.finish(async move {
        assert!(read(reader, 0).await.state.is_some());
    });
    assert!(took < MAX_WAIT, "{took:?}");
}

#[test]
fn a_stalled_reader_of_segments_does_not_block_others() {
    let instance = Instance::new();
    let mut stalled = instance.reader();
    let (sender, receiver) = futures::channel::oneshot::channel();
    instance.finish(async move {
        stalled.read(&StartFrom::Earliest, 0).await.unwrap();
        assert!(sender.send(stalled).is_ok());
    });
    let stalled = receiver.now_or_never().unwrap().unwrap();
    instance.stall(read(stalled, 64 * 1024));
    let reader = instance.reader();
    let took = instance.finish(async move {
        assert!(!read(reader, 64 * 1024).await.batches.is_empty());
    });
    assert!(took < MAX_WAIT, "{took:?}");
}
