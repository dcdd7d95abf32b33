//! Nothing beyond retention is served, whatever the store still has.

use std::time::Duration;

use runnel_testing::{
    Event, Fixture, Subscriber, authorized, authorized_with, publish, send, split_id,
};
use serde_json::{Value, json};
use tokio::time::sleep;

/// Returns the state of the channel.
async fn state(fixture: &Fixture) -> Value {
    let response = send(&fixture.host, authorized("GET", "/channels/c")).await;
    assert_eq!(response.status, 200, "{response:?}");
    response.json()
}

/// Returns a page of the channel.
async fn page(fixture: &Fixture, query: &str) -> Value {
    let path = format!("/events/c{query}");
    let headers = [("accept", "application/json")];
    let response = send(&fixture.host, authorized_with("GET", &path, &headers, "")).await;
    assert_eq!(response.status, 200, "{response:?}");
    response.json()
}

/// Reads up to the next gap. Returns its data, and the event before it.
async fn gap(stream: &mut Subscriber) -> (Value, Option<Event>) {
    let mut last = None;
    loop {
        let event = stream.frame().await.unwrap().event();
        match event {
            Some(event) if event.name.as_deref() == Some("runnel.gap") => {
                return (serde_json::from_str(&event.data).unwrap(), last);
            }
            Some(event) if !event.is_control_event() => last = Some(event),
            _ => {}
        }
    }
}

/// Returns the seqs of the events that a new subscriber gets.
async fn served(fixture: &Fixture, query: &str) -> Vec<u64> {
    let events = fixture.subscribe(query).await.rest().await;
    events.iter().map(|event| split_id(&event.id).1).collect()
}

#[tokio::test(start_paused = true)]
async fn an_idle_channel_serves_nothing_that_is_older_than_retention_seconds() {
    let fixture = Fixture::with(&[("retention_seconds", "1")]);
    let ids = fixture.publish_numbered(1..=3, 10).await;
    let mut live = fixture.subscribe("?last_event_id=earliest").await;
    assert_eq!(live.event().await.unwrap().id, ids[0]);
    assert_eq!(
        served(&fixture, "?last_event_id=earliest&live=false").await,
        [1, 2, 3]
    );
    sleep(Duration::from_secs(3)).await;
    for query in ["?last_event_id=earliest&live=false", "?last=2&live=false"] {
        assert_eq!(fixture.subscribe(query).await.status, 204, "{query}");
    }
    assert_eq!(page(&fixture, "?last=3").await["events"], json!([]));
    let now = state(&fixture).await;
    assert_eq!((&now["first"], &now["last"]), (&Value::Null, &Value::Null));
    assert_eq!((&now["count"], &now["bytes"]), (&json!(0), &json!(0)));
    assert_eq!(fixture.store.keys("head!").len(), 1, "the store has them");

    let (epoch, _) = split_id(&ids[0]);
    let resumed = page(&fixture, &format!("?last_event_id={}", ids[0])).await;
    let gap = json!([{
        "channel": "c",
        "reason": "evicted",
        "requested": ids[0],
        "resumed_from": format!("{epoch}-4"),
    }]);
    assert_eq!(
        (&resumed["gaps"], &resumed["cursor"]),
        (&gap, &json!(ids[2]))
    );
    fixture.publish("new").await.event_id();
    assert_eq!(
        served(&fixture, "?last_event_id=earliest&live=false").await,
        [4]
    );
    assert_eq!(state(&fixture).await["count"], 1);
}

#[tokio::test(start_paused = true)]
async fn exactly_the_newest_retention_events_are_served() {
    let fixture = Fixture::with(&[("retention_events", "2")]);
    let ids = fixture.publish_numbered(1..=5, 10).await;
    assert_eq!(
        served(&fixture, "?last_event_id=earliest&live=false").await,
        [4, 5]
    );
    assert_eq!(served(&fixture, "?last=4&live=false").await, [4, 5]);
    let now = state(&fixture).await;
    assert_eq!(
        (&now["first"], &now["last"]),
        (&json!(ids[3]), &json!(ids[4]))
    );
    assert_eq!(now["count"], 2);
    let mut stream = fixture
        .subscribe(&format!("?last_event_id={}", ids[1]))
        .await;
    let (gap, before) = gap(&mut stream).await;
    assert_eq!((&gap["resumed_from"], before), (&json!(ids[3]), None));
    assert_eq!(stream.event().await.unwrap().id, ids[3]);
}

#[tokio::test(start_paused = true)]
async fn exactly_the_events_that_are_followed_by_fewer_than_retention_bytes_are_served() {
    let everything = Fixture::new();
    let fixture = Fixture::with(&[("retention_bytes", "65536")]);
    for fixture in [&everything, &fixture] {
        fixture.publish_numbered(1..=100, 1_000).await;
    }
    let all = state(&everything).await;
    let record = all["bytes"].as_u64().unwrap() / 100;
    let kept = 65_536_u64.div_ceil(record);
    let now = state(&fixture).await;
    assert_eq!(now["count"], json!(kept));
    assert!(
        now["bytes"].as_u64().unwrap().abs_diff(kept * record) < 100,
        "{now}"
    );
    let events = served(&fixture, "?last_event_id=earliest&live=false").await;
    assert_eq!(events, (101 - kept..=100).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn the_state_of_a_channel_is_that_of_its_streams_to_the_event() {
    let fixture = Fixture::with(&[("retention_seconds", "20")]);
    for number in 1..=60 {
        fixture.publish_numbered(number..=number, 2_000).await;
        sleep(Duration::from_secs(1)).await;
    }
    assert!(fixture.store.keys("seg!").len() > 2);
    for _ in 0..25 {
        sleep(Duration::from_millis(900)).await;
        fixture.store.take_calls();
        let state = state(&fixture).await;
        assert!(
            fixture.store.take_calls().len() <= 2,
            "the head and a segment"
        );
        let log = fixture.log().await;
        assert_eq!(state["count"], json!(log.len()));
        let first = log.first().map(|event| &event.id);
        assert_eq!(state["first"], json!(first));
        let bytes = state["bytes"].as_u64().unwrap();
        let data: usize = log.iter().map(|event| event.data.len()).sum();
        assert!(
            bytes.abs_diff(data as u64) <= 20 * log.len() as u64,
            "{state}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_gets_a_gap_instead_of_events_that_are_too_old() {
    let fixture = Fixture::with(&[
        ("retention_seconds", "60"),
        ("write_timeout_seconds", "300"),
    ]);
    fixture.publish_numbered(1..=200, 4_000).await;
    let mut slow = fixture.subscribe("?last_event_id=earliest").await;
    assert_eq!(slow.event().await.unwrap().seq(), 1);
    sleep(Duration::from_secs(61)).await;
    fixture.publish("new").await.event_id();
    // Until then, the host had taken some chunks ahead of its client.
    let (gap, last) = gap(&mut slow).await;
    let last = last.unwrap();
    assert!(last.seq() < 100, "{last:?}");
    assert_eq!(gap["requested"], json!(last.id));
    let resumed_from = format!("{}-201", last.epoch());
    assert_eq!(gap["resumed_from"], json!(resumed_from));
    assert_eq!(slow.event().await.unwrap().seq(), 201);
}

#[tokio::test(start_paused = true)]
async fn a_stream_over_several_channels_applies_retention_to_each() {
    let fixture = Fixture::with(&[("retention_events", "2")]);
    for channel in ["a", "b"] {
        for number in 1..=3 {
            let data = format!("{channel}{number}");
            publish(&fixture.host, channel, &data).await.event_id();
        }
    }
    let query = "/events?channel=a&channel=b&last_event_id=earliest&live=false";
    let mut stream = Subscriber::get(&fixture.host, query).await;
    let mut data = vec![];
    while let Some(event) = stream.event().await {
        data.push(event.data);
    }
    data.sort();
    assert_eq!(data, ["a2", "a3", "b2", "b3"]);
}

#[tokio::test(start_paused = true)]
async fn a_page_is_not_cached_for_longer_than_its_events_are_kept() {
    for (seconds, expected) in [
        ("0", "private, max-age=60"),
        ("3600", "private, max-age=60"),
        ("10", "private, max-age=7"),
        ("3", "private, no-cache"),
    ] {
        let fixture = Fixture::with(&[("retention_seconds", seconds)]);
        let ids = fixture.publish_numbered(1..=5, 10).await;
        sleep(Duration::from_millis(2_500)).await;
        let path = format!("/events/c?limit=2&last_event_id={}", ids[0]);
        let headers = [("accept", "application/json")];
        let request = authorized_with("GET", &path, &headers, "");
        let response = send(&fixture.host, request).await;
        assert_eq!(
            response.header("cache-control"),
            Some(expected),
            "{seconds}"
        );
    }
}
