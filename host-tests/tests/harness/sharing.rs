//! The streams of an instance share store reads, and none of them depends on another.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use runnel_host::store::{Fault, FaultPlan};
use runnel_testing::{Event, Fixture, Subscriber, authorized_with, numbered_text, send};
use tokio::time::sleep;

/// The delay of a store over a network.
const NETWORK_DELAY: Duration = Duration::from_millis(7);

fn delay_calls(fixture: &Fixture) {
    let delay = Fault::Delay(NETWORK_DELAY);
    fixture.store.inject(FaultPlan::always(delay));
}

/// Counts the store reads of live streams while 60 events of 2 000 bytes are published.
async fn reads_of_live(streams: usize, query: &str) -> u64 {
    let fixture = Fixture::new();
    fixture.publish("first").await.event_id();
    delay_calls(&fixture);
    let mut subscribers = vec![];
    for _ in 0..streams {
        let mut subscriber = fixture.subscribe(query).await;
        subscriber.read_first_comment().await;
        subscribers.push(subscriber);
    }
    let all = subscribers
        .iter_mut()
        .map(|s| s.read_for(Duration::from_secs(40)));
    join_all(all).await;
    let before = fixture.store.reads("");
    let reading = subscribers.iter_mut().map(|s| s.events(60));
    let (ids, read) = futures::join!(fixture.publish_numbered(1..=60, 2_000), join_all(reading));
    for events in read {
        let read: Vec<_> = events.into_iter().map(|event| event.seq()).collect();
        assert_eq!(read, (2..=61).collect::<Vec<_>>());
    }
    assert_eq!(ids.len(), 60);
    assert_eq!(
        fixture.host.live_instances(),
        2,
        "one for the streams and one for the publisher"
    );
    fixture.store.reads("") - before
}

#[tokio::test(start_paused = true)]
async fn a_hundred_live_streams_make_as_many_store_reads_as_one() {
    for query in ["", "?event=message"] {
        let (one, hundred) = (
            reads_of_live(1, query).await,
            reads_of_live(100, query).await,
        );
        println!("{query:?}: 1 stream makes {one} reads, 100 make {hundred}");
        assert!(one > 20, "{one}");
        assert!(
            hundred <= one + one / 10,
            "{hundred} reads instead of {one}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_replays_read_each_segment_once() {
    let fixture = Fixture::new();
    fixture.publish_numbered(1..=200, 2_000).await;
    sleep(Duration::from_secs(2)).await;
    let segments = fixture.store.segments_in_use().len() as u64;
    assert!(segments > 5);
    delay_calls(&fixture);
    let before = fixture.store.reads("seg!");
    let mut subscribers = vec![];
    for _ in 0..50 {
        subscribers.push(
            fixture
                .subscribe("?last_event_id=earliest&live=false")
                .await,
        );
    }
    assert_eq!(fixture.host.live_instances(), 1);
    for events in join_all(subscribers.into_iter().map(Subscriber::rest)).await {
        assert_eq!(events.len(), 200);
    }
    assert_eq!(fixture.store.reads("seg!") - before, segments);
}

/// Live streams of all kinds that remain connected while others disconnect.
struct Remaining(Vec<Subscriber>);

impl Remaining {
    async fn open(fixture: &Fixture) -> Self {
        let mut remaining = vec![];
        for path in [
            "/events/c",
            "/events/c?event=message",
            "/events?channel=c&channel=other",
        ] {
            let mut subscriber = Subscriber::get(&fixture.host, path).await;
            subscriber.read_opening().await;
            remaining.push(subscriber);
        }
        Self(remaining)
    }

    /// Asserts that each of them receives these events next.
    async fn assert_receive(&mut self, data: &[String]) {
        for subscriber in &mut self.0 {
            let events: Vec<Event> = subscriber.events(data.len()).await;
            let received: Vec<_> = events.iter().map(|event| &event.data).collect();
            assert_eq!(received, data.iter().collect::<Vec<_>>());
        }
    }
}

/// Opens a stream and disconnects it after `millis`. By then it may be polling or reading for the others,
/// or waiting for a read of theirs.
async fn open_and_disconnect(fixture: &Fixture, query: &str, millis: u64, reads: bool) {
    let lifetime = Duration::from_millis(millis);
    let stay = async {
        let mut subscriber = fixture.subscribe(query).await;
        while reads && subscriber.chunk().await.is_some() {}
        std::future::pending::<()>().await;
    };
    assert!(tokio::time::timeout(lifetime, stay).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_disconnects_at_any_point_does_not_disturb_the_others() {
    let fixture = Fixture::new();
    let old = 40;
    fixture.publish_numbered(1..=old, 4_000).await;
    delay_calls(&fixture);
    let mut number = old;
    // The first idle stream of an instance polls for the others. So in every other iteration, one that
    // disconnects opens before them.
    for millis in (0..120).step_by(3) {
        for query in ["", "?last_event_id=earliest", "?last=30&event=message"] {
            let first = match millis % 2 {
                0 => Some(fixture.subscribe(query).await),
                _ => None,
            };
            // Events of the millisecond in which a stream opens are new to it.
            sleep(Duration::from_millis(1)).await;
            let mut remaining = Remaining::open(&fixture).await;
            for reads in [true, false] {
                open_and_disconnect(&fixture, query, millis, reads).await;
            }
            drop(first);
            let mut data = vec![];
            for _ in 0..2 {
                number += 1;
                data.push(numbered_text(number, 4_000));
                fixture
                    .publish(&numbered_text(number, 4_000))
                    .await
                    .event_id();
                open_and_disconnect(&fixture, query, millis % 10, true).await;
            }
            remaining.assert_receive(&data).await;
        }
    }
    fixture.store.heal();
    let all = fixture
        .log_data()
        .await
        .into_iter()
        .collect::<BTreeSet<_>>();
    assert_eq!(all.len() as u64, number);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(fixture.host.live_instances(), 0, "all instances have ended");
}

#[tokio::test(start_paused = true)]
async fn streams_of_an_instance_that_accepts_no_more_requests_continue() {
    let fixture = Fixture::with(&[("max_stream_seconds", "3600")]);
    fixture.publish("first").await.event_id();
    sleep(Duration::from_secs(5)).await;
    let started = fixture.host.started_instances();
    let mut remaining = Remaining::open(&fixture).await;
    // An instance serves 128 requests.
    for _ in 0..300 {
        assert_eq!(fixture.log().await.len(), 1);
    }
    let instances = fixture.host.started_instances() - started;
    assert!(instances >= 3, "{instances} instances served 303 requests");
    let mut late = Remaining::open(&fixture).await;
    let time = Duration::from_secs(600);
    let all = remaining.0.iter_mut().chain(&mut late.0);
    join_all(all.map(|subscriber| subscriber.read_for(time))).await;
    assert_eq!(
        fixture.host.live_instances(),
        2,
        "the full one still serves its streams"
    );
    fixture.publish("second").await.event_id();
    remaining.assert_receive(&["second".to_owned()]).await;
    late.assert_receive(&["second".to_owned()]).await;
    drop((remaining, late));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(fixture.host.live_instances(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_uses_constant_memory() {
    let fixture = Fixture::new();
    let (megabyte, batch) = (1_000_000, 60_000);
    let publish = async |bytes: usize| {
        let line = format!("{{\"data\":\"{:.<2000}\"}}\n", "");
        let body = line.repeat(batch / 2_000);
        for _ in 0..bytes / batch {
            let headers = [("content-type", "application/x-ndjson")];
            let request = authorized_with("POST", "/publish/c", &headers, &body);
            send(&fixture.host, request).await.event_id();
        }
        sleep(Duration::from_secs(5)).await;
        fixture.host.live_memory()
    };
    publish(megabyte).await;
    let mut subscribers = vec![];
    for query in ["", "?last_event_id=earliest", "?event=message"] {
        let mut subscriber = fixture.subscribe(query).await;
        subscriber.read_opening().await;
        subscribers.push(subscriber);
    }
    // By then every buffer is full: that of the host, and two chunks of each stream.
    let early = publish(2 * megabyte).await;
    let late = publish(100 * megabyte).await;
    println!("3 streams: {early} bytes of memory after 2 MB, {late} after 102 MB");
    assert!(early > 1_000_000, "the instance is alive: {early}");
    assert_eq!(late, early);
    // Each stream continues after a gap.
    for subscriber in &mut subscribers {
        let event = subscriber.event().await.unwrap();
        assert_eq!(event.data.len(), 2_000);
    }
}
