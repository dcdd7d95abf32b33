//! A log that nobody reads: a pipe to a log driver that pauses, a terminal after Ctrl-S.

use std::time::Duration;

use runnel_testing::{Channel, HostProcess, can_start_hosts};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Bounds each wait.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The rejected publishes on each connection.
const REJECTIONS: usize = 1_000;

/// Starts a host whose standard error is a pipe that nobody reads.
fn host() -> (TempDir, HostProcess) {
    let directory = tempfile::tempdir().unwrap();
    let host = HostProcess::start_unread(directory.path(), &["metrics_interval_seconds=1"]);
    (directory, host)
}

/// Sends publishes without a token, each of which writes a log line, and waits for the responses.
async fn reject_publishes(channel: &Channel) {
    let mut connection = TcpStream::connect(&channel.server.authority).await.unwrap();
    let path = format!("/publish/{}/{}", channel.name, "x".repeat(120));
    let request = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
    let (mut reading, mut writing) = connection.split();
    let requests = request.repeat(REJECTIONS);
    let read = async {
        let mut received = vec![];
        let mut rejections = 0;
        while rejections < REJECTIONS {
            let length = reading.read_buf(&mut received).await.unwrap();
            assert!(length > 0, "the connection has ended");
            let text = String::from_utf8_lossy(&received);
            rejections = text.matches("HTTP/1.1 401").count();
        }
    };
    let exchange = futures::future::join(writing.write_all(requests.as_bytes()), read);
    let (written, ()) = timeout(MAX_WAIT, exchange).await.expect("no response");
    written.unwrap();
}

/// Writes more lines than the pipe and the queue hold. Returns their number.
async fn overflow(channel: &Channel) -> usize {
    let connections = 5;
    for _ in 0..connections {
        reject_publishes(channel).await;
    }
    connections * REJECTIONS
}

/// Returns the value of a counter without labels.
async fn counter(host: &HostProcess, name: &str) -> usize {
    let response = host.server.get("/metrics").send().await.expect_status(200);
    let text = String::from_utf8(response.body.to_vec()).unwrap();
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_default().parse().unwrap_or_default()
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_nothing_and_the_lines_that_are_lost_are_counted() {
    if !can_start_hosts("a log that nobody reads") {
        return;
    }
    let (_directory, mut host) = host();
    let channel = Channel::on(host.server.clone());
    let mut stream = channel.subscribe("").await;
    stream.opened().await;
    let rejected = overflow(&channel).await;
    // Publishes, streams and probes go on.
    let id = channel.publish_text("on").await;
    assert_eq!(stream.event().await.id, id);
    for path in ["/health/live", "/health"] {
        host.server.get(path).send().await.expect_status(200);
    }
    let counted = timeout(MAX_WAIT, async {
        loop {
            let dropped = counter(&host, "runnel_log_lines_dropped_total").await;
            if dropped > 0 {
                return dropped;
            }
            sleep(Duration::from_millis(100)).await;
        }
    });
    let counted = counted.await.expect("/metrics counts no dropped line");
    // Once the log is read, it says how many lines are missing.
    host.read_stderr();
    let reported = timeout(MAX_WAIT, async {
        loop {
            let lines = host.stderr();
            if lines.contains("log_dropped") && lines.ends_with('\n') {
                return lines;
            }
            sleep(Duration::from_millis(20)).await;
        }
    });
    let lines = reported.await.expect("the log reports no dropped line");
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("torn: {line:?}")))
        .collect();
    let events = |name: &'static str| lines.iter().filter(move |line| line["event"] == name);
    let dropped: Vec<_> = events("log_dropped").collect();
    let [report] = dropped[..] else {
        panic!("{dropped:?}")
    };
    let dropped = usize::try_from(report["lines"].as_u64().unwrap()).unwrap();
    assert!(counted <= dropped, "{counted} counted, {dropped} reported");
    assert_eq!(events("rejected").count() + dropped, rejected);
    // The next line is written.
    reject_publishes(&channel).await;
    drop(stream);
    assert!(host.terminate().success());
}

#[tokio::test]
async fn a_host_whose_log_nobody_reads_ends_on_sigterm() {
    if !can_start_hosts("the end of a host whose log nobody reads") {
        return;
    }
    let (_directory, mut host) = host();
    let channel = Channel::on(host.server.clone());
    overflow(&channel).await;
    let mut stream = channel.subscribe("").await;
    stream.opened().await;
    host.send_sigterm();
    assert_eq!(stream.next().await, None);
    let end = tokio::task::spawn_blocking(move || host.wait());
    let status = timeout(MAX_WAIT, end).await.expect("the host does not end");
    assert!(status.unwrap().success());
}
