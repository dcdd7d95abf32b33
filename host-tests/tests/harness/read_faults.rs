//! A store whose reads fail: subscribers receive everything nevertheless.

use std::time::Duration;

use runnel_host::store::{Fault, FaultPattern, FaultPlan, KeyValue as _, Operation};
use runnel_testing::{CHANNEL, Fixture, data_in_order, numbered_text, publish, split_id};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);

/// The faults that a reader must survive.
const READ_FAULTS: [FaultPattern; 8] = [
    FaultPattern::Once(Fault::ErrorBefore),
    FaultPattern::Once(Fault::ErrorAfter),
    FaultPattern::Once(Fault::StaleRead),
    FaultPattern::Once(Fault::Delay(Duration::from_millis(2_300))),
    FaultPattern::OnceThenDuring(Fault::ErrorBefore, SECOND, Fault::StaleRead),
    FaultPattern::OnceThenDuring(Fault::StaleRead, SECOND, Fault::ErrorBefore),
    FaultPattern::During(Duration::from_secs(5), Fault::ErrorBefore),
    FaultPattern::Always(Fault::Delay(Duration::from_millis(300))),
];

const EVENTS: u64 = 60;
const BYTES: usize = 2_500;

/// Returns a host whose channel has a merged segment and several others, which take several reads.
async fn prepare() -> Fixture {
    let fixture = Fixture::new();
    fixture.publish_numbered(1..=EVENTS, BYTES).await;
    assert!(fixture.store.keys("seg!").len() >= 8);
    sleep(Duration::from_secs(2)).await;
    fixture.store.take_calls();
    fixture
}

fn expected(first: u64, last: u64) -> Vec<String> {
    (first..=last)
        .map(|number| numbered_text(number, BYTES))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_replay_is_exact_whichever_store_read_fails_or_is_stale() {
    let fixture = prepare().await;
    let mut subscriber = fixture.subscribe("?last_event_id=earliest").await;
    let log = subscriber.events(usize::try_from(EVENTS).unwrap()).await;
    let reads = fixture.store.take_calls().len() as u64;
    assert!(reads >= 5, "{reads}");
    drop(subscriber);
    for pattern in READ_FAULTS {
        for nth in 1..=reads + 1 {
            for after in [0, 20, EVENTS] {
                println!("{pattern:?} from read {nth} on, after event {after}");
                sleep(Duration::from_secs(20)).await;
                let cursor = match after {
                    0 => "earliest",
                    seq => &log[usize::try_from(seq - 1).unwrap()].id,
                };
                fixture.store.inject(pattern.from_call(nth));
                let mut subscriber = fixture.subscribe(&format!("?last_event_id={cursor}")).await;
                subscriber.read_opening().await;
                let count = usize::try_from(EVENTS - after).unwrap();
                let events = subscriber.events(count).await;
                let data: Vec<_> = events.iter().map(|event| event.data.clone()).collect();
                assert_eq!(data, expected(after + 1, EVENTS));
                subscriber.assert_idle_for(Duration::from_secs(10)).await;
                assert_eq!(subscriber.control_events, []);
                fixture.store.heal();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_live_stream_is_exact_while_store_reads_keep_failing() {
    let fixture = Fixture::new();
    let mut random = 1_u64;
    fixture.store.inject(FaultPlan::new(move |call| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        match ((random >> 33) % 8, call.operation) {
            (0, Operation::Get) => Fault::ErrorBefore,
            (1, Operation::Get) => Fault::StaleRead,
            (2, Operation::Get) => Fault::Delay(Duration::from_millis(90)),
            (3, Operation::Get) => Fault::ErrorAfter,
            _ => Fault::None,
        }
    }));
    let publisher = tokio::spawn({
        let host = fixture.host.clone();
        async move {
            for number in 1..=300 {
                publish(&host, CHANNEL, &numbered_text(number, 1_000))
                    .await
                    .event_id();
                sleep(Duration::from_millis(number * 7 % 100)).await;
            }
        }
    });
    let mut subscriber = fixture.subscribe("?last_event_id=earliest").await;
    let events = subscriber.events(300).await;
    publisher.await.unwrap();
    let expected: Vec<_> = (1..=300)
        .map(|number| numbered_text(number, 1_000))
        .collect();
    assert_eq!(data_in_order(events), expected);
    assert_eq!(subscriber.control_events, []);
}

#[tokio::test(start_paused = true)]
async fn a_segment_deleted_during_a_slow_replay_is_reported_as_a_gap() {
    let patient = ("write_timeout_seconds", "3600");
    let fixture = Fixture::with(&[("retention_events", "20"), patient]);
    fixture.publish_numbered(1..=100, BYTES).await;
    let oldest = fixture.log().await[0].seq();
    let mut subscriber = fixture.subscribe("?last_event_id=earliest").await;
    let mut last = subscriber.event().await.unwrap();
    assert_eq!(last.seq(), oldest);
    // The subscriber stops reading. Meanwhile events are published, and dropped segments deleted.
    sleep(Duration::from_secs(1)).await;
    for first in [101, 201] {
        fixture.publish_numbered(first..=first + 99, BYTES).await;
        sleep(Duration::from_secs(70)).await;
    }
    let mut gaps = 0;
    while last.seq() < 300 {
        let event = subscriber.event().await.unwrap();
        assert_eq!(event.data, numbered_text(event.seq(), BYTES));
        // Each gap starts at the position of the client, or at the end of the previous gap.
        let mut next = last.seq() + 1;
        for gap in std::mem::take(&mut subscriber.control_events) {
            gaps += 1;
            assert_eq!(gap.name.as_deref(), Some("runnel.gap"));
            let details: serde_json::Value = serde_json::from_str(&gap.data).unwrap();
            assert_eq!(details["reason"], "evicted");
            assert_eq!(split_id(details["requested"].as_str().unwrap()).1, next - 1);
            let resumed_from = split_id(details["resumed_from"].as_str().unwrap()).1;
            assert!(resumed_from > next);
            assert_eq!(gap.seq(), resumed_from - 1);
            next = resumed_from;
        }
        assert_eq!(event.seq(), next);
        last = event;
    }
    assert!((1..=2).contains(&gaps), "{gaps}");
}

#[tokio::test(start_paused = true)]
async fn a_lost_or_corrupt_segment_is_reported_as_a_gap() {
    for damaged in [None, Some(b"S\x01junk")] {
        let fixture = prepare().await;
        let segments = fixture.store.segments_in_use();
        let [.., (from, key), (to, _)] = &segments[..] else {
            panic!("{segments:?}")
        };
        let (from, to) = (*from, *to);
        let memory = &fixture.store.memory;
        match damaged {
            None => memory.delete(key).await.unwrap(),
            Some(bytes) => memory.set(key, bytes).await.unwrap(),
        }
        let mut subscriber = fixture.subscribe("?last_event_id=earliest").await;
        let count = usize::try_from(EVENTS - (to - from)).unwrap();
        let seqs: Vec<_> = subscriber
            .events(count)
            .await
            .iter()
            .map(|e| e.seq())
            .collect();
        assert_eq!(seqs, (1..from).chain(to..=EVENTS).collect::<Vec<_>>());
        assert_eq!(subscriber.control_events.len(), 1);
        let gap: serde_json::Value =
            serde_json::from_str(&subscriber.control_events[0].data).unwrap();
        assert_eq!(gap["reason"], "evicted");
    }
}
