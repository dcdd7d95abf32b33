//! A host that is killed repeatedly while publishers and subscribers keep working.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use runnel_testing::{Channel, HostProcess, Server, Stream, TIMEOUT, can_start_hosts, split_id};
use tokio::sync::watch;
use tokio::task::{JoinHandle, block_in_place};
use tokio::time::{sleep, timeout};

const ROUNDS: usize = 20;
const PUBLISHERS: usize = 3;
const SUBSCRIBERS: usize = 2;

/// Number of events acknowledged in each round. The host is killed a random moment later.
const EVENTS_PER_ROUND: u64 = 10;

/// Timeout of a request, after which it is retried.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// Acknowledged or received events, as pairs of id and data.
type Events = Vec<(String, String)>;

/// The state shared by all publishers and subscribers.
#[derive(Clone)]
struct Workload {
    /// The name of the channel that all publishers share.
    channel: String,
    /// The current host: every restart moves it to another port.
    host: watch::Receiver<Server>,
    progress: Arc<Progress>,
}

#[derive(Default)]
struct Progress {
    acknowledged: AtomicU64,
    stop: AtomicBool,
    /// The sequence number of the last event; 0 while publishing is under way.
    last_seq: AtomicU64,
}

impl Workload {
    fn channel(&self, name: &str) -> Channel {
        Channel {
            server: self.host.borrow().clone(),
            name: name.to_owned(),
        }
    }

    fn is_running(&self) -> bool {
        !self.progress.stop.load(Ordering::Relaxed)
    }

    /// Retries a publish until it is acknowledged, and returns the id.
    async fn publish(&self, channel: &str, text: &str) -> String {
        loop {
            let request = self.channel(channel).publish("");
            let request = request.header("idempotency-key", text);
            let request = request.body("text/plain", text.to_owned());
            match timeout(REQUEST_TIMEOUT, request.try_send()).await {
                Ok(Ok(response)) if response.status != 503 => {
                    return response.expect_status(201).event_id();
                }
                _ => sleep(Duration::from_millis(5)).await,
            }
        }
    }

    async fn publisher(self, number: usize) -> Events {
        let mut acknowledged = vec![];
        while self.is_running() {
            let text = format!("{number}:{}", acknowledged.len());
            acknowledged.push((self.publish(&self.channel, &text).await, text));
            self.progress.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
        acknowledged
    }

    /// Publishes one event to each of many new channels, and returns the channels with their events.
    async fn channel_creator(self) -> Vec<(String, (String, String))> {
        let mut created = vec![];
        while self.is_running() {
            let channel = format!("{}/{}", self.channel, created.len());
            let id = self.publish(&channel, "first").await;
            created.push((channel, (id, "first".to_owned())));
        }
        created
    }

    fn is_complete(&self, received: &Events) -> bool {
        let last_seq = self.progress.last_seq.load(Ordering::Relaxed);
        let last = received.last().map_or(0, |(id, _)| split_id(id).1);
        last_seq > 0 && last >= last_seq
    }

    /// Reads until the last event, resuming whenever the stream breaks.
    async fn subscriber(self) -> Events {
        let mut received = vec![];
        while !self.is_complete(&received) {
            let cursor = received.last().map_or("earliest", |(id, _): &(_, _)| id);
            let request = self.channel(&self.channel).events("");
            let request = request.header("last-event-id", cursor);
            match timeout(REQUEST_TIMEOUT, request.try_open()).await {
                Ok(Ok(response)) => self.read(Stream::of(response), &mut received).await,
                _ => sleep(Duration::from_millis(5)).await,
            }
        }
        received
    }

    async fn read(&self, mut stream: Stream, received: &mut Events) {
        while !self.is_complete(received) {
            // A short timeout, so that the end of publishing is noticed.
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

fn start(state_dir: &Path) -> HostProcess {
    let variables = ["retention_events=1000000", "retention_bytes=67108864"];
    block_in_place(|| HostProcess::start(state_dir, &variables))
}

async fn kill_and_restart_repeatedly(
    state_dir: &Path,
    mut host: HostProcess,
    host_sender: &watch::Sender<Server>,
    progress: &Progress,
) -> HostProcess {
    for round in 0..ROUNDS {
        let target = progress.acknowledged.load(Ordering::Relaxed) + EVENTS_PER_ROUND;
        let acknowledging = async {
            while progress.acknowledged.load(Ordering::Relaxed) < target {
                sleep(Duration::from_millis(5)).await;
            }
        };
        if timeout(TIMEOUT, acknowledging).await.is_err() {
            panic!(
                "round {round}: publishes are not acknowledged; {}",
                host.stderr()
            );
        }
        sleep(Duration::from_millis(rand::random_range(100..500))).await;
        block_in_place(|| host.kill());
        host = start(state_dir);
        host_sender.send(host.server.clone()).unwrap();
    }
    host
}

async fn join<T>(task: JoinHandle<T>) -> T {
    timeout(TIMEOUT, task)
        .await
        .expect("the task does not finish")
        .unwrap()
}

/// Asserts that two lists of events are equal. The message shows only the first difference.
fn assert_same(left: &Events, right: &Events, subject: &str) {
    let equal_prefix = left
        .iter()
        .zip(right)
        .take_while(|(left, right)| left == right);
    let equal_prefix = equal_prefix.count();
    assert!(
        left == right,
        "{subject} differ after {equal_prefix} events, of {} and {}: {:?}, {:?}",
        left.len(),
        right.len(),
        left.get(equal_prefix),
        right.get(equal_prefix)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_no_acknowledged_event_and_duplicates_none() {
    if !can_start_hosts("killing the server") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let host = start(directory.path());
    let (host_sender, host_receiver) = watch::channel(host.server.clone());
    let workload = Workload {
        channel: Channel::on(host.server.clone()).name,
        host: host_receiver,
        progress: Arc::default(),
    };
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|number| tokio::spawn(workload.clone().publisher(number)))
        .collect();
    let subscribers: Vec<_> = (0..SUBSCRIBERS)
        .map(|_| tokio::spawn(workload.clone().subscriber()))
        .collect();
    let channel_creator = tokio::spawn(workload.clone().channel_creator());
    let _host =
        kill_and_restart_repeatedly(directory.path(), host, &host_sender, &workload.progress).await;
    workload.progress.stop.store(true, Ordering::Relaxed);

    let mut acknowledged = BTreeMap::new();
    for publisher in publishers {
        for (id, text) in join(publisher).await {
            let previous = acknowledged.insert(split_id(&id).1, (id, text));
            assert_eq!(
                previous, None,
                "two events were acknowledged with the same id"
            );
        }
    }
    // Every publish was retried until it was acknowledged, so the log contains exactly these events.
    let log = workload.channel(&workload.channel).log().await;
    let acknowledged: Events = acknowledged.into_values().collect();
    assert_same(&log, &acknowledged, "the log and the acknowledged events");
    assert!(
        log.iter()
            .map(|(id, _)| split_id(id).1)
            .eq(1..=log.len() as u64)
    );
    workload
        .progress
        .last_seq
        .store(log.len() as u64, Ordering::Relaxed);
    for subscriber in subscribers {
        assert_same(
            &join(subscriber).await,
            &log,
            "the received events and the log",
        );
    }
    let created = join(channel_creator).await;
    println!(
        "{ROUNDS} kills, {} events, {} new channels",
        log.len(),
        created.len()
    );
    for (channel, event) in created {
        assert_eq!(workload.channel(&channel).log().await, [event], "{channel}");
    }
}
