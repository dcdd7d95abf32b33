//! Size limits, rates and the maximum number of streams.

use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use runnel_testing::{Channel, HostProcess, OpenResponse, Request, Response, can_start_hosts};
use tokio::task::JoinSet;

fn host(variables: &[&str]) -> (tempfile::TempDir, HostProcess) {
    let directory = tempfile::tempdir().unwrap();
    let host = HostProcess::start(directory.path(), variables);
    (directory, host)
}

/// Opens a stream and returns its first chunk, together with the open response.
async fn first_chunk(request: Request) -> (String, OpenResponse) {
    let mut response = request.open().await;
    assert_eq!(response.status, 200);
    let frame = response.body.frame().await.unwrap().unwrap();
    let bytes = frame.into_data().unwrap();
    (String::from_utf8_lossy(&bytes).into_owned(), response)
}

/// Asserts a 429 problem and returns the seconds of its `Retry-After`.
fn assert_rate_limited(response: &Response, about: &str) -> u64 {
    response.assert_problem(429, "rate-limited", about);
    let seconds = response.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds > 0);
    seconds
}

#[tokio::test]
async fn sizes_are_accepted_up_to_and_including_their_limits() {
    if !can_start_hosts("size limits") {
        return;
    }
    let (_directory, host) = host(&[
        "max_body_bytes=100",
        "max_event_bytes=20",
        "max_batch_events=3",
        "max_query_bytes=40",
        "max_header_bytes=256",
        "max_channels=3",
    ]);
    let channel = Channel::on(host.server.clone());
    for (bytes, status) in [(99, 201), (100, 201), (101, 413)] {
        // Two events, padded with empty lines.
        let line = "{\"data\":1}\n";
        let body = format!("{line}{line}{}", "\n".repeat(bytes - 2 * line.len()));
        let request = channel.publish("").body("application/x-ndjson", body);
        request.send().await.expect_status(status);
    }
    for (bytes, status) in [(19, 201), (20, 201), (21, 413)] {
        let request = channel.publish("").body("text/plain", "x".repeat(bytes));
        request.send().await.expect_status(status);
    }
    for (events, status) in [(2, 201), (3, 201), (4, 413)] {
        let body = "{\"data\":1}\n".repeat(events);
        let request = channel.publish("").body("application/x-ndjson", body);
        let response = request.send().await.expect_status(status);
        if status == 413 {
            response.assert_problem(
                413,
                "too-large",
                "4 events; at most 3 are accepted (`max_batch_events`)",
            );
        }
    }
    for (bytes, status) in [(39, 201), (40, 201), (41, 400)] {
        let query = format!("?x={}", "x".repeat(bytes - 2));
        let request = channel.publish(&query).body("text/plain", "x");
        let response = request.send().await.expect_status(status);
        if status == 400 {
            response.assert_problem(400, "query", "41 bytes; at most 40");
        }
        let query = format!("?x={}", "x".repeat(bytes - 2));
        let status = if status == 201 { 200 } else { 400 };
        let response = channel.events(&query).accept_json().send().await;
        assert_eq!(response.status, status, "{bytes}: {response:?}");
    }
    for (bytes, status) in [(255, 201), (256, 201), (257, 400)] {
        let request = channel.publish("").body("text/plain", "x");
        let response = request.header("prefer", "x".repeat(bytes)).send().await;
        assert_eq!(response.status, status, "{bytes}");
        let request = channel.events("?wait=0").accept_json();
        let response = request.header("if-none-match", "x".repeat(bytes));
        let status = if status == 201 { 200 } else { 400 };
        assert_eq!(response.send().await.status, status, "{bytes}");
    }
    for (channels, status) in [(2, 200), (3, 200), (4, 400)] {
        let names = (0..channels).map(|number| format!("channel={number}"));
        let query = names.collect::<Vec<_>>().join("&");
        let request = channel
            .server
            .get(&format!("/events?{query}"))
            .accept_json();
        let response = request.send().await;
        assert_eq!(response.status, status, "{channels}");
        if status == 400 {
            response.assert_problem(400, "query", "expected 1 to 3");
        }
    }
}

#[tokio::test]
async fn streams_over_the_limit_are_asked_to_retry_until_others_have_disconnected() {
    if !can_start_hosts("the stream limit") {
        return;
    }
    let (_directory, host) = host(&["max_streams=2", "heartbeat_seconds=1", "retry_ms=500"]);
    let channel = Channel::on(host.server.clone());
    let id = channel.publish_text("kept").await;
    let mut first = channel.subscribe("").await;
    first.opened().await;
    let mut second = channel.subscribe("").await;
    second.opened().await;
    let rejected = channel.events("").header("last-event-id", &id).send().await;
    assert_eq!(rejected.status, 200);
    assert_eq!(
        rejected.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    let text = String::from_utf8_lossy(&rejected.body).into_owned();
    let (retry, rest) = text
        .strip_prefix("event: runnel.reconnect\nretry: ")
        .unwrap()
        .split_once('\n')
        .unwrap();
    let retry: u64 = retry.parse().unwrap();
    assert!((4_000..=8_000).contains(&retry), "{text}");
    assert_eq!(
        rest,
        format!("data: {{\"reason\":\"too-many-streams\",\"retry_ms\":{retry}}}\nid: {id}\n\n")
    );
    // A disconnect is detected within two heartbeats.
    drop(second);
    let disconnected = Instant::now();
    loop {
        let (text, _) = first_chunk(channel.events("")).await;
        if text.contains(": runnel") {
            break;
        }
        assert!(disconnected.elapsed() < Duration::from_secs(3), "{text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(first);
}

/// Publishes to each channel concurrently for `duration`, and returns how many publishes were accepted
/// and how many were rejected.
async fn flood(channels: Vec<Channel>, duration: Duration) -> (u64, u64) {
    let end = Instant::now() + duration;
    let mut publishers = JoinSet::new();
    for channel in channels {
        publishers.spawn(async move {
            let (mut accepted, mut rejected) = (0, 0);
            while Instant::now() < end {
                let response = channel.publish("").body("text/plain", "x").send().await;
                if response.status == 201 {
                    accepted += 1;
                } else {
                    assert_rate_limited(&response, "too often");
                    rejected += 1;
                }
            }
            (accepted, rejected)
        });
    }
    let counts = publishers.join_all().await.into_iter();
    counts.fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1))
}

#[tokio::test]
async fn the_publish_rate_of_a_credential_holds_across_connections() {
    if !can_start_hosts("the publish rate") {
        return;
    }
    let (_directory, host) = host(&["publish_rate=40"]);
    let channels = (0..12).map(|_| Channel::on(host.server.clone()));
    let start = Instant::now();
    let (accepted, rejected) = flood(channels.collect(), Duration::from_secs(3)).await;
    let seconds = start.elapsed().as_secs_f64();
    println!("{accepted} accepted and {rejected} rejected in {seconds:.1} s");
    // The burst, the permits accrued since then, and a quarter of a second of leases.
    let most = 40.0 + 40.0 * (seconds + 0.25) + 1.0;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let accepted = accepted as f64;
    assert!(accepted <= most, "{accepted} of {most}");
    assert!(accepted >= 80.0, "{accepted}");
    assert!(rejected > 100, "{rejected}");
    // Closing and purging count too, and permits accrue again with time.
    let channel = Channel::on(host.server.clone());
    let rejection = loop {
        let response = channel.manage("DELETE", "").send().await;
        if response.status != 204 {
            break response;
        }
    };
    let seconds = assert_rate_limited(&rejection, "this credential");
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    channel.manage("DELETE", "").send().await.expect_status(204);
}

#[tokio::test]
async fn a_channel_over_its_rate_does_not_slow_down_others() {
    if !can_start_hosts("the channel rate") {
        return;
    }
    let (_directory, host) = host(&["channel_rate=5"]);
    let (busy, quiet) = (
        Channel::on(host.server.clone()),
        Channel::on(host.server.clone()),
    );
    let start = Instant::now();
    let flooding = tokio::spawn(flood(vec![busy; 8], Duration::from_secs(2)));
    for number in 0..10 {
        quiet.publish_text(number.to_string()).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (accepted, rejected) = flooding.await.unwrap();
    let seconds = start.elapsed().as_secs_f64();
    println!("{accepted} accepted and {rejected} rejected in {seconds:.1} s");
    // The burst, the permits accrued since then, and a quarter of a second of leases.
    let most = 5.0 + 5.0 * (seconds + 0.25) + 1.0;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let accepted = accepted as f64;
    assert!((8.0..=most).contains(&accepted), "{accepted} of {most}");
    assert!(rejected > 50, "{rejected}");
    assert_eq!(quiet.log().await.len(), 10);
}

#[tokio::test]
async fn the_stream_rate_of_a_client_ignores_forged_addresses() {
    if !can_start_hosts("the stream rate") {
        return;
    }
    let (_directory, host) = host(&["stream_rate=6"]);
    let channel = Channel::on(host.server.clone());
    let mut opened = 0;
    for number in 0..20 {
        let request = channel
            .events("")
            .header("spin-client-addr", format!("10.0.0.{number}:80"))
            .header("x-forwarded-for", format!("10.0.1.{number}"));
        let (text, _) = first_chunk(request).await;
        if text.starts_with(": runnel\n") {
            opened += 1;
        } else {
            let start = "event: runnel.reconnect\nretry: ";
            assert!(text.starts_with(start), "{text}");
            assert!(text.contains("{\"reason\":\"stream-rate\","), "{text}");
        }
    }
    assert!((6..=7).contains(&opened), "{opened}");
    // The stream rate limits neither publishes nor long-polls.
    channel.publish_text("x").await;
    channel.events("").fetch_json().await;
}

#[tokio::test]
async fn an_invalid_limit_is_reported_with_its_variable() {
    if !can_start_hosts("invalid limits") {
        return;
    }
    for name in [
        "max_channels",
        "max_streams",
        "stream_rate",
        "write_timeout_seconds",
    ] {
        let (_directory, host) = host(&[&format!("{name}=-1")]);
        let response = Channel::on(host.server.clone()).events("").send().await;
        response.assert_problem(500, "configuration", &format!("{name} is \"-1\""));
    }
    for name in [
        "max_batch_events",
        "max_query_bytes",
        "max_header_bytes",
        "publish_rate",
        "channel_rate",
        "body_timeout_seconds",
    ] {
        let (_directory, host) = host(&[&format!("{name}=100001x")]);
        let response = Channel::on(host.server.clone()).publish("").send().await;
        response.assert_problem(500, "configuration", &format!("{name} is \"100001x\""));
    }
}
