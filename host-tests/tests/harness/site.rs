//! A host over a [`Store`], and what one can ask it.

use std::ops::Deref;
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use runnel_host::store::KeyValue;
use runnel_host::{Application, Host};

use crate::answer::Answer;
use crate::block::Event;
use crate::store::Store;
use crate::subscriber::Subscriber;

/// The channel that tests use unless they need several.
pub(crate) const CHANNEL: &str = "c";

/// What the guests' clocks show when a host begins: the same in every run.
const BEGINNING: Duration = Duration::from_secs(1_800_000_000);

pub(crate) const TOKEN: &str = "harness-token";

/// A host over a store. When it is dropped it makes sure that no guest has trapped.
pub(crate) struct Site {
    pub(crate) host: Host,
    pub(crate) store: Store,
    _watch: Watch,
}

impl Deref for Site {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_sound(&self.host);
        }
    }
}

/// Ends the tests if a site lives for too long. Under paused time a guest that spins instead of
/// waiting would otherwise never come to an end.
struct Watch(#[expect(dead_code, reason = "its drop ends the watch")] mpsc::Sender<()>);

impl Watch {
    /// By the real clock; a site lives for seconds.
    const LONGEST: Duration = Duration::from_secs(240);

    fn begin() -> Self {
        let (dropped, watched) = mpsc::channel();
        let test = std::thread::current().name().map(str::to_owned);
        std::thread::spawn(move || {
            if watched.recv_timeout(Self::LONGEST) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("{test:?} hangs: does a guest spin?");
                std::process::exit(101);
            }
        });
        Self(dropped)
    }
}

/// No guest has trapped or panicked.
pub(crate) fn assert_sound(host: &Host) {
    let output = host.output();
    for word in ["trap", "panicked", "returned no response"] {
        assert!(!output.contains(word), "{output}");
    }
}

/// A host over any store.
pub(crate) fn host(store: Arc<dyn KeyValue>, variables: &[(&str, &str)]) -> Host {
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
        // What counts does not count here, unless a test asks for it.
        .variable("metrics_interval_seconds", "0")
        .seed(7)
        .start_time(SystemTime::UNIX_EPOCH + BEGINNING)
        .capture_output();
    for (name, value) in variables {
        builder = builder.variable(name, value);
    }
    builder.build().unwrap()
}

impl Site {
    /// A host with the default settings over an empty store.
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// A host with these variables over an empty store.
    pub(crate) fn with(variables: &[(&str, &str)]) -> Self {
        Self::over(Store::default(), variables)
    }

    /// A host with these variables over a store.
    pub(crate) fn over(store: Store, variables: &[(&str, &str)]) -> Self {
        Self {
            host: host(store.faulty.clone(), variables),
            store,
            _watch: Watch::begin(),
        }
    }

    /// A host of an application with these variables over an empty store.
    pub(crate) fn of(application: &Arc<Application>, variables: &[(&str, &str)]) -> Self {
        let store = Store::default();
        Self {
            host: host_of(application, store.faulty.clone(), variables),
            store,
            _watch: Watch::begin(),
        }
    }

    /// Publishes an event to [`CHANNEL`].
    pub(crate) async fn publish(&self, data: &str) -> Answer {
        publish(&self.host, CHANNEL, data).await
    }

    /// Publishes events `first..=last` of `bytes` bytes each to [`CHANNEL`]; returns their ids.
    pub(crate) async fn publish_run(&self, first: u64, last: u64, bytes: usize) -> Vec<String> {
        let mut ids = vec![];
        for number in first..=last {
            ids.push(self.publish(&text(number, bytes)).await.id());
        }
        ids
    }

    /// Subscribes to [`CHANNEL`].
    pub(crate) async fn subscribe(&self, query: &str) -> Subscriber {
        Subscriber::open(&self.host, CHANNEL, query).await
    }

    /// All that [`CHANNEL`] keeps, as a late subscriber reads it.
    pub(crate) async fn log(&self) -> Vec<Event> {
        log(&self.host, CHANNEL).await
    }

    /// [`Site::log`], checked to be of one epoch with seqs 1, 2, 3 …: just the data.
    pub(crate) async fn log_data(&self) -> Vec<String> {
        data_in_order(self.log().await)
    }

    /// Whether [`CHANNEL`] is closed.
    pub(crate) async fn is_closed(&self) -> bool {
        let state = send(&self.host, authorized("GET", "/channels/c")).await;
        assert_eq!(state.status, 200, "{state:?}");
        state.json()["closed"].as_bool().unwrap()
    }
}

/// The data of events that must be of one epoch, with seqs 1, 2, 3 …
pub(crate) fn data_in_order(events: Vec<Event>) -> Vec<String> {
    let ids: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
    let expected: Vec<_> = (1..=ids.len())
        .map(|seq| format!("{}-{seq}", crate::block::epoch(&ids[0])))
        .collect();
    assert_eq!(ids, expected);
    events.into_iter().map(|event| event.data).collect()
}

/// The data of event `number`: `bytes` bytes, or a few more if that is too few to tell it apart.
pub(crate) fn text(number: u64, bytes: usize) -> String {
    format!("{number}{}", ".".repeat(bytes.saturating_sub(4)))
}

/// A publisher's request without a body.
pub(crate) fn authorized(method: &str, path: &str) -> Request<Full<Bytes>> {
    authorized_with(method, path, &[], "")
}

/// A publisher's request.
pub(crate) fn authorized_with(
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

/// Sends a request and reads the whole answer.
pub(crate) async fn send(host: &Host, request: Request<Full<Bytes>>) -> Answer {
    Answer::of(host.request(request).await).await
}

/// Publishes an event.
pub(crate) async fn publish(host: &Host, channel: &str, data: &str) -> Answer {
    let path = format!("/publish/{channel}");
    let headers = [("content-type", "text/plain")];
    send(host, authorized_with("POST", &path, &headers, data)).await
}

/// All that a channel keeps, as a late subscriber reads it.
pub(crate) async fn log(host: &Host, channel: &str) -> Vec<Event> {
    let query = "?live=false&last_event_id=earliest";
    Subscriber::open(host, channel, query).await.rest().await
}
