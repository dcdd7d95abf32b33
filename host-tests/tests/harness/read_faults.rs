//! A store that fails while it is read: subscribers get everything all the same.

use std::time::Duration;

use runnel_host::store::{Fault, Operation};
use tokio::time::sleep;

use crate::block::seq;
use crate::misfortune::Misfortune;
use crate::site::{CHANNEL, Site, data_in_order, publish, text};
use crate::store::Store;

const SECOND: Duration = Duration::from_secs(1);

/// What a reader must come through.
const OF_A_READ: [Misfortune; 8] = [
    Misfortune::Once(Fault::ErrorBefore),
    Misfortune::Once(Fault::ErrorAfter),
    Misfortune::Once(Fault::Stale),
    Misfortune::Once(Fault::Hang(Duration::from_millis(2_300))),
    Misfortune::Then(Fault::ErrorBefore, SECOND, Fault::Stale),
    Misfortune::Then(Fault::Stale, SECOND, Fault::ErrorBefore),
    Misfortune::For(Duration::from_secs(5), Fault::ErrorBefore),
    Misfortune::Always(Fault::Hang(Duration::from_millis(300))),
];

const EVENTS: u64 = 60;
const BYTES: usize = 2_500;

/// A channel whose log has some ten segments, which take several reads.
async fn prepare() -> Site {
    let site = Site::new();
    site.publish_run(1, EVENTS, BYTES).await;
    assert!(site.keys("seg!").len() >= 8);
    sleep(Duration::from_secs(2)).await;
    site.take_asked();
    site
}

fn expected(first: u64, last: u64) -> Vec<String> {
    (first..=last).map(|number| text(number, BYTES)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_replay_is_exact_whichever_read_fails_or_is_stale() {
    let site = prepare().await;
    let mut subscriber = site.subscribe("?last_event_id=earliest").await;
    let log = subscriber.events(usize::try_from(EVENTS).unwrap()).await;
    let reads = site.take_asked().len() as u64;
    assert!(reads >= 9, "{reads}");
    drop(subscriber);
    for misfortune in OF_A_READ {
        for nth in 1..=reads + 1 {
            for after in [0, 20, EVENTS] {
                println!("{misfortune:?} from read {nth} on, after event {after}");
                sleep(Duration::from_secs(20)).await;
                let cursor = match after {
                    0 => "earliest",
                    seq => &log[usize::try_from(seq - 1).unwrap()].id,
                };
                misfortune.begin(&site, nth);
                let mut subscriber = site.subscribe(&format!("?last_event_id={cursor}")).await;
                subscriber.read_opening().await;
                let count = usize::try_from(EVENTS - after).unwrap();
                let events = subscriber.events(count).await;
                let data: Vec<_> = events.iter().map(|event| event.data.clone()).collect();
                assert_eq!(data, expected(after + 1, EVENTS));
                subscriber.silent_for(Duration::from_secs(10)).await;
                assert_eq!(subscriber.signals, []);
                site.heal();
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_live_stream_is_exact_while_reads_fail_and_are_stale_all_the_time() {
    let site = Site::new();
    let mut random = 1_u64;
    site.befall(move |call| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        match ((random >> 33) % 8, call.operation) {
            (0, Operation::Get) => Fault::ErrorBefore,
            (1, Operation::Get) => Fault::Stale,
            (2, Operation::Get) => Fault::Hang(Duration::from_millis(90)),
            (3, Operation::Get) => Fault::ErrorAfter,
            _ => Fault::None,
        }
    });
    let publisher = tokio::spawn({
        let host = site.host.clone();
        async move {
            for number in 1..=300 {
                publish(&host, CHANNEL, &text(number, 1_000)).await.id();
                sleep(Duration::from_millis(number * 7 % 100)).await;
            }
        }
    });
    let mut subscriber = site.subscribe("?last_event_id=earliest").await;
    let events = subscriber.events(300).await;
    publisher.await.unwrap();
    let expected: Vec<_> = (1..=300).map(|number| text(number, 1_000)).collect();
    assert_eq!(data_in_order(events), expected);
    assert_eq!(subscriber.signals, []);
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_retention_deletes_under_a_slow_reader_is_a_gap_and_not_an_end() {
    let patient = ("write_timeout_seconds", "3600");
    let site = Site::with(&[("retention_events", "20"), patient]);
    site.publish_run(1, 100, BYTES).await;
    let oldest = site.log().await[0].seq();
    let mut subscriber = site.subscribe("?last_event_id=earliest").await;
    let mut last = subscriber.event().await.unwrap();
    assert_eq!(last.seq(), oldest);
    // It stops reading. Meanwhile the log moves on, and what was dropped is deleted.
    sleep(Duration::from_secs(1)).await;
    for first in [101, 201] {
        site.publish_run(first, first + 99, BYTES).await;
        sleep(Duration::from_secs(70)).await;
    }
    let mut gaps = 0;
    while last.seq() < 300 {
        let event = subscriber.event().await.unwrap();
        assert_eq!(event.data, text(event.seq(), BYTES));
        // Each gap begins where the client stood, or where the gap before it ended.
        let mut next = last.seq() + 1;
        for gap in std::mem::take(&mut subscriber.signals) {
            gaps += 1;
            assert_eq!(gap.name.as_deref(), Some("runnel.gap"));
            let told: serde_json::Value = serde_json::from_str(&gap.data).unwrap();
            assert_eq!(told["reason"], "evicted");
            assert_eq!(seq(told["requested"].as_str().unwrap()), next - 1);
            let resumed_from = seq(told["resumed_from"].as_str().unwrap());
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
async fn a_segment_that_is_lost_or_corrupt_is_skipped_with_a_gap() {
    let lose: fn(&Store, &str) = |store, key| {
        let memory = store.memory.clone();
        let key = key.to_owned();
        tokio::spawn(async move { runnel_host::store::KeyValue::delete(&*memory, &key).await });
    };
    let corrupt: fn(&Store, &str) = |store, key| {
        let memory = store.memory.clone();
        let key = key.to_owned();
        tokio::spawn(async move {
            runnel_host::store::KeyValue::set(&*memory, &key, b"S\x01junk").await
        });
    };
    for damage in [lose, corrupt] {
        let site = prepare().await;
        let keys = site.keys("seg!");
        let first_of = |key: &String| key.rsplit('!').next().unwrap().parse::<u64>().unwrap();
        let mut firsts: Vec<_> = keys.iter().map(first_of).collect();
        firsts.sort_unstable();
        let (from, to) = (firsts[2], firsts[3]);
        let key = keys.iter().find(|key| first_of(key) == from).unwrap();
        damage(&site, key);
        sleep(Duration::from_millis(1)).await;
        let mut subscriber = site.subscribe("?last_event_id=earliest").await;
        let count = usize::try_from(EVENTS - (to - from)).unwrap();
        let seqs: Vec<_> = subscriber
            .events(count)
            .await
            .iter()
            .map(|e| e.seq())
            .collect();
        assert_eq!(seqs, (1..from).chain(to..=EVENTS).collect::<Vec<_>>());
        assert_eq!(subscriber.signals.len(), 1);
        let gap: serde_json::Value = serde_json::from_str(&subscriber.signals[0].data).unwrap();
        assert_eq!(gap["reason"], "evicted");
    }
}
