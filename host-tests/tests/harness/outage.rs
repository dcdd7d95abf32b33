//! A store that does not work at all, for a while or for good.

use std::time::Duration;

use runnel_host::store::Fault;
use tokio::time::{Instant, sleep};

use crate::site::{CHANNEL, Site, authorized, send};
use crate::subscriber::Subscriber;

const PATIENT: [(&str, &str); 3] = [
    ("heartbeat_seconds", "4"),
    ("store_patience_seconds", "30"),
    ("retry_ms", "1000"),
];

/// The ways in which a store does not work.
const OUTAGES: [Fault; 2] = [
    Fault::ErrorBefore,
    Fault::Hang(Duration::from_secs(1_000_000)),
];

/// The stream lives for as long as the store is waited for, and ends with a longer pause.
async fn assert_patient_end(subscriber: &mut Subscriber, outage: Instant) {
    let blocks = subscriber.rest_timed(outage).await;
    let (end, last) = blocks.last().unwrap();
    assert!((30..=36).contains(&end.as_secs()), "{end:?}");
    assert!(last.comments[0].contains("store"), "{last:?}");
    let retry = blocks.iter().find_map(|(_, block)| block.retry).unwrap();
    assert!((8_000..=16_000).contains(&retry), "{retry}");
    let beats = blocks.iter().filter(|(_, block)| block.is_heartbeat());
    assert!((6..=8).contains(&beats.count()), "{blocks:?}");
    assert!(blocks.iter().all(|(_, block)| block.data.is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_stream_over_a_store_that_never_answers_beats_until_patience_ends() {
    for fault in OUTAGES {
        for query in [
            "",
            "?last=5",
            "?last_event_id=earliest",
            "?last_event_id=000000-7",
        ] {
            println!("{fault:?} {query}");
            let site = Site::with(&PATIENT);
            site.befall(move |_| fault);
            let start = Instant::now();
            let mut subscriber = site.subscribe(query).await;
            assert_eq!(subscriber.status, 200);
            let retry = subscriber.read_opening().await;
            assert!((1_000..=2_000).contains(&retry), "{retry}");
            assert_patient_end(&mut subscriber, start).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_live_stream_survives_a_short_outage_and_ends_in_a_long_one() {
    for fault in OUTAGES {
        let site = Site::with(&PATIENT);
        let mut subscriber = Subscriber::open_live(&site.host, CHANNEL).await;
        site.publish("before").await.id();
        assert_eq!(subscriber.event().await.unwrap().data, "before");

        if fault == Fault::ErrorBefore {
            site.befall(move |_| fault);
            subscriber.silent_for(Duration::from_secs(20)).await;
            site.heal();
            site.publish("between").await.id();
            let healed = Instant::now();
            assert_eq!(subscriber.event().await.unwrap().data, "between");
            assert!(
                healed.elapsed() <= Duration::from_secs(6),
                "{:?}",
                healed.elapsed()
            );
        }
        site.befall(move |_| fault);
        assert_patient_end(&mut subscriber, Instant::now()).await;
        site.heal();
        assert_eq!(site.log().await[0].data, "before");
    }
}

#[tokio::test(start_paused = true)]
async fn a_publisher_is_told_that_the_store_does_not_work_and_when_to_come_back() {
    let site = Site::new();
    site.publish("before").await.id();
    site.befall(|_| Fault::ErrorBefore);
    for (method, path) in [
        ("POST", "/channels/c/close"),
        ("DELETE", "/channels/c"),
        ("GET", "/channels/c"),
        ("GET", "/health"),
    ] {
        let start = Instant::now();
        let answer = send(&site.host, authorized(method, path)).await;
        let shown = format!("{method} {path}: {answer:?}");
        assert_eq!(answer.status, 503, "{shown}");
        assert_eq!(answer.problem(), "urn:runnel:problem:store", "{shown}");
        assert!(
            answer.header("retry-after").parse::<u64>().unwrap() > 0,
            "{shown}"
        );
        assert!(start.elapsed() < Duration::from_secs(7), "{shown}");
    }
    for channel in [CHANNEL, "new"] {
        let answer = crate::site::publish(&site.host, channel, "lost").await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.problem(), "urn:runnel:problem:store");
        assert!(answer.header("retry-after").parse::<u64>().unwrap() > 0);
    }
    site.heal();
    sleep(Duration::from_secs(10)).await;
    site.publish("after").await.id();
    assert_eq!(site.log_data().await, ["before", "after"]);
    assert!(!site.is_closed().await);
}
