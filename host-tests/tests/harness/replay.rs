//! What a subscriber receives: everything after its cursor, once, in order.

use std::time::Duration;

use runnel_host::store::{Fault, Operation};
use tokio::time::sleep;

use crate::block::Event;
use crate::site::{CHANNEL, Site, log, publish, text};
use crate::subscriber::Subscriber;

/// Sizes between nothing and a third of a segment, in no simple rhythm.
fn size(number: u64) -> usize {
    usize::try_from(number * number * 37 % 5_501).unwrap()
}

fn data(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.data.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_replay_after_any_cursor_is_exact() {
    let site = Site::new();
    let mut ids = vec![];
    for number in 1..=60 {
        ids.push(site.publish(&text(number, size(number))).await.id());
    }
    assert!(site.keys("seg!").len() > 3);
    for after in 0..=60 {
        let cursor = match after {
            0 => "earliest".to_owned(),
            _ => ids[after - 1].clone(),
        };
        let query = format!("?live=false&last_event_id={cursor}");
        let replayed = site.subscribe(&query).await.rest().await;
        let got: Vec<_> = replayed.iter().map(|event| &event.id).collect();
        assert_eq!(
            got,
            ids[after..].iter().collect::<Vec<_>>(),
            "after {after}"
        );
        for event in replayed {
            assert_eq!(event.data, text(event.seq(), size(event.seq())));
        }
    }
    for newest in [1, 7, 59, 60, 500] {
        let query = format!("?live=false&last={newest}");
        let replayed = site.subscribe(&query).await.rest().await;
        let expected = &ids[ids.len().saturating_sub(newest)..];
        let got: Vec<_> = replayed.iter().map(|event| &event.id).collect();
        assert_eq!(got, expected.iter().collect::<Vec<_>>(), "last {newest}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_missed_or_repeated_while_events_are_published_during_replay() {
    const BEFORE: u64 = 200;
    const ALL: u64 = 650;
    let site = Site::new();
    let mut ids = vec![];
    for number in 1..=BEFORE {
        ids.push(site.publish(&text(number, size(number))).await.id());
    }
    let publisher = tokio::spawn({
        let host = site.host.clone();
        async move {
            for number in BEFORE + 1..=ALL {
                let answer = publish(&host, CHANNEL, &text(number, size(number))).await;
                assert_eq!(answer.status, 201);
                sleep(Duration::from_millis(number % 4)).await;
            }
        }
    });
    // (the seq of the cursor, how long each chunk is looked at)
    let readers = [(0, 0), (50, 3), (120, 40), (199, 0), (200, 400)];
    let readers = readers.map(|(after, pause)| {
        let host = site.host.clone();
        let cursor = match after {
            0 => "earliest".to_owned(),
            seq => ids[seq - 1].clone(),
        };
        tokio::spawn(async move {
            let query = format!("?last_event_id={cursor}");
            let mut subscriber = Subscriber::open(&host, CHANNEL, &query).await;
            let mut expected = after as u64 + 1;
            while expected <= ALL {
                for event in subscriber.chunk().await.unwrap() {
                    let Some(event) = event.event() else { continue };
                    assert_eq!(event.seq(), expected, "after {cursor}");
                    assert_eq!(event.data, text(expected, size(expected)));
                    expected += 1;
                }
                sleep(Duration::from_millis(pause)).await;
            }
            subscriber.silent_for(Duration::from_secs(20)).await;
        })
    });
    publisher.await.unwrap();
    for reader in readers {
        reader.await.unwrap();
    }
    assert_eq!(log(&site.host, CHANNEL).await.len() as u64, ALL);
}

#[tokio::test(start_paused = true)]
async fn a_live_stream_misses_nothing_between_its_first_byte_and_its_first_read_of_the_log() {
    for (old, new, bytes) in [(0, 30, 1_000), (3, 30, 20), (3, 30, 1_000), (40, 30, 1_000)] {
        let site = Site::new();
        site.publish_run(1, old, bytes).await;
        sleep(Duration::from_millis(10)).await;
        // The first read of the head takes two seconds.
        let mut reads = 0;
        site.befall(move |call| {
            reads += u64::from(call.operation == Operation::Get);
            match call.operation {
                Operation::Get if reads == 1 => Fault::Hang(Duration::from_secs(2)),
                _ => Fault::None,
            }
        });
        let mut subscriber = site.subscribe("").await;
        subscriber.read_opening().await;
        site.publish_run(old + 1, old + new, bytes).await;
        let first = subscriber.event().await.unwrap().seq();
        // If a segment was sealed in the meantime that holds old and new events, it comes whole.
        let is_sealed = !site.keys("seg!").is_empty();
        assert!(
            first == old + 1 || (is_sealed && first <= old + 1),
            "{first}"
        );
        assert!((old + 1 - first) * bytes as u64 <= 16 * 1024);
        for expected in first + 1..=old + new {
            assert_eq!(subscriber.event().await.unwrap().seq(), expected);
        }
        subscriber.silent_for(Duration::from_secs(20)).await;
        assert_eq!(subscriber.signals, []);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_bytes_do_not_wait_for_the_store() {
    let site = Site::new();
    site.publish("old").await.id();
    site.befall(|call| match call.operation {
        Operation::Get => Fault::Hang(Duration::from_secs(5)),
        _ => Fault::None,
    });
    for query in ["", "?last=1", "?last_event_id=earliest"] {
        let start = tokio::time::Instant::now();
        let mut subscriber = site.subscribe(query).await;
        subscriber.read_opening().await;
        assert_eq!(start.elapsed(), Duration::ZERO, "{query:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_live_event_leaves_at_once_as_a_chunk_of_its_own() {
    let site = Site::new();
    let mut subscriber = Subscriber::open_live(&site.host, CHANNEL).await;
    for number in 1..=20 {
        site.publish(&number.to_string()).await.id();
        let published = tokio::time::Instant::now();
        let chunk = subscriber.chunk().await.unwrap();
        assert_eq!(chunk.len(), 1);
        assert_eq!(chunk[0].data.as_deref(), Some(number.to_string().as_str()));
        assert!(
            published.elapsed() <= Duration::from_millis(7),
            "{:?}",
            published.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_closed_channel_ends_its_streams_after_the_last_event() {
    let site = Site::new();
    let ids = site.publish_run(1, 3, 10).await;
    sleep(Duration::from_millis(5)).await;
    let mut early = site.subscribe("?last_event_id=earliest").await;
    let mut live = Subscriber::open_live(&site.host, CHANNEL).await;
    let close = crate::site::authorized("POST", "/channels/c/close");
    assert_eq!(crate::site::send(&site.host, close).await.status, 204);
    assert_eq!(data(&early.events(3).await).len(), 3);
    for subscriber in [&mut early, &mut live] {
        assert_eq!(subscriber.event().await, None);
        let [end] = &subscriber.signals[..] else {
            panic!("{:?}", subscriber.signals)
        };
        assert_eq!(end.name.as_deref(), Some("runnel.end"));
        assert_eq!(end.id, ids[2]);
    }
    let again = site.subscribe(&format!("?last_event_id={}", ids[2])).await;
    assert_eq!(again.status, 204);
}
