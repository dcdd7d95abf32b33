//! A subscriber receives every event after its cursor once, in order.

use std::time::Duration;

use runnel_host::store::{Call, Fault, FaultPlan, Operation};
use runnel_testing::{
    CHANNEL, Event, Fixture, Subscriber, authorized, log, numbered_text, publish, send,
};
use tokio::time::sleep;

/// Returns irregular sizes between nothing and a third of a segment.
fn size(number: u64) -> usize {
    usize::try_from(number * number * 37 % 5_501).unwrap()
}

fn data(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.data.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_replay_after_any_cursor_is_exact() {
    let fixture = Fixture::new();
    let mut ids = vec![];
    for number in 1..=60 {
        ids.push(
            fixture
                .publish(&numbered_text(number, size(number)))
                .await
                .event_id(),
        );
    }
    assert!(fixture.store.keys("seg!").len() > 3);
    for after in 0..=60 {
        let cursor = match after {
            0 => "earliest".to_owned(),
            _ => ids[after - 1].clone(),
        };
        let query = format!("?live=false&last_event_id={cursor}");
        let replayed = fixture.subscribe(&query).await.rest().await;
        let got: Vec<_> = replayed.iter().map(|event| &event.id).collect();
        assert_eq!(
            got,
            ids[after..].iter().collect::<Vec<_>>(),
            "after {after}"
        );
        for event in replayed {
            assert_eq!(event.data, numbered_text(event.seq(), size(event.seq())));
        }
    }
    for newest in [1, 7, 59, 60, 500] {
        let query = format!("?live=false&last={newest}");
        let replayed = fixture.subscribe(&query).await.rest().await;
        let expected = &ids[ids.len().saturating_sub(newest)..];
        let got: Vec<_> = replayed.iter().map(|event| &event.id).collect();
        assert_eq!(got, expected.iter().collect::<Vec<_>>(), "last {newest}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_event_is_missed_or_repeated_while_others_are_published_during_replay() {
    const BEFORE: u64 = 200;
    const ALL: u64 = 650;
    let fixture = Fixture::new();
    let mut ids = vec![];
    for number in 1..=BEFORE {
        ids.push(
            fixture
                .publish(&numbered_text(number, size(number)))
                .await
                .event_id(),
        );
    }
    let publisher = tokio::spawn({
        let host = fixture.host.clone();
        async move {
            for number in BEFORE + 1..=ALL {
                let response = publish(&host, CHANNEL, &numbered_text(number, size(number))).await;
                assert_eq!(response.status, 201);
                sleep(Duration::from_millis(number % 4)).await;
            }
        }
    });
    // The seq of the cursor, and the pause after each chunk in milliseconds.
    let readers = [(0, 0), (50, 3), (120, 40), (199, 0), (200, 400)];
    let readers = readers.map(|(after, pause)| {
        let host = fixture.host.clone();
        let cursor = match after {
            0 => "earliest".to_owned(),
            seq => ids[seq - 1].clone(),
        };
        tokio::spawn(async move {
            let query = format!("?last_event_id={cursor}");
            let mut subscriber = Subscriber::open(&host, CHANNEL, &query).await;
            let mut expected = after as u64 + 1;
            while expected <= ALL {
                for frame in subscriber.chunk().await.unwrap() {
                    let event = frame.event().filter(|event| !event.is_bookkeeping());
                    let Some(event) = event else { continue };
                    assert_eq!(event.seq(), expected, "after {cursor}");
                    assert_eq!(event.data, numbered_text(expected, size(expected)));
                    expected += 1;
                }
                sleep(Duration::from_millis(pause)).await;
            }
            subscriber.assert_idle_for(Duration::from_secs(20)).await;
        })
    });
    publisher.await.unwrap();
    for reader in readers {
        reader.await.unwrap();
    }
    assert_eq!(log(&fixture.host, CHANNEL).await.len() as u64, ALL);
}

#[tokio::test(start_paused = true)]
async fn a_live_stream_misses_no_event_between_its_first_byte_and_its_first_store_read() {
    for (old, new, bytes) in [(0, 30, 1_000), (3, 30, 20), (3, 30, 1_000), (40, 30, 1_000)] {
        let fixture = Fixture::new();
        fixture.publish_numbered(1..=old, bytes).await;
        sleep(Duration::from_millis(10)).await;
        // The first read of the head takes two seconds.
        let mut reads = 0;
        let is_first_read = move |call: &Call<'_>| {
            let is_read = call.operation == Operation::Get;
            reads += u64::from(is_read);
            is_read && reads == 1
        };
        let delay = Fault::Delay(Duration::from_secs(2));
        fixture.store.inject(FaultPlan::when(is_first_read, delay));
        let mut subscriber = fixture.subscribe("").await;
        subscriber.read_first_comment().await;
        fixture.publish_numbered(old + 1..=old + new, bytes).await;
        let first = subscriber.event().await.unwrap().seq();
        // A segment sealed in the meantime with old and new events is delivered completely.
        let is_sealed = !fixture.store.keys("seg!").is_empty();
        assert!(
            first == old + 1 || (is_sealed && first <= old + 1),
            "{first}"
        );
        assert!((old + 1 - first) * bytes as u64 <= 16 * 1024);
        for expected in first + 1..=old + new {
            assert_eq!(subscriber.event().await.unwrap().seq(), expected);
        }
        subscriber.assert_idle_for(Duration::from_secs(20)).await;
        assert_eq!(subscriber.control_events, []);
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_bytes_do_not_wait_for_the_store() {
    let fixture = Fixture::new();
    fixture.publish("old").await.event_id();
    fixture.store.inject(FaultPlan::when(
        |call| call.operation == Operation::Get,
        Fault::Delay(Duration::from_secs(5)),
    ));
    for query in ["", "?last=1", "?last_event_id=earliest"] {
        let start = tokio::time::Instant::now();
        let mut subscriber = fixture.subscribe(query).await;
        subscriber.read_first_comment().await;
        assert_eq!(start.elapsed(), Duration::ZERO, "{query:?}");
        let open = subscriber.read_open_event().await;
        assert_eq!((start.elapsed(), open.id), (Duration::from_secs(1), None));
    }
}

#[tokio::test(start_paused = true)]
async fn a_live_event_is_sent_at_once_in_a_chunk_of_its_own() {
    let fixture = Fixture::new();
    let mut subscriber = Subscriber::open_live(&fixture.host, CHANNEL).await;
    for number in 1..=20 {
        fixture.publish(&number.to_string()).await.event_id();
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
    let fixture = Fixture::new();
    let ids = fixture.publish_numbered(1..=3, 10).await;
    sleep(Duration::from_millis(5)).await;
    let mut early = fixture.subscribe("?last_event_id=earliest").await;
    let mut live = Subscriber::open_live(&fixture.host, CHANNEL).await;
    let close = authorized("POST", "/channels/c/close");
    assert_eq!(send(&fixture.host, close).await.status, 204);
    assert_eq!(data(&early.events(3).await).len(), 3);
    for subscriber in [&mut early, &mut live] {
        assert_eq!(subscriber.event().await, None);
        let [end] = &subscriber.control_events[..] else {
            panic!("{:?}", subscriber.control_events)
        };
        assert_eq!(end.name.as_deref(), Some("runnel.end"));
        assert_eq!(end.id, ids[2]);
    }
    let again = fixture
        .subscribe(&format!("?last_event_id={}", ids[2]))
        .await;
    assert_eq!(again.status, 204);
}
