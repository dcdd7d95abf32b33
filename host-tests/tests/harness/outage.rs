//! A store that fails completely, for a while or for good.

use std::time::Duration;

use runnel_host::store::{Fault, FaultPlan};
use runnel_testing::{CHANNEL, Fixture, Subscriber, authorized, publish, send};
use tokio::time::{Instant, sleep};

const PATIENT: [(&str, &str); 3] = [
    ("heartbeat_seconds", "4"),
    ("store_patience_seconds", "30"),
    ("retry_ms", "1000"),
];

/// The ways in which a store fails completely.
const OUTAGES: [Fault; 2] = [
    Fault::ErrorBefore,
    Fault::Delay(Duration::from_secs(1_000_000)),
];

/// Asserts that the stream stays open for `store_patience_seconds`, and ends with a longer reconnection
/// time.
async fn assert_ends_after_patience(subscriber: &mut Subscriber, outage: Instant) {
    let frames = subscriber.rest_timed(outage).await;
    let (end, last) = frames.last().unwrap();
    assert!((30..=36).contains(&end.as_secs()), "{end:?}");
    assert_eq!(last.name.as_deref(), Some("runnel.reconnect"), "{last:?}");
    assert!(
        last.data.as_ref().unwrap().contains("\"store\""),
        "{last:?}"
    );
    let retry = last.retry.unwrap();
    assert!((8_000..=16_000).contains(&retry), "{retry}");
    let heartbeats = frames.iter().filter(|(_, frame)| frame.is_heartbeat());
    assert!((6..=8).contains(&heartbeats.count()), "{frames:?}");
    let with_data = frames.iter().filter(|(_, frame)| frame.data.is_some());
    assert_eq!(with_data.count(), 1, "{frames:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_over_a_dead_store_sends_heartbeats_until_patience_ends() {
    for fault in OUTAGES {
        for query in [
            "",
            "?last=5",
            "?last_event_id=earliest",
            "?last_event_id=000000-7",
        ] {
            println!("{fault:?} {query}");
            let fixture = Fixture::with(&PATIENT);
            fixture.store.inject(FaultPlan::always(fault));
            let start = Instant::now();
            let mut subscriber = fixture.subscribe(query).await;
            assert_eq!(subscriber.status, 200);
            let retry = subscriber.read_opening().await.retry.unwrap();
            assert!(
                start.elapsed() <= Duration::from_secs(1),
                "it waits for no store"
            );
            assert!((1_000..=2_000).contains(&retry), "{retry}");
            assert_ends_after_patience(&mut subscriber, start).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_live_stream_survives_a_short_outage_and_ends_in_a_long_one() {
    for fault in OUTAGES {
        let fixture = Fixture::with(&PATIENT);
        let mut subscriber = Subscriber::open_live(&fixture.host, CHANNEL).await;
        fixture.publish("before").await.event_id();
        assert_eq!(subscriber.event().await.unwrap().data, "before");

        if fault == Fault::ErrorBefore {
            fixture.store.inject(FaultPlan::always(fault));
            subscriber.assert_idle_for(Duration::from_secs(20)).await;
            fixture.store.heal();
            fixture.publish("between").await.event_id();
            let healed = Instant::now();
            assert_eq!(subscriber.event().await.unwrap().data, "between");
            assert!(
                healed.elapsed() <= Duration::from_secs(6),
                "{:?}",
                healed.elapsed()
            );
        }
        fixture.store.inject(FaultPlan::always(fault));
        assert_ends_after_patience(&mut subscriber, Instant::now()).await;
        fixture.store.heal();
        assert_eq!(fixture.log().await[0].data, "before");
    }
}

#[tokio::test(start_paused = true)]
async fn a_publisher_gets_a_503_with_retry_after_while_the_store_fails() {
    let fixture = Fixture::new();
    fixture.publish("before").await.event_id();
    fixture.store.inject(FaultPlan::always(Fault::ErrorBefore));
    for (method, path) in [
        ("POST", "/channels/c/close"),
        ("DELETE", "/channels/c"),
        ("GET", "/channels/c"),
        ("GET", "/health"),
    ] {
        let start = Instant::now();
        let response = send(&fixture.host, authorized(method, path)).await;
        let context = format!("{method} {path}: {response:?}");
        assert_eq!(response.status, 503, "{context}");
        assert_eq!(
            response.problem_type(),
            "urn:runnel:problem:store",
            "{context}"
        );
        assert!(response.retry_after() > 0, "{context}");
        assert!(start.elapsed() < Duration::from_secs(7), "{context}");
    }
    for channel in [CHANNEL, "new"] {
        let response = publish(&fixture.host, channel, "lost").await;
        assert_eq!(response.status, 503);
        assert_eq!(response.problem_type(), "urn:runnel:problem:store");
        assert!(response.retry_after() > 0);
    }
    fixture.store.heal();
    sleep(Duration::from_secs(10)).await;
    fixture.publish("after").await.event_id();
    assert_eq!(fixture.log_data().await, ["before", "after"]);
    assert!(!fixture.is_closed().await);
}
