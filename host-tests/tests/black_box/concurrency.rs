//! Concurrent publishers and subscribers.

use std::collections::BTreeMap;
use std::time::Duration;

use runnel_testing::{Channel, Stream, split_id};

const PUBLISHERS: usize = 4;
const EVENTS_PER_PUBLISHER: usize = 100;

async fn publish_all(channel: Channel, publisher: usize) -> Vec<(String, String)> {
    let mut sent = vec![];
    for number in 0..EVENTS_PER_PUBLISHER {
        let text = format!("{publisher}:{number}");
        sent.push((channel.publish_text(text.clone()).await, text));
    }
    sent
}

async fn receive_all(mut stream: Stream) -> Vec<(String, String)> {
    let events = stream.events(PUBLISHERS * EVENTS_PER_PUBLISHER).await;
    assert!(events.iter().all(|event| event.event == "message"));
    let received = events.into_iter().map(|event| (event.id, event.data));
    received.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_subscriber_receives_every_event_once_and_in_order_during_concurrent_publishes() {
    let channel = Channel::new();
    let mut subscribers = vec![];
    for _ in 0..4 {
        let mut stream = channel.subscribe("").await;
        stream.opened().await;
        subscribers.push(tokio::spawn(receive_all(stream)));
    }
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| tokio::spawn(publish_all(channel.clone(), publisher)))
        .collect();
    // These subscribers join while publishing is under way, and start with a replay.
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let stream = channel.subscribe("?last_event_id=earliest").await;
        subscribers.push(tokio::spawn(receive_all(stream)));
    }

    let mut acknowledged = BTreeMap::new();
    for publisher in publishers {
        let sent = publisher.await.unwrap();
        let order: Vec<_> = sent.iter().map(|(id, _)| split_id(id).1).collect();
        assert!(
            order.is_sorted(),
            "the events of one publisher are out of order"
        );
        for (id, text) in sent {
            let previous = acknowledged.insert(split_id(&id).1, (id, text));
            assert_eq!(previous, None, "an id was assigned twice");
        }
    }
    assert!(
        acknowledged
            .keys()
            .copied()
            .eq(1..=(PUBLISHERS * EVENTS_PER_PUBLISHER) as u64)
    );
    let acknowledged: Vec<_> = acknowledged.into_values().collect();
    for subscriber in subscribers {
        assert_eq!(subscriber.await.unwrap(), acknowledged);
    }
    assert_eq!(channel.log().await, acknowledged);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_first_publishes_create_one_log() {
    for _ in 0..10 {
        let channel = Channel::new();
        let first: Vec<_> = (0..8)
            .map(|publisher| {
                let channel = channel.clone();
                tokio::spawn(async move { channel.publish_text(format!("{publisher}")).await })
            })
            .collect();
        let mut ids = vec![];
        for id in first {
            ids.push(id.await.unwrap());
        }
        ids.sort();
        let log = channel.log().await;
        let logged: Vec<_> = log.iter().map(|(id, _)| id.clone()).collect();
        assert_eq!(ids, logged);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_becomes_visible_as_a_whole() {
    let channel = Channel::new();
    let publishers: Vec<_> = (0..3)
        .map(|publisher| {
            let channel = channel.clone();
            tokio::spawn(async move {
                for batch in 0..20 {
                    let line = format!("{{\"data\":\"{publisher}:{batch}\"}}\n");
                    let request = channel
                        .publish("")
                        .body("application/x-ndjson", line.repeat(7));
                    request.send().await.expect_status(201);
                }
            })
        })
        .collect();
    let mut visible = 0;
    while visible < 3 * 20 * 7 {
        let replay = channel.events("?live=false&last_event_id=earliest");
        if replay.send().await.status == 204 {
            continue;
        }
        let log = channel.log().await;
        for batch in log.chunks(7) {
            assert_eq!(batch.len(), 7);
            assert!(
                batch.iter().all(|(_, data)| *data == batch[0].1),
                "{batch:?}"
            );
        }
        visible = log.len();
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
}
