//! Limits: what is at the bound is accepted, and what is above it refused.

use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use tokio::task::JoinSet;

use crate::channel::Channel;
use crate::client::{Answer, Open, Request};
use crate::server::{Host, may_start_hosts};

fn host(variables: &[&str]) -> (tempfile::TempDir, Host) {
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(folder.path(), variables);
    (folder, host)
}

/// The first bytes of a stream, and the rest.
async fn first_bytes(request: Request) -> (String, Open) {
    let mut open = request.open().await;
    assert_eq!(open.status, 200);
    let frame = open.body.frame().await.unwrap().unwrap();
    let bytes = frame.into_data().unwrap();
    (String::from_utf8_lossy(&bytes).into_owned(), open)
}

fn assert_rate_limited(answer: &Answer, about: &str) -> u64 {
    answer.is_problem(429, "rate-limited", about);
    let seconds = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds > 0);
    seconds
}

#[tokio::test]
async fn sizes_are_accepted_up_to_their_limits() {
    if !may_start_hosts("sizes at their limits") {
        return;
    }
    let (_folder, host) = host(&[
        "max_body_bytes=100",
        "max_event_bytes=20",
        "max_batch_events=3",
        "max_query_bytes=40",
        "max_header_bytes=256",
        "max_channels=3",
    ]);
    let channel = Channel::on(host.server.clone());
    for (bytes, status) in [(99, 201), (100, 201), (101, 413)] {
        // Two events, and empty lines up to the size.
        let line = "{\"data\":1}\n";
        let body = format!("{line}{line}{}", "\n".repeat(bytes - 2 * line.len()));
        let request = channel.publish("").body("application/x-ndjson", body);
        request.send().await.has(status);
    }
    for (bytes, status) in [(19, 201), (20, 201), (21, 413)] {
        let request = channel.publish("").body("text/plain", "x".repeat(bytes));
        request.send().await.has(status);
    }
    for (events, status) in [(2, 201), (3, 201), (4, 413)] {
        let body = "{\"data\":1}\n".repeat(events);
        let request = channel.publish("").body("application/x-ndjson", body);
        let answer = request.send().await.has(status);
        if status == 413 {
            answer.is_problem(413, "too-large", "4 events; at most 3");
        }
    }
    for (bytes, status) in [(39, 201), (40, 201), (41, 400)] {
        let query = format!("?x={}", "x".repeat(bytes - 2));
        let request = channel.publish(&query).body("text/plain", "x");
        let answer = request.send().await.has(status);
        if status == 400 {
            answer.is_problem(400, "query", "41 bytes; at most 40");
        }
        let query = format!("?x={}", "x".repeat(bytes - 2));
        let status = if status == 201 { 200 } else { 400 };
        let answer = channel.events(&query).long_poll().send().await;
        assert_eq!(answer.status, status, "{bytes}: {answer:?}");
    }
    for (bytes, status) in [(255, 201), (256, 201), (257, 400)] {
        let request = channel.publish("").body("text/plain", "x");
        let answer = request.header("prefer", "x".repeat(bytes)).send().await;
        assert_eq!(answer.status, status, "{bytes}");
        let request = channel.events("?wait=0").long_poll();
        let answer = request.header("if-none-match", "x".repeat(bytes));
        let status = if status == 201 { 200 } else { 400 };
        assert_eq!(answer.send().await.status, status, "{bytes}");
    }
    for (channels, status) in [(2, 200), (3, 200), (4, 400)] {
        let names = (0..channels).map(|number| format!("channel={number}"));
        let query = names.collect::<Vec<_>>().join("&");
        let request = channel.server.get(&format!("/events?{query}")).long_poll();
        let answer = request.send().await;
        assert_eq!(answer.status, status, "{channels}");
        if status == 400 {
            answer.is_problem(400, "query", "accepted are 1 to 3");
        }
    }
}

#[tokio::test]
async fn streams_over_the_limit_are_told_to_come_back_and_find_room_when_others_have_gone() {
    if !may_start_hosts("the limit of streams") {
        return;
    }
    let (_folder, host) = host(&["max_streams=2", "heartbeat_seconds=1", "retry_ms=500"]);
    let channel = Channel::on(host.server.clone());
    let id = channel.say("kept").await;
    let mut first = channel.subscribe("").await;
    first.begun().await;
    let mut second = channel.subscribe("").await;
    second.begun().await;
    let turned_away = channel.events("").header("last-event-id", &id).send().await;
    assert_eq!(turned_away.status, 200);
    assert_eq!(
        turned_away.header("content-type"),
        Some("text/event-stream")
    );
    let text = String::from_utf8_lossy(&turned_away.body).into_owned();
    let (retry, rest) = text
        .strip_prefix("retry: ")
        .unwrap()
        .split_once('\n')
        .unwrap();
    let retry: u64 = retry.parse().unwrap();
    assert!((4_000..=8_000).contains(&retry), "{text}");
    assert_eq!(
        rest,
        format!("id: {id}\n\n: there are too many streams; reconnect to resume\n\n")
    );
    // A client that has gone is noticed within two heartbeats.
    drop(second);
    let gone = Instant::now();
    loop {
        let (text, _) = first_bytes(channel.events("")).await;
        if text.contains(": runnel") {
            break;
        }
        assert!(gone.elapsed() < Duration::from_secs(3), "{text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(first);
}

/// Publishes for `time` on so many connections at once, each to the channel of its number; how many
/// were accepted and how many refused.
async fn flood(channels: Vec<Channel>, time: Duration) -> (u64, u64) {
    let end = Instant::now() + time;
    let mut publishers = JoinSet::new();
    for channel in channels {
        publishers.spawn(async move {
            let (mut accepted, mut refused) = (0, 0);
            while Instant::now() < end {
                let answer = channel.publish("").body("text/plain", "x").send().await;
                if answer.status == 201 {
                    accepted += 1;
                } else {
                    assert_rate_limited(&answer, "too often");
                    refused += 1;
                }
            }
            (accepted, refused)
        });
    }
    let counts = publishers.join_all().await.into_iter();
    counts.fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1))
}

#[tokio::test]
async fn a_credential_publishes_no_more_than_its_rate_on_however_many_connections() {
    if !may_start_hosts("the rate of a credential") {
        return;
    }
    let (_folder, host) = host(&["publish_rate=40"]);
    let channels = (0..12).map(|_| Channel::on(host.server.clone()));
    let start = Instant::now();
    let (accepted, refused) = flood(channels.collect(), Duration::from_secs(3)).await;
    let seconds = start.elapsed().as_secs_f64();
    println!("{accepted} accepted and {refused} refused in {seconds:.1} s");
    // The burst, what is earned, and a quarter of a second of leases.
    let most = 40.0 + 40.0 * (seconds + 0.25) + 1.0;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let accepted = accepted as f64;
    assert!(accepted <= most, "{accepted} of {most}");
    assert!(accepted >= 80.0, "{accepted}");
    assert!(refused > 100, "{refused}");
    // What is left comes back with time, for closing and purging, too.
    let channel = Channel::on(host.server.clone());
    let refusal = loop {
        let answer = channel.manage("DELETE", "").send().await;
        if answer.status != 204 {
            break answer;
        }
    };
    let seconds = assert_rate_limited(&refusal, "this credential");
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    channel.manage("DELETE", "").send().await.has(204);
}

#[tokio::test]
async fn a_channel_over_its_rate_does_not_hold_up_others() {
    if !may_start_hosts("the rate of a channel") {
        return;
    }
    let (_folder, host) = host(&["channel_rate=5"]);
    let (busy, quiet) = (
        Channel::on(host.server.clone()),
        Channel::on(host.server.clone()),
    );
    let start = std::time::Instant::now();
    let flooding = tokio::spawn(flood(vec![busy; 8], Duration::from_secs(2)));
    for number in 0..10 {
        quiet.say(number.to_string()).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (accepted, refused) = flooding.await.unwrap();
    let seconds = start.elapsed().as_secs_f64();
    println!("{accepted} accepted and {refused} refused in {seconds:.1} s");
    // The burst, what is earned, and a quarter of a second of leases.
    let most = 5.0 + 5.0 * (seconds + 0.25) + 1.0;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let accepted = accepted as f64;
    assert!((8.0..=most).contains(&accepted), "{accepted} of {most}");
    assert!(refused > 50, "{refused}");
    assert_eq!(quiet.log().await.len(), 10);
}

#[tokio::test]
async fn a_client_opens_no_more_streams_than_its_rate_whatever_address_it_claims() {
    if !may_start_hosts("the rate of streams") {
        return;
    }
    let (_folder, host) = host(&["stream_rate=6"]);
    let channel = Channel::on(host.server.clone());
    let mut opened = 0;
    for number in 0..20 {
        let request = channel
            .events("")
            .header("spin-client-addr", format!("10.0.0.{number}:80"))
            .header("x-forwarded-for", format!("10.0.1.{number}"));
        let (text, _) = first_bytes(request).await;
        assert!(text.starts_with("retry: "), "{text}");
        if text.contains(": runnel") {
            opened += 1;
        } else {
            let refusal = ": this client opens streams too often; reconnect to resume\n\n";
            assert!(text.ends_with(refusal), "{text}");
        }
    }
    assert!((6..=7).contains(&opened), "{opened}");
    // Others are not concerned: a long poll, a publisher.
    channel.say("x").await;
    channel.events("").json().await;
}

#[tokio::test]
async fn bad_limits_are_refused_by_name() {
    if !may_start_hosts("bad limits") {
        return;
    }
    for name in [
        "max_channels",
        "max_streams",
        "stream_rate",
        "write_timeout_seconds",
    ] {
        let (_folder, host) = host(&[&format!("{name}=-1")]);
        let answer = Channel::on(host.server.clone()).events("").send().await;
        answer.is_problem(500, "configuration", &format!("{name} is \"-1\""));
    }
    for name in [
        "max_batch_events",
        "max_query_bytes",
        "max_header_bytes",
        "publish_rate",
        "channel_rate",
        "body_timeout_seconds",
    ] {
        let (_folder, host) = host(&[&format!("{name}=100001x")]);
        let answer = Channel::on(host.server.clone()).publish("").send().await;
        answer.is_problem(500, "configuration", &format!("{name} is \"100001x\""));
    }
}
