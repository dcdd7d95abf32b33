//! A host that is killed over and over while everybody goes on.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, block_in_place};
use tokio::time::{sleep, timeout};

use crate::channel::{Channel, id_of, parts};
use crate::client::PATIENCE;
use crate::server::{Host, Server, may_start_hosts};
use crate::stream::Stream;

const ROUNDS: usize = 20;
const PUBLISHERS: usize = 3;
const SUBSCRIBERS: usize = 2;

/// In each round the host lives until so many more events were acknowledged, and a little longer.
const EVENTS_PER_ROUND: u64 = 10;

/// How long a request is given before it is repeated.
const REQUEST_PATIENCE: Duration = Duration::from_secs(20);

/// Events as they were acknowledged or received: id and data.
type Events = Vec<(String, String)>;

/// What every task sees.
#[derive(Clone)]
struct Scene {
    /// The name of the channel that all write to.
    channel: String,
    /// Where the host is now: every restart puts it on another port.
    host: watch::Receiver<Server>,
    progress: Arc<Progress>,
}

#[derive(Default)]
struct Progress {
    acknowledged: AtomicU64,
    /// No more publishing.
    stop: AtomicBool,
    /// The seq of the last event there will be; 0 as long as that is not known.
    end: AtomicU64,
}

impl Scene {
    fn channel(&self, name: &str) -> Channel {
        Channel {
            server: self.host.borrow().clone(),
            name: name.to_owned(),
        }
    }

    fn goes_on(&self) -> bool {
        !self.progress.stop.load(Ordering::Relaxed)
    }

    /// Publishes an event until it is acknowledged; its id.
    async fn publish(&self, channel: &str, text: &str) -> String {
        loop {
            let request = self.channel(channel).publish("");
            let request = request.header("idempotency-key", text);
            let request = request.body("text/plain", text.to_owned());
            match timeout(REQUEST_PATIENCE, request.try_send()).await {
                Ok(Ok(answer)) if answer.status != 503 => return id_of(&answer.has(201)),
                _ => sleep(Duration::from_millis(5)).await,
            }
        }
    }

    async fn publisher(self, number: usize) -> Events {
        let mut acknowledged = vec![];
        while self.goes_on() {
            let text = format!("{number}:{}", acknowledged.len());
            acknowledged.push((self.publish(&self.channel, &text).await, text));
            self.progress.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        acknowledged
    }

    /// Publishes to one new channel after the other; returns their names with their only event.
    async fn founder(self) -> Vec<(String, (String, String))> {
        let mut founded = vec![];
        while self.goes_on() {
            let channel = format!("{}/{}", self.channel, founded.len());
            let id = self.publish(&channel, "first").await;
            founded.push((channel, (id, "first".to_owned())));
        }
        founded
    }

    fn is_complete(&self, received: &Events) -> bool {
        let end = self.progress.end.load(Ordering::Relaxed);
        let last = received.last().map_or(0, |(id, _)| parts(id).1);
        end > 0 && last >= end
    }

    /// Reads, and resumes whenever the stream breaks, until it has the last event.
    async fn subscriber(self) -> Events {
        let mut received = vec![];
        while !self.is_complete(&received) {
            let cursor = received.last().map_or("earliest", |(id, _): &(_, _)| id);
            let request = self.channel(&self.channel).events("");
            let request = request.header("last-event-id", cursor);
            match timeout(REQUEST_PATIENCE, request.try_open()).await {
                Ok(Ok(open)) => self.read(Stream::of(open), &mut received).await,
                _ => sleep(Duration::from_millis(5)).await,
            }
        }
        received
    }

    async fn read(&self, mut stream: Stream, received: &mut Events) {
        while !self.is_complete(received) {
            // Not longer, to look whether that was the last.
            match timeout(Duration::from_millis(100), stream.try_next()).await {
                Ok(Some(Ok(event))) => {
                    assert_eq!(event.event, "message", "{event:?} after {}", received.len());
                    received.push((event.id, event.data));
                }
                Ok(Some(Err(_)) | None) => return,
                Err(_) => {}
            }
        }
    }
}

fn start(state_dir: &Path) -> Host {
    let variables = ["retention_events=1000000", "retention_bytes=67108864"];
    block_in_place(|| Host::start(state_dir, &variables))
}

/// Kills and restarts the host, round after round.
async fn kill_over_and_over(
    state_dir: &Path,
    mut host: Host,
    moved: &watch::Sender<Server>,
    progress: &Progress,
) -> Host {
    for round in 0..ROUNDS {
        let enough = progress.acknowledged.load(Ordering::Relaxed) + EVENTS_PER_ROUND;
        let under_way = async {
            while progress.acknowledged.load(Ordering::Relaxed) < enough {
                sleep(Duration::from_millis(5)).await;
            }
        };
        if timeout(PATIENCE, under_way).await.is_err() {
            panic!("round {round}: nothing is acknowledged; {}", host.errors());
        }
        sleep(Duration::from_millis(rand::random_range(100..500))).await;
        block_in_place(|| host.kill());
        host = start(state_dir);
        moved.send(host.server.clone()).unwrap();
    }
    host
}

async fn ended<T>(task: JoinHandle<T>) -> T {
    timeout(PATIENCE, task)
        .await
        .expect("it does not end")
        .unwrap()
}

/// Holds two lists of events to be the same; says where they part and not all that is in them.
fn assert_same(left: &Events, right: &Events, what: &str) {
    let place = left
        .iter()
        .zip(right)
        .take_while(|(left, right)| left == right);
    let place = place.count();
    assert!(
        left == right,
        "{what} part after {place} events, of {} and {}: {:?}, {:?}",
        left.len(),
        right.len(),
        left.get(place),
        right.get(place)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_nothing_it_acknowledged_and_repeats_nothing() {
    if !may_start_hosts("killing the server") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let host = start(folder.path());
    let (moved, whereabouts) = watch::channel(host.server.clone());
    let scene = Scene {
        channel: Channel::on(host.server.clone()).name,
        host: whereabouts,
        progress: Arc::default(),
    };
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|number| tokio::spawn(scene.clone().publisher(number)))
        .collect();
    let subscribers: Vec<_> = (0..SUBSCRIBERS)
        .map(|_| tokio::spawn(scene.clone().subscriber()))
        .collect();
    let founder = tokio::spawn(scene.clone().founder());
    let _host = kill_over_and_over(folder.path(), host, &moved, &scene.progress).await;
    scene.progress.stop.store(true, Ordering::Relaxed);

    let mut acknowledged = BTreeMap::new();
    for publisher in publishers {
        for (id, text) in ended(publisher).await {
            let before = acknowledged.insert(parts(&id).1, (id, text));
            assert_eq!(before, None, "two events were acknowledged under one id");
        }
    }
    // Every event was repeated until it was acknowledged: the log has these, each once, and no others.
    let log = scene.channel(&scene.channel).log().await;
    let acknowledged: Events = acknowledged.into_values().collect();
    assert_same(&log, &acknowledged, "the log and what was acknowledged");
    assert!(
        log.iter()
            .map(|(id, _)| parts(id).1)
            .eq(1..=log.len() as u64)
    );
    scene
        .progress
        .end
        .store(log.len() as u64, Ordering::Relaxed);
    for subscriber in subscribers {
        assert_same(
            &ended(subscriber).await,
            &log,
            "what a subscriber got and the log",
        );
    }
    let founded = ended(founder).await;
    println!(
        "{ROUNDS} kills, {} events, {} new channels",
        log.len(),
        founded.len()
    );
    for (channel, event) in founded {
        assert_eq!(scene.channel(&channel).log().await, [event], "{channel}");
    }
}
