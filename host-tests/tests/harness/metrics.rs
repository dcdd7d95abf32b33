//! What `/metrics` says, held against what clients counted.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use runnel_host::store::Fault;
use runnel_host::store::Operation::{Current, Get, Set, Swap};
use tokio::time::sleep;

use crate::answer::Answer;
use crate::site::{CHANNEL, Site, authorized_with, send};
use crate::store::Store;
use crate::subscriber::Subscriber;

/// With counts on, as they are by default.
const COUNTING: (&str, &str) = ("metrics_interval_seconds", "10");

/// Longer than it takes an instance that has nothing to do to write what it has counted.
const WRITTEN: Duration = Duration::from_secs(15);

/// The values of all series.
struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    async fn of(site: &Site) -> Self {
        let request = Request::get("/metrics").header("accept", "application/openmetrics-text");
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let answer = send(&site.host, request).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let text = std::str::from_utf8(&answer.body).unwrap();
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

async fn publish_json(site: &Site, key: &str, data: &str) -> Answer {
    let headers = [
        ("content-type", "application/json"),
        ("idempotency-key", key),
    ];
    let request = authorized_with("POST", "/publish/c", &headers, data);
    send(&site.host, request).await
}

/// Reads a stream to its end: how many bytes it has, and how many events.
async fn read(site: &Site, path: &str) -> (usize, usize) {
    let request = Request::get(path).body(Full::<Bytes>::default()).unwrap();
    let response = site.host.request(request).await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = std::str::from_utf8(&body).unwrap();
    (body.len(), text.matches("data:").count())
}

#[tokio::test(start_paused = true)]
async fn the_metrics_of_many_instances_are_what_clients_counted() {
    let site = Site::with(&[COUNTING]);
    for burst in 0..5 {
        let texts: Vec<_> = (0..40)
            .map(|number| format!("{burst}-{number:02}"))
            .collect();
        let publishes = join_all(texts.iter().map(|text| site.publish(text))).await;
        assert!(publishes.iter().all(|answer| answer.status == 201));
        sleep(Duration::from_secs(3)).await;
    }
    for _ in 0..3 {
        publish_json(&site, "once", "\"once\"").await.id();
    }
    let bad = publish_json(&site, "bad", "{").await;
    assert_eq!(bad.status, 400);
    let forbidden = Request::post("/publish/c").body(Full::<Bytes>::default());
    assert_eq!(send(&site.host, forbidden.unwrap()).await.status, 401);

    let replay = "/events/c?live=false&last_event_id=earliest";
    let streams = join_all((0..30).map(|_| read(&site, replay))).await;
    let (bytes, events) = streams
        .iter()
        .fold((0, 0), |sum, stream| (sum.0 + stream.0, sum.1 + stream.1));
    assert_eq!(events, 30 * 201);
    sleep(WRITTEN).await;
    assert!(site.host.started_instances() > 20);

    let metrics = Metrics::of(&site).await;
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
async fn instances_that_claim_the_same_slots_of_an_empty_store_lose_no_counts() {
    let site = Site::with(&[COUNTING]);
    // Many have read that there is nothing before the first has written, and the store lets all win.
    site.befall(|call| match call.operation {
        Swap if call.key.starts_with("metrics!") => Fault::Hang(Duration::from_millis(300)),
        _ => Fault::None,
    });
    let texts: Vec<_> = (0..40).map(|number| number.to_string()).collect();
    let publishes = join_all(texts.iter().map(|text| site.publish(text))).await;
    assert!(publishes.iter().all(|answer| answer.status == 201));
    assert!(site.host.started_instances() > 20);
    sleep(3 * WRITTEN).await;
    let metrics = Metrics::of(&site).await;
    metrics.assert(&[(r#"runnel_publish_total{outcome="created"}"#, 40)]);
}

#[tokio::test(start_paused = true)]
async fn the_life_of_streams_is_counted_by_its_ends() {
    let site = Site::with(&[
        COUNTING,
        ("max_stream_seconds", "40"),
        ("heartbeat_seconds", "5"),
        ("max_streams", "2"),
    ]);
    site.publish("first").await.id();
    sleep(Duration::from_secs(1)).await;
    let mut ages = site.subscribe("?last_event_id=earliest").await;
    let mut goes = site.subscribe("").await;
    let refused = site.subscribe("").await.rest().await;
    assert_eq!(refused, []);
    assert_eq!(ages.event().await.unwrap().data, "first");
    sleep(Duration::from_secs(2)).await;
    site.publish("second").await.id();
    assert_eq!(ages.event().await.unwrap().data, "second");
    assert_eq!(goes.event().await.unwrap().data, "second");
    drop(goes);
    ages.read_for(Duration::from_secs(21)).await;
    let metrics = Metrics::of(&site).await;
    metrics.assert(&[
        ("runnel_streams_open", 1),
        ("runnel_instances", 1),
        (r#"runnel_streams_ended_total{reason="client_gone"}"#, 1),
        (r#"runnel_rejected_total{reason="too-many-streams"}"#, 1),
    ]);
    let beats = ages.rest_timed(tokio::time::Instant::now()).await;
    assert!(beats.iter().any(|(_, block)| block.is_heartbeat()));
    sleep(WRITTEN).await;
    let metrics = Metrics::of(&site).await;
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
async fn an_instance_writes_once_in_ten_seconds() {
    let site = Site::with(&[COUNTING]);
    site.publish("first").await.id();
    sleep(WRITTEN).await;
    site.take_asked();
    let mut subscriber = Subscriber::open_live(&site.host, CHANNEL).await;
    let metrics = |(_, key): &(_, String)| key.starts_with("metrics!");
    subscriber.silent_for(Duration::from_secs(61)).await;
    let asked: Vec<_> = site.take_asked().into_iter().filter(metrics).collect();
    let calls: Vec<_> = asked.iter().map(|(call, _)| *call).collect();
    let mut expected = vec![Current, Swap];
    expected.extend([Get, Set].repeat(5));
    assert_eq!(calls, expected, "{asked:?}");
    drop(subscriber);
    sleep(WRITTEN).await;
    let site = Site::with(&[COUNTING]);
    for _ in 0..60 {
        site.publish("again").await.id();
        sleep(Duration::from_millis(900)).await;
    }
    let asked: Vec<_> = site.take_asked().into_iter().filter(metrics).collect();
    let writes = asked.iter().filter(|(call, _)| [Swap, Set].contains(call));
    let most = 6 * site.host.started_instances();
    let writes = writes.count() as u64;
    assert!((5..=most).contains(&writes), "{writes} of {most}");
}

#[tokio::test(start_paused = true)]
async fn the_gauges_of_a_vanished_instance_expire_and_its_counts_stay() {
    let first = Site::with(&[COUNTING]);
    let subscriber = Subscriber::open_live(&first.host, CHANNEL).await;
    sleep(Duration::from_secs(12)).await;
    Metrics::of(&first).await.assert(&[
        ("runnel_streams_open", 1),
        ("runnel_streams_opened_total", 1),
    ]);
    // It cannot write any more, as if it had vanished. The other's clock begins where its clock did.
    first.befall(|call| match call.operation {
        Swap | Set => Fault::ErrorBefore,
        _ => Fault::None,
    });
    let second = Site::over(Store::over(first.memory.clone()), &[COUNTING]);
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
async fn counts_outlast_a_store_that_fails_and_one_that_says_so_of_what_it_did() {
    for fault in [Fault::ErrorBefore, Fault::ErrorAfter, Fault::LostAfter] {
        let site = Site::with(&[COUNTING]);
        let mut subscriber = Subscriber::open_live(&site.host, CHANNEL).await;
        site.befall(move |call| match call.operation {
            Swap | Set if call.key.starts_with("metrics!") => fault,
            _ => Fault::None,
        });
        for _ in 0..5 {
            site.publish("event").await.id();
            subscriber.event().await.unwrap();
            sleep(Duration::from_secs(6)).await;
        }
        site.heal();
        for _ in 0..5 {
            site.publish("event").await.id();
            subscriber.event().await.unwrap();
        }
        subscriber.read_for(WRITTEN).await;
        Metrics::of(&site).await.assert(&[
            ("runnel_delivered_events_total", 10),
            ("runnel_streams_opened_total", 1),
            ("runnel_streams_open", 1),
        ]);
    }
}
