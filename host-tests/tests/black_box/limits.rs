//! Size limits, rates and the maximum number of streams.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use http_body_util::BodyExt as _;
use runnel_testing::{
    Channel, HostProcess, OpenResponse, Request, Response, TIMEOUT, can_start_hosts,
};
use tokio::time::timeout;

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
    let resume = || channel.events("").header("last-event-id", &id);
    let (text, held) = open_until_refused(resume).await;
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
    drop(held);
    let opened = async {
        while !first_chunk(channel.events(""))
            .await
            .0
            .starts_with(": runnel")
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let opened = timeout(TIMEOUT, opened).await;
    opened.expect("a stream is accepted once there is room");
}

/// Opens streams until one is refused. Returns the whole text of that one, and the others, still open.
/// While an instance is busy, the host starts another one, which has room for streams of its own.
async fn open_until_refused(request: impl Fn() -> Request) -> (String, Vec<OpenResponse>) {
    let mut held = vec![];
    for _ in 0..100 {
        let (mut text, mut response) = first_chunk(request()).await;
        if text.starts_with(": runnel") {
            held.push(response);
            continue;
        }
        assert_eq!(
            response.headers["content-type"],
            "text/event-stream; charset=utf-8"
        );
        while let Some(frame) = response.body.frame().await {
            let bytes = frame.unwrap().into_data().unwrap();
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
        return (text, held);
    }
    panic!("no stream is refused");
}

#[tokio::test]
async fn a_waiting_long_poll_takes_the_room_of_a_stream_and_an_answer_that_is_there_takes_none() {
    if !can_start_hosts("the limit on waiting long-polls") {
        return;
    }
    let (_directory, host) = host(&["max_streams=1"]);
    let channel = Channel::on(host.server.clone());
    let id = channel.publish_text("kept").await;
    // Streams that stay open fill the instance, or all of them.
    let (_, held) = open_until_refused(|| channel.events("")).await;
    let waiting = channel.events(&format!("?wait=25&last_event_id={id}"));
    let response = waiting.clone().accept_json().send().await;
    response.assert_problem(503, "too-many-streams", "too many streams to wait");
    assert!(response.retry_after() > 0);
    for query in [
        "?wait=25&last=1",
        "?wait=25&last_event_id=earliest",
        "?last=1",
    ] {
        let page = channel.events(query).fetch_json().await;
        assert_eq!(page["events"][0]["id"], id, "{query}");
    }
    // A page that the client has is no news.
    let page = channel.events("?last=1").accept_json().send().await;
    let tag = page.header("etag").unwrap();
    let known = channel
        .events("?wait=25&last=1")
        .header("if-none-match", tag);
    let known = known.accept_json().send().await;
    known.assert_problem(503, "too-many-streams", "too many streams to wait");
    drop(held);
}

#[tokio::test]
async fn a_stream_finds_no_room_while_a_long_poll_waits() {
    if !can_start_hosts("streams beside waiting long-polls") {
        return;
    }
    let (_directory, host) = host(&["max_streams=1"]);
    let channel = Channel::on(host.server.clone());
    let id = channel.publish_text("kept").await;
    let query = format!("?wait=25&last_event_id={id}");
    let (mut waiting, mut refused) = (vec![], None);
    // Several, since the host may start several instances.
    for _ in 0..20 {
        waiting.push(tokio::spawn(channel.events(&query).accept_json().send()));
        tokio::time::sleep(Duration::from_millis(50)).await;
        let (text, _) = first_chunk(channel.events("")).await;
        if !text.starts_with(": runnel") {
            refused = Some(text);
            break;
        }
    }
    let refused = refused.expect("a stream is refused");
    assert!(refused.contains("too-many-streams"), "{refused}");
    let news = channel.publish_text("news").await;
    for waiting in waiting {
        let response = waiting.await.unwrap();
        if response.status == 200 {
            assert_eq!(response.json()["events"][0]["id"], news);
        } else {
            response.assert_problem(503, "too-many-streams", "");
        }
    }
}

/// Publishes to each channel concurrently until `accepted` publishes were accepted and `rejected` were
/// rejected. Returns how many were accepted.
async fn flood(channels: Vec<Channel>, accepted: usize, rejected: usize) -> usize {
    let counts = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let is_over = || {
        let counts = counts.each_ref().map(|count| count.load(Ordering::Relaxed));
        counts[0] >= accepted && counts[1] >= rejected
    };
    let publishers = channels.iter().map(async |channel| {
        while !is_over() {
            let response = channel.publish("").body("text/plain", "x").send().await;
            let is_accepted = response.status == 201;
            if !is_accepted {
                assert_rate_limited(&response, "too often");
            }
            counts[usize::from(!is_accepted)].fetch_add(1, Ordering::Relaxed);
        }
    });
    let publishing = timeout(TIMEOUT, join_all(publishers)).await;
    publishing.unwrap_or_else(|_| panic!("accepted and rejected: {counts:?}"));
    let [accepted, _] = counts;
    accepted.into_inner()
}

/// Asserts that no more than the burst, the permits that accrued since `start`, and a quarter of a second
/// of leases were spent.
fn assert_within_rate(spent: usize, rate: f64, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    let most = rate + rate * (seconds + 0.25) + 1.0;
    println!("{spent} accepted in {seconds:.1} s");
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let spent = spent as f64;
    assert!(spent <= most, "{spent} of {most}");
}

#[tokio::test]
async fn the_publish_rate_of_a_credential_holds_across_connections() {
    if !can_start_hosts("the publish rate") {
        return;
    }
    let (_directory, host) = host(&["publish_rate=10"]);
    let channels = (0..12).map(|_| Channel::on(host.server.clone()));
    let start = Instant::now();
    // The burst and as much again.
    let accepted = flood(channels.collect(), 20, 100).await;
    assert_within_rate(accepted, 10.0, start);
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
    let flooding = tokio::spawn(flood(vec![busy; 8], 10, 50));
    // Below the rate, and every one of them is accepted.
    for number in 0..5 {
        quiet.publish_text(number.to_string()).await;
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert_within_rate(flooding.await.unwrap(), 5.0, start);
    assert_eq!(quiet.log().await.len(), 5);
}

#[tokio::test]
async fn the_stream_rate_of_a_client_counts_long_polls_and_ignores_forged_addresses() {
    if !can_start_hosts("the stream rate") {
        return;
    }
    let (_directory, host) = host(&["stream_rate=6"]);
    let channel = Channel::on(host.server.clone());
    let (mut opened, start) = (0, Instant::now());
    for number in 0..20 {
        let request = channel
            .events("")
            .header("spin-client-addr", format!("10.0.0.{number}:80"))
            .header("x-forwarded-for", format!("10.0.1.{number}"));
        if number % 2 == 0 {
            let response = request.accept_json().send().await;
            if response.status == 200 {
                opened += 1;
            } else {
                response.assert_problem(429, "stream-rate", "polls too often");
                assert!(response.retry_after() > 0);
            }
            continue;
        }
        let (text, _) = first_chunk(request).await;
        if text.starts_with(": runnel\n") {
            opened += 1;
        } else {
            let start = "event: runnel.reconnect\nretry: ";
            assert!(text.starts_with(start), "{text}");
            assert!(text.contains("{\"reason\":\"stream-rate\","), "{text}");
        }
    }
    assert!(opened >= 6, "{opened}");
    assert_within_rate(opened, 6.0 / 60.0, start - Duration::from_secs(60));
    // The stream rate does not limit publishes, nor other clients.
    channel.publish_text("x").await;
    let other = channel.events("").from_address([127, 0, 0, 2]);
    other.fetch_json().await;
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
