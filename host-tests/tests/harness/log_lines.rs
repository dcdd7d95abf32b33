//! The log of an operator.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use runnel_host::store::{Fault, FaultPlan};
use runnel_testing::{CHANNEL, Fixture, TOKEN, authorized, authorized_with, send};
use serde_json::Value;
use tokio::time::sleep;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Parses the log. Each line is a JSON object with a time and a level.
fn log_lines(fixture: &Fixture) -> Vec<Value> {
    let output = fixture.host.output();
    let lines = output.lines().map(|line| {
        let line: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert_eq!(
            line["time"].as_str().unwrap().len(),
            "2026-01-01T00:00:00.000Z".len()
        );
        assert!(["error", "warn", "info", "debug"].contains(&line["level"].as_str().unwrap()));
        line
    });
    lines.collect()
}

/// Returns the lines of one event.
fn of(lines: &[Value], event: &str) -> Vec<Value> {
    let lines = lines.iter().filter(|line| line["event"] == event);
    lines.cloned().collect()
}

/// Asserts some members of a line.
#[track_caller]
fn assert_members(line: &Value, expected: &[(&str, Value)]) {
    for (name, value) in expected {
        assert_eq!(line[name], *value, "{name} of {line}");
    }
}

fn traced(method: &str, path: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))
}

#[tokio::test(start_paused = true)]
async fn a_stream_and_a_publish_are_logged_without_secrets() {
    let fixture = Fixture::with(&[("log_level", "debug"), ("max_stream_seconds", "30")]);
    let request = traced("POST", "/publish/c")
        .header("content-type", "text/plain")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(Full::<Bytes>::from("what nobody may read"));
    let published = send(&fixture.host, request.unwrap()).await;
    let id = published.event_id();
    assert!(published.header("traceresponse").unwrap().contains(TRACE));
    sleep(Duration::from_secs(1)).await;
    let request = traced(
        "GET",
        "/events/c?last_event_id=earliest&access_token=sesame",
    );
    let response = fixture
        .host
        .request(request.body(Full::<Bytes>::default()).unwrap());
    let response = response.await;
    let span = response.headers()["traceresponse"].to_str().unwrap()[36..52].to_owned();
    let mut body = response.into_body();
    while let Some(frame) = http_body_util::BodyExt::frame(&mut body).await {
        frame.unwrap();
    }

    let lines = log_lines(&fixture);
    let [published] = &of(&lines, "published")[..] else {
        panic!("{lines:?}")
    };
    assert_members(
        published,
        &[
            ("level", "debug".into()),
            ("channel", CHANNEL.into()),
            ("trace_id", TRACE.into()),
            ("reason", "created".into()),
            ("first", id.clone().into()),
            ("last", id.into()),
            ("events", 1.into()),
            ("bytes", "what nobody may read".len().into()),
        ],
    );
    let stream: Vec<_> = lines
        .iter()
        .filter(|line| line["stream"] == span.as_str())
        .collect();
    let events: Vec<_> = stream.iter().map(|line| &line["event"]).collect();
    assert_eq!(events, ["stream_opened", "stream_live", "stream_ended"]);
    for line in &stream {
        assert_members(
            line,
            &[("channel", CHANNEL.into()), ("trace_id", TRACE.into())],
        );
    }
    assert_members(stream[1], &[("replayed", 1.into())]);
    assert!(
        stream[1]["duration_ms"].as_u64() < Some(1_000),
        "{stream:?}"
    );
    assert_members(
        stream[2],
        &[
            ("level", "info".into()),
            ("reason", "age".into()),
            ("events", 1.into()),
            ("replayed", 1.into()),
        ],
    );
    assert!(stream[2]["heartbeats"].as_u64() >= Some(1));
    assert!(stream[2]["duration_ms"].as_u64() >= Some(24_000));
    let output = fixture.host.output();
    for secret in [TOKEN, "what nobody may read", "sesame"] {
        assert!(!output.contains(secret), "{secret}: {output}");
    }
}

#[tokio::test(start_paused = true)]
async fn losses_of_clients_are_logged_as_warnings() {
    let variables = [
        ("log_level", "warn"),
        ("max_streams", "1"),
        ("retention_events", "3"),
    ];
    let fixture = Fixture::with(&variables);
    let ids = fixture.publish_numbered(1..=60, 4_000).await;
    let mut gap = fixture
        .subscribe(&format!("?last_event_id={}", ids[0]))
        .await;
    gap.event().await;
    fixture.subscribe("").await.rest().await;
    let lines = log_lines(&fixture);
    let logged: Vec<_> = lines
        .iter()
        .map(|line| (&line["event"], &line["reason"]))
        .collect();
    assert_eq!(
        logged,
        [
            (&"stream_gap".into(), &"evicted".into()),
            (&"stream_refused".into(), &"too-many-streams".into()),
        ]
    );
    assert!(lines.iter().all(|line| line["level"] == "warn"));
}

#[tokio::test(start_paused = true)]
async fn failures_that_need_an_operator_are_logged_as_errors() {
    let fixture = Fixture::with(&[("log_level", "error")]);
    fixture.publish("fine").await.event_id();
    assert_eq!(fixture.host.output(), "");
    fixture.store.inject(FaultPlan::always(Fault::ErrorBefore));
    assert_eq!(fixture.publish("lost").await.status, 503);
    let lines = log_lines(&fixture);
    let failed = of(&lines, "commit_failed");
    assert_eq!((failed.len(), lines.len()), (1, 1), "{lines:?}");
    assert_members(
        &failed[0],
        &[("channel", CHANNEL.into()), ("level", "error".into())],
    );
}

#[tokio::test(start_paused = true)]
async fn rejections_and_channel_changes_are_logged_unless_the_log_is_off() {
    let fixture = Fixture::new();
    let headers = [("content-type", "application/json")];
    let bad = authorized_with("POST", "/publish/c", &headers, "{");
    assert_eq!(send(&fixture.host, bad).await.status, 400);
    fixture.publish("one").await.event_id();
    assert_eq!(
        send(&fixture.host, authorized("POST", "/channels/c/close"))
            .await
            .status,
        204
    );
    assert_eq!(
        send(&fixture.host, authorized("DELETE", "/channels/c"))
            .await
            .status,
        204
    );
    let lines = log_lines(&fixture);
    let logged: Vec<_> = lines
        .iter()
        .map(|line| line["event"].as_str().unwrap())
        .collect();
    assert_eq!(logged, ["rejected", "channel_closed", "channel_purged"]);
    assert_members(
        &lines[0],
        &[
            ("reason", "body".into()),
            ("status", 400.into()),
            ("channel", CHANNEL.into()),
        ],
    );

    let quiet = Fixture::with(&[("log_level", "off")]);
    quiet.store.inject(FaultPlan::always(Fault::ErrorBefore));
    assert_eq!(quiet.publish("lost").await.status, 503);
    assert_eq!(quiet.host.output(), "");
}
