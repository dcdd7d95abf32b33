//! The memory that clients cost who open a stream and read nothing of it.
//!
//! The same measurement with more readers, for the figures in docs/costs-and-limits.md:
//!
//! ```text
//! cargo test --package runnel-host --test black_box stalled_readers -- --ignored --nocapture --test-threads 1
//! ```

use std::time::Duration;

use runnel_testing::{Channel, HostProcess, can_start_hosts};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::sleep;

/// The events of a log, and the bytes of each: 24 MB.
const EVENTS: usize = 400;
const EVENT_BYTES: usize = 60_000;

/// Bounds the cost of a reader. Without limits in the host it is 700 to 1100 KiB.
const MAX_KIB: u64 = 512;

/// Returns a host that disconnects a stalled client only after a minute.
fn host() -> (TempDir, HostProcess) {
    let directory = tempfile::tempdir().unwrap();
    let variables = ["write_timeout_seconds=60"];
    let host = HostProcess::start_with(directory.path(), &variables, &["--write-timeout", "60"]);
    (directory, host)
}

/// Opens a stream with a small receive window, and reads nothing.
async fn stall(channel: &Channel, query: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let address = channel.server.authority.parse().unwrap();
    let mut connection = socket.connect(address).await.unwrap();
    let path = format!("/events/{}{query}", channel.name);
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    connection
}

async fn publish_log(channel: &Channel) {
    for _ in 0..EVENTS {
        channel.publish_text("x".repeat(EVENT_BYTES)).await;
    }
}

/// Returns the resident memory once it has stopped growing.
async fn settled_kib(host: &HostProcess) -> u64 {
    let mut before = 0;
    loop {
        sleep(Duration::from_millis(1_500)).await;
        let now = host.resident_kib().unwrap_or_default();
        if now <= before + 1_024 {
            return now;
        }
        before = now;
    }
}

/// Returns the KiB of resident memory for each reader who replays a log.
async fn replaying(readers: u64) -> u64 {
    let (_directory, host) = host();
    let channel = Channel::on(host.server.clone());
    publish_log(&channel).await;
    let query = "?last_event_id=earliest";
    let mut stalled = vec![stall(&channel, query).await];
    let before = settled_kib(&host).await;
    for _ in 0..readers {
        stalled.push(stall(&channel, query).await);
    }
    let after = settled_kib(&host).await;
    println!("{readers} readers of a log: {before} KiB before, {after} KiB after");
    after.saturating_sub(before) / readers
}

/// Returns the KiB of resident memory for each reader who is live while a log is published.
async fn live(readers: u64) -> u64 {
    let (_directory, host) = host();
    let channel = Channel::on(host.server.clone());
    publish_log(&channel).await;
    let mut stalled = vec![];
    for _ in 0..readers {
        stalled.push(stall(&channel, "").await);
    }
    let before = settled_kib(&host).await;
    publish_log(&channel).await;
    let after = settled_kib(&host).await;
    println!("{readers} live readers: {before} KiB before, {after} KiB after");
    after.saturating_sub(before) / readers
}

#[tokio::test]
async fn a_stalled_reader_costs_a_bounded_amount_of_memory() {
    if !can_start_hosts("the memory of stalled readers") {
        return;
    }
    let cost = replaying(100).await;
    assert!(cost <= MAX_KIB, "{cost} KiB for each reader of a log");
    let cost = live(100).await;
    assert!(cost <= MAX_KIB, "{cost} KiB for each live reader");
}

#[tokio::test]
#[ignore = "measures for a minute"]
async fn the_memory_of_a_thousand_stalled_readers() {
    for readers in [500, 1_000] {
        println!("{} KiB for each reader of a log", replaying(readers).await);
    }
    println!("{} KiB for each live reader", live(300).await);
}
