//! A host in this process, over a [`TestStore`].

use std::ops::RangeInclusive;
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use runnel_host::store::KeyValue;
use runnel_host::{Application, Host};

use crate::channel::split_id;
use crate::frame::Event;
use crate::response::Response;
use crate::store::TestStore;
use crate::subscriber::Subscriber;

/// The channel of tests that need only one.
pub const CHANNEL: &str = "c";

/// The publish token.
pub const TOKEN: &str = "harness-token";

/// The guests' clock at the start of a host, since the Unix epoch: the same in every run.
const START_TIME: Duration = Duration::from_secs(1_800_000_000);

/// A host over a store. Dropping it asserts that no guest has trapped.
pub struct Fixture {
    /// The host.
    pub host: Host,
    /// Its store.
    pub store: TestStore,
    _watchdog: Watchdog,
}

impl Drop for Fixture {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_no_trap(&self.host);
        }
    }
}

/// Ends the tests if a fixture lives for too long. Under paused time, a guest that spins instead of
/// waiting would otherwise never end.
struct Watchdog(#[expect(dead_code, reason = "dropping it stops the watchdog")] mpsc::Sender<()>);

impl Watchdog {
    /// By the real clock. A fixture usually lives for seconds.
    const LIMIT: Duration = Duration::from_secs(240);

    fn start() -> Self {
        let (alive, dropped) = mpsc::channel();
        let test = std::thread::current().name().map(str::to_owned);
        std::thread::spawn(move || {
            if dropped.recv_timeout(Self::LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("{test:?} hangs: does a guest spin?");
                std::process::exit(101);
            }
        });
        Self(alive)
    }
}

/// Asserts that no guest has trapped or panicked.
pub fn assert_no_trap(host: &Host) {
    let output = host.output();
    for word in ["trap", "panicked", "returned no response"] {
        assert!(!output.contains(word), "{output}");
    }
}

/// Returns a host of the project's component over any store.
pub fn host(store: Arc<dyn KeyValue>, variables: &[(&str, &str)]) -> Host {
    host_of(&Application::load_default().unwrap(), store, variables)
}

fn host_of(
    application: &Arc<Application>,
    store: Arc<dyn KeyValue>,
    variables: &[(&str, &str)],
) -> Host {
    let mut builder = Host::builder(application)
        .store(store)
        .variable("publish_token", TOKEN)
        // Writing metrics would add store calls.
        .variable("metrics_interval_seconds", "0")
        .seed(7)
        .start_time(SystemTime::UNIX_EPOCH + START_TIME)
        .capture_output();
    for (name, value) in variables {
        builder = builder.variable(name, value);
    }
    builder.build().unwrap()
}

impl Default for Fixture {
    fn default() -> Self {
        Self::new()
    }
}

impl Fixture {
    /// Returns a host with default settings over an empty store.
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// Returns a host with these variables over an empty store.
    pub fn with(variables: &[(&str, &str)]) -> Self {
        Self::over(TestStore::default(), variables)
    }

    /// Returns a host with these variables over a store.
    pub fn over(store: TestStore, variables: &[(&str, &str)]) -> Self {
        Self {
            host: host(store.injector.clone(), variables),
            store,
            _watchdog: Watchdog::start(),
        }
    }

    /// Returns a host of an application with these variables over an empty store.
    pub fn of(application: &Arc<Application>, variables: &[(&str, &str)]) -> Self {
        let store = TestStore::default();
        Self {
            host: host_of(application, store.injector.clone(), variables),
            store,
            _watchdog: Watchdog::start(),
        }
    }

    /// Publishes an event to [`CHANNEL`].
    pub async fn publish(&self, data: &str) -> Response {
        publish(&self.host, CHANNEL, data).await
    }

    /// Publishes the [`numbered_text`]s of `numbers` to [`CHANNEL`]. Returns their ids.
    pub async fn publish_numbered(
        &self,
        numbers: RangeInclusive<u64>,
        bytes: usize,
    ) -> Vec<String> {
        let mut ids = vec![];
        for number in numbers {
            ids.push(self.publish(&numbered_text(number, bytes)).await.event_id());
        }
        ids
    }

    /// Subscribes to [`CHANNEL`].
    pub async fn subscribe(&self, query: &str) -> Subscriber {
        Subscriber::open(&self.host, CHANNEL, query).await
    }

    /// Reads all retained events of [`CHANNEL`] as a new subscriber.
    pub async fn log(&self) -> Vec<Event> {
        log(&self.host, CHANNEL).await
    }

    /// Returns the [`data_in_order`] of [`Fixture::log`].
    pub async fn log_data(&self) -> Vec<String> {
        data_in_order(self.log().await)
    }

    /// Returns the `closed` member of the state of [`CHANNEL`].
    pub async fn is_closed(&self) -> bool {
        let state = send(&self.host, authorized("GET", "/channels/c")).await;
        assert_eq!(state.status, 200, "{state:?}");
        state.json()["closed"].as_bool().unwrap()
    }
}

/// Returns the data of events, and asserts that they are of one epoch, with seqs 1, 2, 3 …
pub fn data_in_order(events: Vec<Event>) -> Vec<String> {
    let ids: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
    let expected: Vec<_> = (1..=ids.len())
        .map(|seq| format!("{}-{seq}", split_id(&ids[0]).0))
        .collect();
    assert_eq!(ids, expected);
    events.into_iter().map(|event| event.data).collect()
}

/// Returns data that begins with `number` and has `bytes` bytes, or a few more if those are too few.
pub fn numbered_text(number: u64, bytes: usize) -> String {
    format!("{number}{}", ".".repeat(bytes.saturating_sub(4)))
}

/// Returns a request with the publish token and no body.
pub fn authorized(method: &str, path: &str) -> Request<Full<Bytes>> {
    authorized_with(method, path, &[], "")
}

/// Returns a request with the publish token.
pub fn authorized_with(
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {TOKEN}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
        .body(Full::from(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap()
}

/// Sends a request and reads the whole response.
pub async fn send(host: &Host, request: Request<Full<Bytes>>) -> Response {
    Response::collect(host.request(request).await).await
}

/// Publishes an event.
pub async fn publish(host: &Host, channel: &str, data: &str) -> Response {
    let path = format!("/publish/{channel}");
    let headers = [("content-type", "text/plain")];
    send(host, authorized_with("POST", &path, &headers, data)).await
}

/// Reads all retained events of a channel as a new subscriber.
pub async fn log(host: &Host, channel: &str) -> Vec<Event> {
    let query = "?live=false&last_event_id=earliest";
    Subscriber::open(host, channel, query).await.rest().await
}
