//! Restarts: the log is in the store, not in the host.

use std::sync::Arc;
use std::time::Duration;

use runnel_host::Host;
use runnel_host::store::Sqlite;
use runnel_testing::{CHANNEL, Fixture, Subscriber, assert_no_trap, host, numbered_text, publish};
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn a_stream_resumes_exactly_on_another_host_with_the_same_store() {
    let first = Fixture::new();
    let ids = first.publish_numbered(1..=90, 700).await;
    let mut subscriber = Subscriber::open(&first.host, CHANNEL, "?last_event_id=earliest").await;
    let seen = subscriber.events(33).await;
    drop(subscriber);
    let store = first.store.clone();
    drop(first);

    let second = Fixture::over(store, &[]);
    second.publish_numbered(91..=120, 700).await;
    let query = format!("?last_event_id={}", seen[32].id);
    let mut subscriber = second.subscribe(&query).await;
    let resumed = subscriber.events(87).await;
    assert_eq!(resumed[0].id, ids[33]);
    let data: Vec<_> = seen
        .iter()
        .chain(&resumed)
        .map(|event| &event.data)
        .collect();
    let expected: Vec<_> = (1..=120).map(|number| numbered_text(number, 700)).collect();
    assert_eq!(data, expected.iter().collect::<Vec<_>>());
    assert_eq!(subscriber.control_events, []);
}

#[tokio::test(start_paused = true)]
async fn two_hosts_on_one_store_serve_one_log() {
    let one = Fixture::new();
    let other = Fixture::over(one.store.clone(), &[]);
    let mut subscribers = [
        Subscriber::open_live(&one.host, CHANNEL).await,
        Subscriber::open_live(&other.host, CHANNEL).await,
    ];
    let publish_from = |host: Host, name: &'static str| async move {
        for number in 0..40 {
            publish(&host, CHANNEL, &format!("{name} {number}"))
                .await
                .event_id();
            sleep(Duration::from_millis(9)).await;
        }
    };
    let publishers = [
        tokio::spawn(publish_from(one.host.clone(), "one")),
        tokio::spawn(publish_from(other.host.clone(), "other")),
    ];
    let received = [
        subscribers[0].events(80).await,
        subscribers[1].events(80).await,
    ];
    for publisher in publishers {
        publisher.await.unwrap();
    }
    assert_eq!(received[0], received[1]);
    assert_eq!(received[0], one.log().await);
    assert_eq!(one.log_data().await.len(), 80);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_on_disk_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let open = || {
        host(
            Arc::new(Sqlite::open(folder.path(), "default").unwrap()),
            &[],
        )
    };
    let first = open();
    let mut ids = vec![];
    for number in 1..=60 {
        ids.push(
            publish(&first, CHANNEL, &numbered_text(number, 900))
                .await
                .event_id(),
        );
    }
    assert_no_trap(&first);
    drop(first);

    let second = open();
    let query = format!("?last_event_id={}", ids[19]);
    let mut subscriber = Subscriber::open(&second, CHANNEL, &query).await;
    let replayed = subscriber.events(40).await;
    let id = publish(&second, CHANNEL, "live").await.event_id();
    let live = subscriber.event().await.unwrap();
    assert_eq!(
        (&live.id, live.data.as_str(), live.seq()),
        (&id, "live", 61)
    );
    let replayed_ids: Vec<_> = replayed.iter().map(|event| &event.id).collect();
    assert_eq!(replayed_ids, ids[20..].iter().collect::<Vec<_>>());
    assert_eq!(subscriber.control_events, []);
    assert_no_trap(&second);
}
