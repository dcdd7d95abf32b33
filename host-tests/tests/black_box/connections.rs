//! The lifetime of connections: deliberately slow clients, and graceful stops.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use runnel_testing::{Channel, HostProcess, Response, TIMEOUT, can_start_hosts};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Bounds the wait for what ends by a time limit of 1 s: long enough for a busy machine, and shorter than
/// the limit would be by default.
const MAX_WAIT: Duration = Duration::from_secs(25);

fn host(variables: &[&str]) -> (TempDir, HostProcess) {
    host_with(variables, &["--head-timeout", "1", "--write-timeout", "1"])
}

fn host_with(variables: &[&str], options: &[&str]) -> (TempDir, HostProcess) {
    let directory = tempfile::tempdir().unwrap();
    let host = HostProcess::start_with(directory.path(), variables, options);
    (directory, host)
}

async fn connect(host: &HostProcess) -> TcpStream {
    TcpStream::connect(&host.server.authority).await.unwrap()
}

/// Waits until the server closes the connection, and returns what it sent before.
async fn read_until_closed(connection: &mut TcpStream) -> Vec<u8> {
    let mut received = vec![];
    let read = timeout(MAX_WAIT, connection.read_to_end(&mut received)).await;
    // A reset also closes the connection.
    drop(read.expect("the connection stays open"));
    received
}

fn publish_head(channel: &Channel, length: usize) -> String {
    format!(
        "POST /publish/{} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: text/plain\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n",
        channel.name, channel.server.token
    )
}

/// Sends the head of a publish, and waits until the server wants the body, so that it has the request.
async fn begin_publish(host: &HostProcess, channel: &Channel, length: usize) -> TcpStream {
    const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
    let mut connection = connect(host).await;
    let head = publish_head(channel, length);
    let head = head.replacen("\r\n", "\r\nexpect: 100-continue\r\n", 1);
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut received = [0; CONTINUE.len()];
    let read = timeout(TIMEOUT, connection.read_exact(&mut received)).await;
    read.expect("the server does not read the body").unwrap();
    assert_eq!(received, CONTINUE);
    connection
}

#[tokio::test]
async fn a_slow_request_head_ends_the_connection() {
    if !can_start_hosts("slow request heads") {
        return;
    }
    let (_directory, host) = host(&[]);
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let unfinished_preface = preface.trim_end_matches('\n');
    let starts = [
        "",
        "G",
        "GET /events/a HTTP/1.1\r\nhost: x\r\n",
        "P",
        unfinished_preface,
        preface,
    ];
    for start in starts {
        let began = Instant::now();
        let mut connection = connect(&host).await;
        connection.write_all(start.as_bytes()).await.unwrap();
        let received = read_until_closed(&mut connection).await;
        assert!(began.elapsed() >= Duration::from_millis(900));
        assert!(!received.starts_with(b"HTTP/1.1 2"), "{received:?}");
    }
    // Sending a byte now and then does not extend the time limit.
    let mut connection = connect(&host).await;
    let start = b"GET /events/a HTTP/1.1\r\nx: ";
    connection.write_all(start).await.unwrap();
    let start = Instant::now();
    while connection.write_all(b"x").await.is_ok() {
        assert!(start.elapsed() < MAX_WAIT, "a slow head is never cut off");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_connection_over_the_limit_waits_until_another_is_closed() {
    if !can_start_hosts("the limit of connections") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let host = HostProcess::start_with(directory.path(), &[], &["--max-connections", "2"]);
    let request = b"GET /health/live HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let first = connect(&host).await;
    let _second = connect(&host).await;
    let mut third = connect(&host).await;
    third.write_all(request).await.unwrap();
    let mut received = [0; 12];
    let waits = timeout(Duration::from_millis(500), third.read_exact(&mut received)).await;
    assert!(
        waits.is_err(),
        "it is answered although the limit is reached"
    );
    drop(first);
    let read = timeout(MAX_WAIT, third.read_exact(&mut received)).await;
    read.expect("it is served once there is room").unwrap();
    assert_eq!(&received, b"HTTP/1.1 200");
}

/// Sends a request on a connection that stays open, and reads the response.
async fn live_probe(connection: &mut TcpStream) {
    let request = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n";
    connection.write_all(request).await.unwrap();
    let mut received = [0; 4096];
    let read = timeout(MAX_WAIT, connection.read(&mut received)).await;
    let length = read.expect("no response").unwrap();
    assert!(received[..length].starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn a_connection_is_kept_between_requests_for_longer_than_a_head_may_take() {
    if !can_start_hosts("idle connections") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let options = ["--head-timeout", "1", "--idle-timeout", "4"];
    let host = HostProcess::start_with(directory.path(), &[], &options);
    let mut idle = connect(&host).await;
    live_probe(&mut idle).await;
    let mut half = connect(&host).await;
    live_probe(&mut half).await;
    sleep(Duration::from_secs(2)).await;
    live_probe(&mut idle).await;
    // A head that has begun has its own limit.
    half.write_all(b"GET /health/live HTTP/1.1\r\n")
        .await
        .unwrap();
    let start = Instant::now();
    assert_eq!(read_until_closed(&mut half).await, b"");
    assert!(start.elapsed() >= Duration::from_millis(900));
    assert!(start.elapsed() < Duration::from_millis(2_900));
    live_probe(&mut idle).await;
    let start = Instant::now();
    assert_eq!(read_until_closed(&mut idle).await, b"");
    assert!(start.elapsed() >= Duration::from_millis(3_900));
}

#[tokio::test]
async fn an_idle_connection_with_http2_is_told_to_send_no_more_requests() {
    if !can_start_hosts("idle connections with HTTP/2") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let options = ["--head-timeout", "1", "--idle-timeout", "3"];
    let host = HostProcess::start_with(directory.path(), &[], &options);
    let io = TokioIo::new(connect(&host).await);
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let mut connection = tokio::spawn(connection);
    for _ in 0..2 {
        let request = Request::get("http://x/health/live").body(Empty::<Bytes>::new());
        let response = sender.send_request(request.unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        drop(response);
        // Longer than a head may take.
        sleep(Duration::from_secs(2)).await;
    }
    let ended = timeout(MAX_WAIT, &mut connection).await;
    ended.expect("the connection stays open").unwrap().unwrap();
}

#[tokio::test]
async fn a_flood_of_connections_leaves_descriptors_for_the_store() {
    if !can_start_hosts("a flood of connections") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let host = HostProcess::start_limited(directory.path(), 200);
    let channel = Channel::on(host.server.clone());
    let mut publisher = connect(&host).await;
    live_probe(&mut publisher).await;
    let mut flood = vec![];
    for _ in 0..300 {
        flood.push(connect(&host).await);
    }
    // The first of them are accepted by now.
    sleep(Duration::from_millis(500)).await;
    let head = publish_head(&channel, 5);
    publisher
        .write_all(format!("{head}hello").as_bytes())
        .await
        .unwrap();
    let response = timeout(MAX_WAIT, Response::read_from(&mut publisher)).await;
    response.expect("no response").expect_status(201);
    assert_eq!(host.stderr(), "");
    drop(flood);
    assert_eq!(channel.log().await[0].1, "hello");
}

#[tokio::test]
async fn a_slow_body_is_answered_with_408_and_publishes_nothing() {
    if !can_start_hosts("slow bodies") {
        return;
    }
    let (_directory, host) = host(&["body_timeout_seconds=1"]);
    let channel = Channel::on(host.server.clone());
    let head = publish_head(&channel, 1_000);
    for sends_slowly in [false, true] {
        let start = Instant::now();
        let mut connection = connect(&host).await;
        connection.write_all(head.as_bytes()).await.unwrap();
        let (mut reading, mut writing) = connection.split();
        let write_slowly = async {
            while sends_slowly && writing.write_all(b"x").await.is_ok() {
                sleep(Duration::from_millis(50)).await;
            }
            std::future::pending().await
        };
        let mut bytes = [0; 4096];
        let read = async {
            tokio::select! {
                read = reading.read(&mut bytes) => read.unwrap(),
                () = write_slowly => 0,
            }
        };
        let length = timeout(MAX_WAIT, read).await.expect("no response in time");
        assert!(start.elapsed() >= Duration::from_millis(900));
        let response = Response::parse(&bytes[..length]);
        response.assert_problem(408, "body-timeout", "within 1 s");
    }
    let state = channel.manage("GET", "").send().await;
    state.assert_problem(404, "unknown-channel", &channel.name);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_disconnected_without_affecting_others() {
    if !can_start_hosts("clients that do not read") {
        return;
    }
    // The host gives its clients more time, so that it is the component that ends the streams.
    let variables = ["write_timeout_seconds=1"];
    let (_directory, host) = host_with(&variables, &["--write-timeout", "60"]);
    let channel = Channel::on(host.server.clone());
    // More than the socket buffers of a connection hold.
    for _ in 0..400 {
        channel.publish_text("x".repeat(60_000)).await;
    }
    let mut live = channel.subscribe("").await;
    live.opened().await;
    let request = format!(
        "GET /events/{}?last_event_id=earliest HTTP/1.1\r\nhost: x\r\n\r\n",
        channel.name
    );
    let mut stalled = vec![];
    for _ in 0..5 {
        let mut connection = connect(&host).await;
        connection.write_all(request.as_bytes()).await.unwrap();
        stalled.push(connection);
    }
    let all_stalled = async {
        while host.stderr().matches("\"stalled\"").count() < 5 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    let all_stalled = timeout(MAX_WAIT, all_stalled).await;
    all_stalled.expect("the streams of clients that do not read go on");
    for mut connection in stalled {
        // The buffered bytes arrive, followed by the end of the connection.
        let received = read_until_closed(&mut connection).await;
        let text = String::from_utf8_lossy(&received);
        assert!(text.starts_with("HTTP/1.1 200"), "{}", text.len());
        assert!(!text.ends_with("0\r\n\r\n"), "the body looks complete");
    }
    let id = channel.publish_text("news").await;
    assert_eq!(live.event().await.id, id);
    for line in host.stderr().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&line["event"], &line["reason"]),
            (&"stream_ended".into(), &"stalled".into())
        );
    }
}

#[tokio::test]
async fn closed_connections_leak_no_descriptors_and_no_memory() {
    if !can_start_hosts("connection leaks") {
        return;
    }
    let (_directory, host) = host(&["heartbeat_seconds=1"]);
    let channel = Channel::on(host.server.clone());
    channel.publish_text("kept").await;
    let (mut samples, mut most) = (vec![], None);
    for _ in 0..6 {
        for _ in 0..10 {
            let open = (0..50).map(|_| channel.events("?last=1").open());
            drop(futures::future::join_all(open).await);
        }
        // Disconnects are detected within two heartbeats, and idle instances live for a second.
        sleep(Duration::from_millis(3_500)).await;
        let Some(first) = host.open_descriptors() else {
            return;
        };
        let most = *most.get_or_insert(first + 8);
        let are_closed = async {
            while host.open_descriptors() > Some(most) {
                sleep(Duration::from_millis(100)).await;
            }
        };
        let are_closed = timeout(TIMEOUT, are_closed).await;
        are_closed.expect("descriptors stay open");
        samples.extend(host.open_descriptors().zip(host.resident_kib()));
    }
    println!("after each 500 streams, descriptors and KiB: {samples:?}");
    if let (Some(first), Some(last)) = (samples.first(), samples.last()) {
        // The allocator keeps some memory; each leaked stream would take 48 KiB.
        assert!(last.1 <= first.1 + 40_000, "{samples:?}");
    }
}

#[tokio::test]
async fn a_graceful_stop_finishes_publishes_and_refuses_new_connections() {
    if !can_start_hosts("publishes during a graceful stop") {
        return;
    }
    let (directory, mut host) = host_with(&[], &["--grace-period", "60"]);
    let channel = Channel::on(host.server.clone());
    let mut publishing = begin_publish(&host, &channel, 10).await;
    publishing.write_all(b"half ").await.unwrap();
    let mut stream = channel.subscribe("").await;
    stream.opened().await;
    host.send_sigterm();
    assert_eq!(stream.next().await, None);
    let until_refused = timeout(TIMEOUT, async {
        while can_connect(&host).await {
            sleep(Duration::from_millis(20)).await;
        }
    });
    until_refused
        .await
        .expect("new connections are still accepted");
    publishing.write_all(b"whole").await.unwrap();
    Response::read_from(&mut publishing)
        .await
        .expect_status(201);
    assert!(host.wait().success());
    let restarted = HostProcess::start(directory.path(), &[]);
    let channel = Channel {
        server: restarted.server.clone(),
        ..channel
    };
    assert_eq!(channel.log().await[0].1, "half whole");
}

#[tokio::test]
async fn a_graceful_stop_waits_at_most_5_seconds() {
    if !can_start_hosts("the time limit of a graceful stop") {
        return;
    }
    // Without the limit, the stop would wait for the body.
    let (_directory, mut host) = host_with(&["body_timeout_seconds=3600"], &[]);
    let channel = Channel::on(host.server.clone());
    let publishing = begin_publish(&host, &channel, 10).await;
    let start = Instant::now();
    let status = tokio::task::spawn_blocking(move || host.terminate());
    assert!(timeout(TIMEOUT, status).await.unwrap().unwrap().success());
    assert!(
        start.elapsed() >= Duration::from_secs(4),
        "the publish had less than 5 s to finish"
    );
    drop(publishing);
}

async fn can_connect(host: &HostProcess) -> bool {
    TcpStream::connect(&host.server.authority).await.is_ok()
}
