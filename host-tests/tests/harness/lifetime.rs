//! One stream over time: its heartbeats, its planned end, its polling interval.

use std::collections::BTreeSet;
use std::time::Duration;

use runnel_testing::{CHANNEL, Fixture, Subscriber, publish};
use tokio::time::{Instant, sleep};

/// Timers have a resolution of 1 ms, and the guest reads its clock in whole milliseconds.
const RESOLUTION: Duration = Duration::from_millis(3);

fn assert_about(time: Duration, expected: Duration) {
    let off = time.abs_diff(expected);
    assert!(off <= RESOLUTION, "{time:?} instead of {expected:?}");
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_is_sent_exactly_after_an_interval_of_silence() {
    for seconds in [2, 15] {
        let interval = Duration::from_secs(seconds);
        let fixture = Fixture::with(&[("heartbeat_seconds", &seconds.to_string())]);
        let mut subscriber = Subscriber::open_live(&fixture.host, CHANNEL).await;
        let mut last = Instant::now();
        for _ in 0..4 {
            let chunk = subscriber.chunk().await.unwrap();
            assert!(chunk.len() == 1 && chunk[0].is_heartbeat(), "{chunk:?}");
            assert_about(last.elapsed(), interval);
            last = Instant::now();
        }
        // Events postpone it.
        for part in [4, 2] {
            sleep(interval / part).await;
            fixture.publish("event").await.event_id();
            assert!(subscriber.chunk().await.unwrap()[0].data.is_some());
            last = Instant::now();
        }
        let chunk = subscriber.chunk().await.unwrap();
        assert!(chunk[0].is_heartbeat(), "{chunk:?}");
        assert_about(last.elapsed(), interval);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_with_events_needs_no_heartbeat() {
    let fixture = Fixture::with(&[("heartbeat_seconds", "2")]);
    let mut subscriber = Subscriber::open_live(&fixture.host, CHANNEL).await;
    for _ in 0..30 {
        sleep(Duration::from_millis(1_000)).await;
        fixture.publish("event").await.event_id();
        assert!(subscriber.frame().await.unwrap().data.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn planned_ends_are_spread_over_the_last_fifth_of_the_maximum_age() {
    let fixture = Fixture::with(&[("max_stream_seconds", "100"), ("retry_ms", "1000")]);
    let start = Instant::now();
    let mut streams = vec![];
    for _ in 0..24 {
        let host = fixture.host.clone();
        streams.push(tokio::spawn(async move {
            let mut subscriber = Subscriber::open(&host, CHANNEL, "").await;
            let retry = subscriber.read_opening().await.retry.unwrap();
            let frames = subscriber.rest_timed(start).await;
            (retry, frames)
        }));
    }
    let (mut ends, mut retries) = (BTreeSet::new(), BTreeSet::new());
    for stream in streams {
        let (retry, frames) = stream.await.unwrap();
        assert!((1_000..=2_000).contains(&retry), "{retry}");
        retries.insert(retry);
        let (end, last) = frames.last().unwrap();
        assert_eq!(last.name.as_deref(), Some("runnel.reconnect"), "{last:?}");
        assert!(last.data.as_ref().unwrap().contains("\"age\""), "{last:?}");
        assert_eq!(
            last.retry,
            Some(retry),
            "a planned end does not delay the reconnect"
        );
        assert!(*end >= Duration::from_secs(80), "{end:?}");
        assert!(*end <= Duration::from_secs(100) + RESOLUTION, "{end:?}");
        ends.insert(end.as_millis());
    }
    assert!(ends.len() >= 20, "{ends:?}");
    assert!(
        ends.last().unwrap() - ends.first().unwrap() > 8_000,
        "{ends:?}"
    );
    assert!(retries.len() >= 15, "{retries:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reconnects_after_each_planned_end_receives_every_event_once() {
    let fixture = Fixture::with(&[("max_stream_seconds", "5")]);
    let publisher = tokio::spawn({
        let host = fixture.host.clone();
        async move {
            for number in 1..=300_u64 {
                publish(&host, CHANNEL, &number.to_string())
                    .await
                    .event_id();
                sleep(Duration::from_millis(117)).await;
            }
        }
    });
    let (mut cursor, mut expected, mut connections) = ("earliest".to_owned(), 1, 0);
    while expected <= 300 {
        connections += 1;
        let mut subscriber = fixture.subscribe(&format!("?last_event_id={cursor}")).await;
        while let Some(event) = subscriber.event().await {
            assert_eq!(event.data, expected.to_string());
            expected += 1;
            cursor = event.id;
        }
        assert_eq!(subscriber.control_events, []);
        sleep(Duration::from_millis(700)).await;
    }
    assert!(connections >= 6, "{connections}");
    publisher.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn polling_is_frequent_after_activity_and_decays_to_twice_a_second() {
    let fixture = Fixture::new();
    let mut subscriber = Subscriber::open_live(&fixture.host, CHANNEL).await;
    let mut reads_in = async |time: Duration| {
        let before = fixture.store.reads("head!c");
        subscriber.read_for(time).await;
        fixture.store.reads("head!c") - before
    };
    reads_in(Duration::from_secs(60)).await;
    let idle = reads_in(Duration::from_secs(20)).await;
    assert!((39..=41).contains(&idle), "{idle} reads in 20 s");

    fixture.publish("news").await.event_id();
    // It may take one idle interval until the event is seen.
    reads_in(Duration::from_millis(501)).await;
    let active = reads_in(Duration::from_millis(200)).await;
    assert!((15..=40).contains(&active), "{active} reads in 200 ms");
    let cooling = reads_in(Duration::from_secs(10)).await;
    assert!((40..=400).contains(&cooling), "{cooling} reads in 10 s");
    reads_in(Duration::from_secs(30)).await;
    let idle = reads_in(Duration::from_secs(20)).await;
    assert!((39..=41).contains(&idle), "{idle} reads in 20 s");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_causes_no_store_reads() {
    let fixture = Fixture::with(&[("write_timeout_seconds", "3600")]);
    fixture.publish_numbered(1..=600, 2_000).await;
    let published = fixture.store.reads("");
    let mut subscriber = fixture.subscribe("?last_event_id=earliest").await;
    subscriber.read_opening().await;
    sleep(Duration::from_secs(60)).await;
    let before = fixture.store.reads("");
    // The client reads nothing, so nothing is read for it.
    sleep(Duration::from_secs(60)).await;
    assert_eq!(fixture.store.reads(""), before);
    // The head, and one merged segment of 96 KiB.
    assert_eq!(before - published, 2, "for a client that reads nothing");
    let events = subscriber.events(600).await;
    assert_eq!(events.last().unwrap().seq(), 600);
}
