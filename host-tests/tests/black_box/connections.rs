//! Clients that are slow on purpose, and a server that stops: how long a connection lives.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::channel::Channel;
use crate::client::{Answer, read_raw};
use crate::server::{Host, may_start_hosts};

/// More than any time limit of these tests.
const LONG: Duration = Duration::from_secs(8);

fn host(variables: &[&str]) -> (TempDir, Host) {
    let folder = tempfile::tempdir().unwrap();
    let options = ["--head-timeout", "1", "--write-timeout", "1"];
    let host = Host::start_with(folder.path(), variables, &options);
    (folder, host)
}

async fn connect(host: &Host) -> TcpStream {
    TcpStream::connect(&host.server.authority).await.unwrap()
}

/// Waits until the server has closed the connection; what it said before.
async fn closed(connection: &mut TcpStream) -> Vec<u8> {
    let mut said = vec![];
    let read = timeout(LONG, connection.read_to_end(&mut said)).await;
    // A reset is as good an end as any.
    drop(read.expect("the connection stays open"));
    said
}

fn publish_head(channel: &Channel, length: usize) -> String {
    format!(
        "POST /publish/{} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: text/plain\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n",
        channel.name, channel.server.token
    )
}

#[tokio::test]
async fn a_head_that_does_not_arrive_ends_the_connection() {
    if !may_start_hosts("slow heads") {
        return;
    }
    let (_folder, host) = host(&[]);
    for start in ["", "G", "GET /events/a HTTP/1.1\r\nhost: x\r\n"] {
        let mut connection = connect(&host).await;
        connection.write_all(start.as_bytes()).await.unwrap();
        let begun = Instant::now();
        let said = closed(&mut connection).await;
        assert!(begun.elapsed() >= Duration::from_millis(900));
        assert!(!said.starts_with(b"HTTP/1.1 2"), "{said:?}");
    }
    // A byte now and then does not help.
    let mut connection = connect(&host).await;
    let start = b"GET /events/a HTTP/1.1\r\nx: ";
    connection.write_all(start).await.unwrap();
    let begun = Instant::now();
    while connection.write_all(b"x").await.is_ok() {
        assert!(begun.elapsed() < LONG, "the head may go on for ever");
        sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_answered_and_publishes_nothing() {
    if !may_start_hosts("slow bodies") {
        return;
    }
    let (_folder, host) = host(&["body_timeout_seconds=1"]);
    let channel = Channel::on(host.server.clone());
    let head = publish_head(&channel, 1_000);
    for trickles in [false, true] {
        let mut connection = connect(&host).await;
        connection.write_all(head.as_bytes()).await.unwrap();
        let begun = Instant::now();
        let (mut reading, mut writing) = connection.split();
        let trickle = async {
            while trickles && writing.write_all(b"x").await.is_ok() {
                sleep(Duration::from_millis(50)).await;
            }
            std::future::pending().await
        };
        let mut bytes = [0; 4096];
        let read = async {
            tokio::select! {
                read = reading.read(&mut bytes) => read.unwrap(),
                () = trickle => 0,
            }
        };
        let length = timeout(LONG, read).await.expect("no answer");
        assert!(begun.elapsed() >= Duration::from_millis(900));
        let answer = Answer::parse(&bytes[..length]);
        answer.is_problem(408, "body-timeout", "within 1 s");
    }
    let state = channel.manage("GET", "").send().await;
    state.is_problem(404, "unknown-channel", &channel.name);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_and_others_do_not_notice() {
    if !may_start_hosts("clients that do not read") {
        return;
    }
    let (_folder, host) = host(&["write_timeout_seconds=1"]);
    let channel = Channel::on(host.server.clone());
    // More than systems keep for a connection.
    for _ in 0..400 {
        channel.say("x".repeat(60_000)).await;
    }
    let mut live = channel.subscribe("").await;
    live.begun().await;
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
    sleep(Duration::from_secs(4)).await;
    for mut connection in stalled {
        // What was under way is read, and then there is an end.
        let said = closed(&mut connection).await;
        let text = String::from_utf8_lossy(&said);
        assert!(text.starts_with("HTTP/1.1 200"), "{}", text.len());
        assert!(!text.ends_with("0\r\n\r\n"), "it is not to look whole");
    }
    let id = channel.say("news").await;
    assert_eq!(live.event().await.id, id);
    let said = host.errors();
    for line in said.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            (&line["event"], &line["reason"]),
            (&"stream_ended".into(), &"stalled".into())
        );
    }
}

#[tokio::test]
async fn connections_that_come_and_go_leave_no_descriptors_and_no_memory_behind() {
    if !may_start_hosts("what connections leave behind") {
        return;
    }
    let (_folder, host) = host(&["heartbeat_seconds=1"]);
    let channel = Channel::on(host.server.clone());
    channel.say("kept").await;
    let mut seen = vec![];
    for _ in 0..6 {
        for _ in 0..10 {
            let open = (0..50).map(|_| channel.events("?last=1").open());
            drop(futures::future::join_all(open).await);
        }
        // Two heartbeats find out who has gone, and instances stay for a second.
        sleep(Duration::from_millis(3_500)).await;
        if let (Some(descriptors), Some(kibibytes)) = (host.descriptors(), host.kibibytes()) {
            seen.push((descriptors, kibibytes));
        }
    }
    println!("after each 500 streams, descriptors and KiB: {seen:?}");
    if let (Some(first), Some(last)) = (seen.first(), seen.last()) {
        assert!(last.0 <= first.0 + 8, "{seen:?}");
        // The allocator keeps some; a stream that stayed would take 48 KiB.
        assert!(last.1 <= first.1 + 40_000, "{seen:?}");
    }
}

#[tokio::test]
async fn a_stop_lets_a_publish_finish_and_takes_no_new_connections() {
    if !may_start_hosts("the end of publishes when the server stops") {
        return;
    }
    let (folder, mut host) = host(&[]);
    let channel = Channel::on(host.server.clone());
    let mut publishing = connect(&host).await;
    let start = format!("{}half ", publish_head(&channel, 10));
    publishing.write_all(start.as_bytes()).await.unwrap();
    let mut stream = channel.subscribe("").await;
    stream.begun().await;
    host.ask_to_stop();
    assert_eq!(stream.next().await, None);
    let refused = timeout(LONG, async {
        while connect_to(&host).await {
            sleep(Duration::from_millis(20)).await;
        }
    });
    refused.await.expect("new connections are accepted");
    publishing.write_all(b"whole").await.unwrap();
    read_raw(&mut publishing).await.has(201);
    assert!(host.ended().success());
    let again = Host::start(folder.path(), &[]);
    let channel = Channel {
        server: again.server.clone(),
        ..channel
    };
    assert_eq!(channel.log().await[0].1, "half whole");
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    if !may_start_hosts("a bounded stop") {
        return;
    }
    let (_folder, mut host) = host(&[]);
    let channel = Channel::on(host.server.clone());
    let mut publishing = connect(&host).await;
    let head = publish_head(&channel, 10);
    publishing.write_all(head.as_bytes()).await.unwrap();
    sleep(Duration::from_millis(100)).await;
    let asked = Instant::now();
    let status = tokio::task::spawn_blocking(move || host.terminate());
    assert!(timeout(LONG, status).await.unwrap().unwrap().success());
    assert!(asked.elapsed() >= Duration::from_secs(4), "it had 5 s");
    drop(publishing);
}

async fn connect_to(host: &Host) -> bool {
    TcpStream::connect(&host.server.authority).await.is_ok()
}
