//! The publishing figures of docs/benchmarks.md: `cargo bench --package runnel-host --bench figures`.
//!
//! Everything is measured in one run, on the embedded host with its SQLite store on disk, through
//! HTTP over loopback. The bare compare-and-swap loop is the floor that publishing stands on: it
//! works on the same store without component and HTTP.

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
use runnel_host::{Application, Host, ServeOptions};
use tokio::net::{TcpListener, TcpStream};

const TOKEN: &str = "token";
const RUN: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() {
    let application = Application::load_default().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Arc::new(Sqlite::open(folder.path(), "default").unwrap());
    let store = Arc::new(FaultInjector::new(sqlite.clone()));
    let host = host(&application, store.clone());
    let fast = host.serve(listener().await).unwrap();
    let plain = ServeOptions {
        nodelay: false,
        ..ServeOptions::default()
    };
    let plain = host.serve_with(listener().await, plain).unwrap();

    println!("| what | min | p50 | p99 | max |\n|---|---|---|---|---|");
    bare_loop(sqlite.as_ref()).await;
    one_publisher("publish, one connection", fast.address(), "one").await;
    one_publisher(
        "publish, one connection, host without TCP_NODELAY",
        plain.address(),
        "two",
    )
    .await;
    first_byte(fast.address()).await;
    println!("\n| what | events/s | ack p50 | ack p99 | events a swap |\n|---|---|---|---|---|");
    for publishers in [1, 4, 32] {
        crowd(
            publishers,
            Load::event(),
            "one channel",
            fast.address(),
            &store,
        )
        .await;
    }
    in_memory(&application).await;
    for publishers in [1, 4] {
        crowd(
            publishers,
            Load::batch(),
            "one channel",
            fast.address(),
            &store,
        )
        .await;
    }
    println!("\n| what | store reads | MB/s |\n|---|---|---|");
    replay(fast.address(), &store).await;
    let component = std::env::current_dir()
        .unwrap()
        .join("../target/wasm32-wasip2/component/runnel.wasm");
    if let Ok(metadata) = std::fs::metadata(component) {
        println!("\nThe component has {} bytes.", metadata.len());
    }
    fast.shutdown().await;
    plain.shutdown().await;
}

fn host(application: &Arc<Application>, store: Arc<FaultInjector>) -> Host {
    Host::builder(application)
        .store(store)
        .variable("publish_token", TOKEN)
        .variable("log_level", "warn")
        .build()
        .unwrap()
}

/// What is left when the store costs nothing: the ceiling that the processor sets.
async fn in_memory(application: &Arc<Application>) {
    let store = Arc::new(FaultInjector::new(Arc::new(Memory::default())));
    let server = host(application, store.clone())
        .serve(listener().await)
        .unwrap();
    let where_to = "one channel, store in memory";
    crowd(32, Load::event(), where_to, server.address(), &store).await;
    server.shutdown().await;
}

async fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
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

/// What a publisher sends, over and over.
#[derive(Clone)]
struct Load {
    events: usize,
    content_type: &'static str,
    body: Bytes,
}

impl Load {
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

/// Times, sorted.
struct Times(Vec<Duration>);

impl Times {
    fn new(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }

    fn at(&self, percent: usize) -> String {
        let place = (self.0.len() - 1) * percent / 100;
        format!("{:.2} ms", self.0[place].as_secs_f64() * 1_000.0)
    }

    fn print(&self, what: &str) {
        println!(
            "| {what} | {} | {} | {} | {} |",
            self.at(0),
            self.at(50),
            self.at(99),
            self.at(100)
        );
    }
}

/// The floor: reads a value of a head's usual size and swaps it, over and over.
async fn bare_loop(store: &dyn KeyValue) {
    let mut value = vec![0; 8_192];
    store.set("bare", &value).await.unwrap();
    let mut times = vec![];
    let start = Instant::now();
    while start.elapsed() < RUN {
        let begun = Instant::now();
        let seen = store.current("bare").await.unwrap();
        value[..8].copy_from_slice(&(times.len() as u64 + 1).to_le_bytes());
        assert!(matches!(
            store.swap("bare", seen.as_deref(), &value).await.unwrap(),
            Swap::Done
        ));
        times.push(begun.elapsed());
    }
    let rate = times.len() as f64 / start.elapsed().as_secs_f64();
    Times::new(times).print(&format!("bare compare-and-swap loop ({rate:.0}/s)"));
}

async fn one_publisher(what: &str, address: SocketAddr, channel: &str) {
    let mut connection = Connection::open(address).await;
    connection.publish(channel, "text/plain", event()).await;
    let mut times = vec![];
    for _ in 0..1_000 {
        let begun = Instant::now();
        connection.publish(channel, "text/plain", event()).await;
        times.push(begun.elapsed());
    }
    Times::new(times).print(what);
}

async fn first_byte(address: SocketAddr) {
    let mut times = vec![];
    for _ in 0..500 {
        let mut connection = Connection::open(address).await;
        let begun = Instant::now();
        let mut response = connection
            .send(Method::GET, "/events/one", "", Bytes::new())
            .await;
        response.frame().await.unwrap().unwrap();
        times.push(begun.elapsed());
    }
    Times::new(times).print("first byte of a stream, warm instance");
}

/// Requests of so many publishers, each on a connection of its own, for [`RUN`].
async fn crowd(
    publishers: usize,
    load: Load,
    where_to: &str,
    address: SocketAddr,
    store: &FaultInjector,
) {
    let channel = format!("crowd{publishers}-{}", load.events);
    store.reset_counts();
    let start = Instant::now();
    let tasks: Vec<_> = (0..publishers)
        .map(|_| {
            let (channel, body) = (channel.clone(), load.body.clone());
            tokio::spawn(async move {
                let mut connection = Connection::open(address).await;
                let mut times = vec![];
                while start.elapsed() < RUN {
                    let begun = Instant::now();
                    connection
                        .publish(&channel, load.content_type, body.clone())
                        .await;
                    times.push(begun.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = vec![];
    for task in tasks {
        times.extend(task.await.unwrap());
    }
    let what = match load.events {
        1 => format!("{publishers} publisher(s), {where_to}"),
        events => format!("{publishers} publisher(s) of batches of {events}, {where_to}"),
    };
    let swaps = store.count(Operation::Swap, &format!("head!{channel}"));
    let events = (times.len() * load.events) as f64;
    let rate = events / start.elapsed().as_secs_f64();
    let times = Times::new(times);
    let (p50, p99) = (times.at(50), times.at(99));
    println!(
        "| {what} | {rate:.0} | {p50} | {p99} | {:.1} |",
        events / swaps as f64
    );
}

async fn replay(address: SocketAddr, store: &FaultInjector) {
    let batch = Load::batch();
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
