//! How much of the store is used: it is what a deployment pays for.

use std::time::Duration;

use runnel_host::store::Operation::{Current, Get, Increment, SetMany, Swap};
use tokio::time::sleep;

use crate::site::{CHANNEL, Site, authorized, send};
use crate::subscriber::Subscriber;

#[tokio::test(start_paused = true)]
async fn a_publish_to_an_existing_channel_reads_once_and_writes_once() {
    let site = Site::new();
    site.publish("first").await.id();
    let first: Vec<_> = site
        .take_asked()
        .into_iter()
        .map(|(call, _)| call)
        .collect();
    assert_eq!(
        first,
        [Current, Increment, Increment, Current, Swap, Current]
    );
    for number in 0..20 {
        site.publish("small").await.id();
        let expected = [Current, Swap].map(|call| (call, "head!c".to_owned()));
        assert_eq!(site.take_asked(), expected, "publish {number}");
        // Whether or not its instance has been put away in between.
        sleep(Duration::from_millis(number * 120)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn sealing_costs_one_more_write() {
    let site = Site::new();
    site.publish_run(1, 4, 5_000).await;
    site.take_asked();
    site.publish("seals").await.id();
    let calls: Vec<_> = site
        .take_asked()
        .into_iter()
        .map(|(call, _)| call)
        .collect();
    assert_eq!(calls, [Current, SetMany, Swap]);
}

#[tokio::test(start_paused = true)]
async fn a_replay_reads_the_head_and_each_segment_once() {
    let site = Site::new();
    site.publish_run(1, 1_000, 200).await;
    let state = send(&site.host, authorized("GET", "/channels/c"))
        .await
        .json();
    assert_eq!(state["count"], 1_000);
    let bytes = state["bytes"].as_u64().unwrap();
    assert!(bytes > 200_000, "{bytes}");
    sleep(Duration::from_secs(5)).await;
    site.take_asked();
    assert_eq!(site.log().await.len(), 1_000);
    let asked = site.take_asked();
    let most = 1 + bytes.div_ceil(16 * 1024) + 2;
    assert!(
        asked.len() as u64 <= most,
        "{} reads: {asked:?}",
        asked.len()
    );
    assert!(asked.iter().all(|(call, _)| *call == Get));
    let mut keys: Vec<_> = asked.iter().map(|(_, key)| key).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), asked.len(), "something was read twice");
}

#[tokio::test(start_paused = true)]
async fn subscribers_write_nothing() {
    let site = Site::new();
    site.publish_run(1, 50, 2_000).await;
    let before = site.memory.snapshot();
    sleep(Duration::from_secs(5)).await;
    site.take_asked();
    for query in [
        "",
        "?last=3",
        "?last_event_id=earliest",
        "?last_event_id=000000-1",
    ] {
        let mut subscriber = Subscriber::open(&site.host, CHANNEL, query).await;
        subscriber.read_for(Duration::from_secs(20)).await;
    }
    Subscriber::open(&site.host, "none", "")
        .await
        .read_opening()
        .await;
    assert!(site.take_asked().iter().all(|(call, _)| *call == Get));
    assert_eq!(site.memory.snapshot(), before);
}

#[tokio::test(start_paused = true)]
async fn streams_of_a_channel_share_their_reads_of_the_head() {
    let mut reads = vec![];
    for streams in [1, 10] {
        let site = Site::new();
        site.publish("first").await.id();
        let mut subscribers = vec![];
        for _ in 0..streams {
            subscribers.push(Subscriber::open_live(&site.host, CHANNEL).await);
            // Their timers are out of phase.
            sleep(Duration::from_millis(37)).await;
        }
        let read = |subscribers: Vec<Subscriber>, time| {
            let each = subscribers.into_iter().map(|mut subscriber| async move {
                subscriber.read_for(time).await;
                subscriber
            });
            futures::future::join_all(each)
        };
        let subscribers = read(subscribers, Duration::from_secs(60)).await;
        let before = site.reads("head!c");
        read(subscribers, Duration::from_secs(20)).await;
        reads.push(site.reads("head!c") - before);
    }
    assert!(
        reads.iter().all(|reads| (39..=41).contains(reads)),
        "{reads:?}"
    );
}
