//! Measures publishing and replay: `cargo bench --package runnel-host --bench figures`.
//!
//! All figures come from one run, on the embedded host with its SQLite store on disk, through HTTP
//! over loopback. The bare compare-and-swap loop is the lower bound of publishing: it uses the same
//! store without the component and HTTP.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use runnel_host::store::{FaultInjector, KeyValue, Memory, Operation, Sqlite, Swap};
use runnel_host::{Application, Host, Server, ServerOptions};
use tokio::net::{TcpListener, TcpStream};

const TOKEN: &str = "token";
/// The time for which a loop is measured.
const MEASURED_TIME: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() {
    let application = Application::load_default().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Arc::new(Sqlite::open(folder.path(), "default").unwrap());
    let store = Arc::new(FaultInjector::new(sqlite.clone()));
    let host = host(&application, store.clone());
    let with_nodelay = serve(&host, ServerOptions::default()).await;
    let options = ServerOptions {
        nodelay: false,
        ..ServerOptions::default()
    };
    let without_nodelay = serve(&host, options).await;

    println!("| measurement | min | p50 | p99 | max |\n|---|---|---|---|---|");
    bare_swap_loop(sqlite.as_ref()).await;
    one_publisher("publish, one connection", with_nodelay.address(), "one").await;
    one_publisher(
        "publish, one connection, host without TCP_NODELAY",
        without_nodelay.address(),
        "two",
    )
    .await;
    first_byte(with_nodelay.address()).await;
    println!(
        "\n| measurement | events/s | ack p50 | ack p99 | events a swap |\n|---|---|---|---|---|"
    );
    for publishers in [1, 4, 32] {
        concurrent_publishers(
            publishers,
            PublishRequest::event(),
            "one channel",
            with_nodelay.address(),
            &store,
        )
        .await;
    }
    in_memory(&application).await;
    for publishers in [1, 4] {
        concurrent_publishers(
            publishers,
            PublishRequest::batch(),
            "one channel",
            with_nodelay.address(),
            &store,
        )
        .await;
    }
    println!("\n| measurement | store reads | MB/s |\n|---|---|---|");
    replay(with_nodelay.address(), &store).await;
    let component = std::env::current_dir()
        .unwrap()
        .join("../target/wasm32-wasip2/component/runnel.wasm");
    if let Ok(metadata) = std::fs::metadata(component) {
        println!("\nThe component has {} bytes.", metadata.len());
    }
    with_nodelay.shutdown().await;
    without_nodelay.shutdown().await;
}

fn host(application: &Arc<Application>, store: Arc<FaultInjector>) -> Host {
    Host::builder(application)
        .store(store)
        .variable("publish_token", TOKEN)
        .variable("log_level", "warn")
        .build()
        .unwrap()
}

/// Measures with a store that costs nothing: the upper bound that the processor sets.
async fn in_memory(application: &Arc<Application>) {
    let store = Arc::new(FaultInjector::new(Arc::new(Memory::default())));
    let host = host(application, store.clone());
    let server = serve(&host, ServerOptions::default()).await;
    let target = "one channel, store in memory";
    concurrent_publishers(
        32,
        PublishRequest::event(),
        target,
        server.address(),
        &store,
    )
    .await;
    server.shutdown().await;
}

async fn serve(host: &Host, options: ServerOptions) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Server::start(host, listener, options).unwrap()
}

/// A keep-alive connection.
struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        Self(sender)
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Bytes,
    ) -> Response<Incoming> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header(AUTHORIZATION, format!("Bearer {TOKEN}"))
            .header(CONTENT_TYPE, content_type)
            .body(Full::new(body))
            .unwrap();
        self.0.ready().await.unwrap();
        self.0.send_request(request).await.unwrap()
    }

    async fn publish(&mut self, channel: &str, content_type: &str, body: Bytes) {
        let response = self
            .send(
                Method::POST,
                &format!("/publish/{channel}"),
                content_type,
                body,
            )
            .await;
        assert_eq!(response.status(), StatusCode::CREATED);
        response.into_body().collect().await.unwrap();
    }
}

fn event() -> Bytes {
    Bytes::from("x".repeat(200))
}

/// The request that a publisher repeats.
#[derive(Clone)]
struct PublishRequest {
    events: usize,
    content_type: &'static str,
    body: Bytes,
}

impl PublishRequest {
    fn event() -> Self {
        Self {
            events: 1,
            content_type: "text/plain",
            body: event(),
        }
    }

    fn batch() -> Self {
        let line = format!("{{\"data\":\"{}\"}}\n", "x".repeat(200));
        Self {
            events: 100,
            content_type: "application/x-ndjson",
            body: Bytes::from(line.repeat(100)),
        }
    }
}

/// Sorted durations.
struct Latencies(Vec<Duration>);

impl Latencies {
    fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    fn percentile(&self, percent: usize) -> String {
        let index = (self.0.len() - 1) * percent / 100;
        format!("{:.2} ms", self.0[index].as_secs_f64() * 1_000.0)
    }

    fn print(&self, name: &str) {
        println!(
            "| {name} | {} | {} | {} | {} |",
            self.percentile(0),
            self.percentile(50),
            self.percentile(99),
            self.percentile(100)
        );
    }
}

/// Reads and swaps a value of a head's usual size in a loop.
async fn bare_swap_loop(store: &dyn KeyValue) {
    let mut value = vec![0; 8_192];
    store.set("bare", &value).await.unwrap();
    let mut times = vec![];
    let start = Instant::now();
    while start.elapsed() < MEASURED_TIME {
        let begin = Instant::now();
        let current = store.current("bare").await.unwrap();
        value[..8].copy_from_slice(&(times.len() as u64 + 1).to_le_bytes());
        assert!(matches!(
            store
                .swap("bare", current.as_deref(), &value)
                .await
                .unwrap(),
            Swap::Done
        ));
        times.push(begin.elapsed());
    }
    let rate = times.len() as f64 / start.elapsed().as_secs_f64();
    Latencies::new(times).print(&format!("bare compare-and-swap loop ({rate:.0}/s)"));
}

async fn one_publisher(name: &str, address: SocketAddr, channel: &str) {
    let mut connection = Connection::open(address).await;
    connection.publish(channel, "text/plain", event()).await;
    let mut times = vec![];
    for _ in 0..1_000 {
        let begin = Instant::now();
        connection.publish(channel, "text/plain", event()).await;
        times.push(begin.elapsed());
    }
    Latencies::new(times).print(name);
}

async fn first_byte(address: SocketAddr) {
    let mut times = vec![];
    for _ in 0..500 {
        let mut connection = Connection::open(address).await;
        let begin = Instant::now();
        let mut response = connection
            .send(Method::GET, "/events/one", "", Bytes::new())
            .await;
        response.frame().await.unwrap().unwrap();
        times.push(begin.elapsed());
    }
    Latencies::new(times).print("first byte of a stream, warm instance");
}

/// Publishes for [`MEASURED_TIME`] from a number of publishers, each on its own connection.
async fn concurrent_publishers(
    publishers: usize,
    request: PublishRequest,
    target: &str,
    address: SocketAddr,
    store: &FaultInjector,
) {
    let channel = format!("crowd{publishers}-{}", request.events);
    store.reset_counts();
    let start = Instant::now();
    let tasks: Vec<_> = (0..publishers)
        .map(|_| {
            let (channel, body) = (channel.clone(), request.body.clone());
            tokio::spawn(async move {
                let mut connection = Connection::open(address).await;
                let mut times = vec![];
                while start.elapsed() < MEASURED_TIME {
                    let begin = Instant::now();
                    connection
                        .publish(&channel, request.content_type, body.clone())
                        .await;
                    times.push(begin.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = vec![];
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    let name = match request.events {
        1 => format!("{publishers} publisher(s), {target}"),
        events => format!("{publishers} publisher(s) of batches of {events}, {target}"),
    };
    let swaps = store.count(Operation::Swap, &format!("head!{channel}"));
    let events = (times.len() * request.events) as f64;
    let rate = events / start.elapsed().as_secs_f64();
    let times = Latencies::new(times);
    let (p50, p99) = (times.percentile(50), times.percentile(99));
    println!(
        "| {name} | {rate:.0} | {p50} | {p99} | {:.1} |",
        events / swaps as f64
    );
}

async fn replay(address: SocketAddr, store: &FaultInjector) {
    let batch = PublishRequest::batch();
    let mut connection = Connection::open(address).await;
    for _ in 0..100 {
        connection
            .publish("replay", batch.content_type, batch.body.clone())
            .await;
    }
    store.reset_counts();
    let mut bytes = 0;
    let start = Instant::now();
    let path = "/events/replay?last_event_id=earliest&live=false";
    let mut response = connection.send(Method::GET, path, "", Bytes::new()).await;
    while let Some(frame) = response.frame().await {
        bytes += frame.unwrap().data_ref().map_or(0, Bytes::len);
    }
    let rate = bytes as f64 / 1e6 / start.elapsed().as_secs_f64();
    let reads = store.count(Operation::Get, "");
    println!("| replay of 10 000 events of 200 B | {reads} | {rate:.0} |");
}
