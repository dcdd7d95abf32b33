//! `/metrics`, compared with the counts of clients.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use runnel_host::store::Operation::{Current, Get, Set, Swap};
use runnel_host::store::{Fault, FaultPlan};
use runnel_testing::{CHANNEL, Fixture, Response, Subscriber, TestStore, authorized_with, send};
use tokio::time::sleep;

/// Turns metrics on, as by default.
const METRICS_ON: (&str, &str) = ("metrics_interval_seconds", "10");

/// Longer than an idle instance takes to write its metrics.
const WRITE_DELAY: Duration = Duration::from_secs(15);

/// The values of all series, by name and labels.
struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    async fn of(fixture: &Fixture) -> Self {
        let request = Request::get("/metrics").header("accept", "application/openmetrics-text");
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let response = send(&fixture.host, request).await;
        assert_eq!(response.status, 200, "{response:?}");
        let text = std::str::from_utf8(&response.body).unwrap();
        assert!(text.ends_with("# EOF\n"));
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let values = lines.map(|line| line.rsplit_once(' ').unwrap());
        let values = values.map(|(name, value)| (name.to_owned(), value.parse().unwrap()));
        Self(values.collect())
    }

    fn get(&self, series: &str) -> f64 {
        *self.0.get(series).unwrap_or_else(|| panic!("no {series}"))
    }

    #[track_caller]
    fn assert(&self, expected: &[(&str, usize)]) {
        for (series, value) in expected {
            assert_eq!(self.get(series), *value as f64, "{series}");
        }
    }
}

async fn publish_json(fixture: &Fixture, key: &str, data: &str) -> Response {
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", key),
    ];
    let request = authorized_with("POST", "/publish/c", &headers, data);
    send(&fixture.host, request).await
}

/// Reads a stream to its end. Returns its number of bytes and of events.
async fn read(fixture: &Fixture, path: &str) -> (usize, usize) {
    let request = Request::get(path).body(Full::<Bytes>::default()).unwrap();
    let response = fixture.host.request(request).await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = std::str::from_utf8(&body).unwrap();
    // Events without a type begin with their data.
    (body.len(), text.matches("\n\ndata: ").count())
}

#[tokio::test(start_paused = true)]
async fn the_metrics_of_many_instances_match_the_counts_of_clients() {
    let fixture = Fixture::with(&[METRICS_ON]);
    for burst in 0..5 {
        let texts: Vec<_> = (0..40)
            .map(|number| format!("{burst}-{number:02}"))
            .collect();
        let publishes = join_all(texts.iter().map(|text| fixture.publish(text))).await;
        assert!(publishes.iter().all(|response| response.status == 201));
        sleep(Duration::from_secs(3)).await;
    }
    for _ in 0..3 {
        publish_json(&fixture, "once", "\"once\"").await.event_id();
    }
    let bad = publish_json(&fixture, "bad", "{").await;
    assert_eq!(bad.status, 400);
    let forbidden = Request::post("/publish/c").body(Full::<Bytes>::default());
    assert_eq!(send(&fixture.host, forbidden.unwrap()).await.status, 401);

    let replay = "/events/c?live=false&last_event_id=earliest";
    let streams = join_all((0..30).map(|_| read(&fixture, replay))).await;
    let (bytes, events) = streams
        .iter()
        .fold((0, 0), |sum, stream| (sum.0 + stream.0, sum.1 + stream.1));
    assert_eq!(events, 30 * 201);
    sleep(WRITE_DELAY).await;
    assert!(fixture.host.started_instances() > 20);

    let metrics = Metrics::of(&fixture).await;
    metrics.assert(&[
        (r#"runnel_publish_total{outcome="created"}"#, 201),
        (r#"runnel_publish_total{outcome="repeated"}"#, 2),
        (r#"runnel_publish_total{outcome="rejected"}"#, 2),
        (r#"runnel_publish_total{outcome="failed"}"#, 0),
        ("runnel_publish_seconds_count", 205),
        (r#"runnel_publish_seconds_bucket{le="+Inf"}"#, 205),
        ("runnel_published_events_total", 201),
        ("runnel_commit_events_sum", 201),
        ("runnel_published_bytes_total", 200 * 4 + 6),
        (r#"runnel_rejected_total{reason="body"}"#, 1),
        (r#"runnel_rejected_total{reason="unauthorized"}"#, 1),
        ("runnel_streams_opened_total", 30),
        (r#"runnel_streams_ended_total{reason="finished"}"#, 30),
        ("runnel_stream_duration_seconds_count", 30),
        ("runnel_streams_open", 0),
        ("runnel_delivered_events_total", events),
        ("runnel_replayed_events_total", events),
        ("runnel_delivered_bytes_total", bytes),
        ("runnel_delivery_lag_seconds_count", 0),
        ("runnel_instances", 0),
    ]);
    let commits = metrics.get("runnel_commit_events_count");
    assert!((1.0..=201.0).contains(&commits), "{commits}");
    let swaps = metrics.get(r#"runnel_store_calls_total{op="cas_swap",outcome="ok"}"#);
    assert!(swaps >= 40.0, "{swaps}");
}

#[tokio::test(start_paused = true)]
async fn instances_that_claim_the_same_metric_slots_lose_no_counts() {
    let fixture = Fixture::with(&[METRICS_ON]);
    // Many instances read before the first one writes, and on a missing key every swap wins.
    fixture.store.inject(FaultPlan::when(
        |call| call.operation == Swap && call.key.starts_with("metrics!"),
        Fault::Delay(Duration::from_millis(300)),
    ));
    let texts: Vec<_> = (0..40).map(|number| number.to_string()).collect();
    let publishes = join_all(texts.iter().map(|text| fixture.publish(text))).await;
    assert!(publishes.iter().all(|response| response.status == 201));
    assert!(fixture.host.started_instances() > 20);
    sleep(3 * WRITE_DELAY).await;
    let metrics = Metrics::of(&fixture).await;
    metrics.assert(&[(r#"runnel_publish_total{outcome="created"}"#, 40)]);
}

#[tokio::test(start_paused = true)]
async fn streams_are_counted_by_the_reason_of_their_end() {
    let fixture = Fixture::with(&[
        METRICS_ON,
        ("max_stream_seconds", "40"),
        ("heartbeat_seconds", "5"),
        ("max_streams", "2"),
    ]);
    fixture.publish("first").await.event_id();
    sleep(Duration::from_secs(1)).await;
    let mut aging = fixture.subscribe("?last_event_id=earliest").await;
    let mut leaving = fixture.subscribe("").await;
    let rejected = fixture.subscribe("").await.rest().await;
    assert_eq!(rejected, []);
    assert_eq!(aging.event().await.unwrap().data, "first");
    sleep(Duration::from_secs(2)).await;
    fixture.publish("second").await.event_id();
    assert_eq!(aging.event().await.unwrap().data, "second");
    assert_eq!(leaving.event().await.unwrap().data, "second");
    drop(leaving);
    aging.read_for(Duration::from_secs(21)).await;
    let metrics = Metrics::of(&fixture).await;
    metrics.assert(&[
        ("runnel_streams_open", 1),
        ("runnel_instances", 1),
        (r#"runnel_streams_ended_total{reason="client_gone"}"#, 1),
        (r#"runnel_rejected_total{reason="too-many-streams"}"#, 1),
    ]);
    let frames = aging.rest_timed(tokio::time::Instant::now()).await;
    assert!(frames.iter().any(|(_, frame)| frame.is_heartbeat()));
    sleep(WRITE_DELAY).await;
    let metrics = Metrics::of(&fixture).await;
    metrics.assert(&[
        ("runnel_streams_open", 0),
        ("runnel_streams_opened_total", 2),
        (r#"runnel_streams_ended_total{reason="age"}"#, 1),
        ("runnel_delivered_events_total", 3),
        ("runnel_replayed_events_total", 1),
        ("runnel_delivery_lag_seconds_count", 2),
    ]);
    assert!(metrics.get("runnel_heartbeats_total") >= 4.0);
    assert!(metrics.get("runnel_delivery_lag_seconds_sum") < 1.0);
}

#[tokio::test(start_paused = true)]
async fn an_instance_writes_its_metrics_once_in_ten_seconds() {
    let fixture = Fixture::with(&[METRICS_ON]);
    fixture.publish("first").await.event_id();
    sleep(WRITE_DELAY).await;
    fixture.store.take_calls();
    let mut subscriber = Subscriber::open_live(&fixture.host, CHANNEL).await;
    let metrics = |(_, key): &(_, String)| key.starts_with("metrics!");
    subscriber.assert_idle_for(Duration::from_secs(61)).await;
    let calls: Vec<_> = fixture
        .store
        .take_calls()
        .into_iter()
        .filter(metrics)
        .collect();
    let operations: Vec<_> = calls.iter().map(|(operation, _)| *operation).collect();
    let mut expected = vec![Current, Swap];
    expected.extend([Get, Set].repeat(5));
    assert_eq!(operations, expected, "{calls:?}");
    drop(subscriber);
    sleep(WRITE_DELAY).await;
    let fixture = Fixture::with(&[METRICS_ON]);
    for _ in 0..60 {
        fixture.publish("again").await.event_id();
        sleep(Duration::from_millis(900)).await;
    }
    let calls: Vec<_> = fixture
        .store
        .take_calls()
        .into_iter()
        .filter(metrics)
        .collect();
    let writes = calls
        .iter()
        .filter(|(operation, _)| [Swap, Set].contains(operation));
    let most = 6 * fixture.host.started_instances();
    let writes = writes.count() as u64;
    assert!((5..=most).contains(&writes), "{writes} of {most}");
}

#[tokio::test(start_paused = true)]
async fn the_gauges_of_a_vanished_instance_expire_and_its_counters_remain() {
    let first = Fixture::with(&[METRICS_ON]);
    let subscriber = Subscriber::open_live(&first.host, CHANNEL).await;
    sleep(Duration::from_secs(12)).await;
    Metrics::of(&first).await.assert(&[
        ("runnel_streams_open", 1),
        ("runnel_streams_opened_total", 1),
    ]);
    // It cannot write any more, as if it had vanished. The other host's clock starts at the same time.
    first.store.inject(FaultPlan::when(
        |call| [Swap, Set].contains(&call.operation),
        Fault::ErrorBefore,
    ));
    let second = Fixture::over(TestStore::with(first.store.memory.clone()), &[METRICS_ON]);
    sleep(Duration::from_secs(35)).await;
    let metrics = Metrics::of(&second).await;
    metrics.assert(&[("runnel_streams_open", 1)]);
    sleep(Duration::from_secs(15)).await;
    let metrics = Metrics::of(&second).await;
    metrics.assert(&[
        ("runnel_streams_open", 0),
        ("runnel_instances", 0),
        ("runnel_streams_opened_total", 1),
    ]);
    drop(subscriber);
}

#[tokio::test(start_paused = true)]
async fn counts_survive_store_errors_before_and_after_the_effect() {
    for fault in [Fault::ErrorBefore, Fault::ErrorAfter, Fault::LostAfter] {
        let fixture = Fixture::with(&[METRICS_ON]);
        let mut subscriber = Subscriber::open_live(&fixture.host, CHANNEL).await;
        fixture.store.inject(FaultPlan::when(
            |call| [Swap, Set].contains(&call.operation) && call.key.starts_with("metrics!"),
            fault,
        ));
        for _ in 0..5 {
            fixture.publish("event").await.event_id();
            subscriber.event().await.unwrap();
            sleep(Duration::from_secs(6)).await;
        }
        fixture.store.heal();
        for _ in 0..5 {
            fixture.publish("event").await.event_id();
            subscriber.event().await.unwrap();
        }
        subscriber.read_for(WRITE_DELAY).await;
        Metrics::of(&fixture).await.assert(&[
            ("runnel_delivered_events_total", 10),
            ("runnel_streams_opened_total", 1),
            ("runnel_streams_open", 1),
        ]);
    }
}
