//! What the streams of an instance share, and that none of them depends on another.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use runnel_host::store::Fault;
use tokio::time::sleep;

use crate::block::Event;
use crate::site::{Site, text};
use crate::subscriber::Subscriber;

/// As slow as a store over a network.
const SLOW: Duration = Duration::from_millis(7);

fn slow(site: &Site) {
    site.befall(|_| Fault::Hang(SLOW));
}

/// Reads that so many live streams make while 60 events of 2 000 bytes are published.
async fn reads_of_live(streams: usize, query: &str) -> u64 {
    let site = Site::new();
    site.publish("first").await.id();
    slow(&site);
    let mut subscribers = vec![];
    for _ in 0..streams {
        let mut subscriber = site.subscribe(query).await;
        subscriber.read_opening().await;
        subscribers.push(subscriber);
    }
    let all = subscribers
        .iter_mut()
        .map(|s| s.read_for(Duration::from_secs(40)));
    join_all(all).await;
    let before = site.reads("");
    let reading = subscribers.iter_mut().map(|s| s.events(60));
    let (ids, read) = futures::join!(site.publish_run(1, 60, 2_000), join_all(reading));
    for events in read {
        let read: Vec<_> = events.into_iter().map(|event| event.seq()).collect();
        assert_eq!(read, (2..=61).collect::<Vec<_>>());
    }
    assert_eq!(ids.len(), 60);
    assert_eq!(
        site.host.live_instances(),
        2,
        "of them and of the publisher"
    );
    site.reads("") - before
}

#[tokio::test(start_paused = true)]
async fn a_hundred_live_streams_read_the_store_as_often_as_one() {
    for query in ["", "?event=message"] {
        let (one, hundred) = (
            reads_of_live(1, query).await,
            reads_of_live(100, query).await,
        );
        println!("{query:?}: 1 stream makes {one} reads, 100 make {hundred}");
        assert!(one > 20, "{one}");
        assert!(
            hundred <= one + one / 10,
            "{hundred} reads instead of {one}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_crowd_that_replays_reads_each_segment_once() {
    let site = Site::new();
    site.publish_run(1, 200, 2_000).await;
    sleep(Duration::from_secs(2)).await;
    let segments = site.keys("seg!").len() as u64;
    assert!(segments > 20);
    slow(&site);
    let before = site.reads("seg!");
    let mut crowd = vec![];
    for _ in 0..50 {
        crowd.push(site.subscribe("?last_event_id=earliest&live=false").await);
    }
    assert_eq!(site.host.live_instances(), 1);
    for events in join_all(crowd.into_iter().map(Subscriber::rest)).await {
        assert_eq!(events.len(), 200);
    }
    assert_eq!(site.reads("seg!") - before, segments);
}

/// Live streams of all kinds that stay, and must not notice that others go.
struct Staying(Vec<Subscriber>);

impl Staying {
    async fn open(site: &Site) -> Self {
        let mut staying = vec![];
        for path in [
            "/events/c",
            "/events/c?event=message",
            "/events?channel=c&channel=other",
        ] {
            let mut subscriber = Subscriber::get(&site.host, path).await;
            subscriber.read_opening().await;
            staying.push(subscriber);
        }
        Self(staying)
    }

    /// Each of them has these events next.
    async fn have(&mut self, data: &[String]) {
        for subscriber in &mut self.0 {
            let events: Vec<Event> = subscriber.events(data.len()).await;
            let had: Vec<_> = events.iter().map(|event| &event.data).collect();
            assert_eq!(had, data.iter().collect::<Vec<_>>());
        }
    }
}

/// Opens a stream that goes away after `millis`, wherever it is by then: it may be the one that
/// carries the others, reads for them, or waits for what they read.
async fn come_and_go(site: &Site, query: &str, millis: u64, reads: bool) {
    let life = Duration::from_millis(millis);
    let stay = async {
        let mut subscriber = site.subscribe(query).await;
        while reads && subscriber.chunk().await.is_some() {}
        std::future::pending::<()>().await;
    };
    assert!(tokio::time::timeout(life, stay).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_goes_away_at_any_point_leaves_the_others_undisturbed() {
    let site = Site::new();
    let old = 40;
    site.publish_run(1, old, 4_000).await;
    slow(&site);
    let mut number = old;
    // The first of an instance to rest carries the others: so one that goes away comes before them in
    // every other turn, and with them in the rest.
    for millis in (0..120).step_by(3) {
        for query in ["", "?last_event_id=earliest", "?last=30&event=message"] {
            let first = match millis % 2 {
                0 => Some(site.subscribe(query).await),
                _ => None,
            };
            // What was published in the millisecond in which a stream opens is news to it.
            sleep(Duration::from_millis(1)).await;
            let mut staying = Staying::open(&site).await;
            for reads in [true, false] {
                come_and_go(&site, query, millis, reads).await;
            }
            drop(first);
            let mut data = vec![];
            for _ in 0..2 {
                number += 1;
                data.push(text(number, 4_000));
                site.publish(&text(number, 4_000)).await.id();
                come_and_go(&site, query, millis % 10, true).await;
            }
            staying.have(&data).await;
        }
    }
    site.heal();
    let all = site.log_data().await.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(all.len() as u64, number);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(site.host.live_instances(), 0, "everything was given back");
}

#[tokio::test(start_paused = true)]
async fn streams_of_an_instance_that_takes_no_more_requests_go_on() {
    let site = Site::with(&[("max_stream_seconds", "3600")]);
    site.publish("first").await.id();
    sleep(Duration::from_secs(5)).await;
    let started = site.host.started_instances();
    let mut staying = Staying::open(&site).await;
    // An instance takes 128 requests in its life.
    for _ in 0..300 {
        assert_eq!(site.log().await.len(), 1);
    }
    let taking = site.host.started_instances() - started;
    assert!(taking >= 3, "{taking} instances took 303 requests");
    let mut late = Staying::open(&site).await;
    let time = Duration::from_secs(600);
    let all = staying.0.iter_mut().chain(&mut late.0);
    join_all(all.map(|subscriber| subscriber.read_for(time))).await;
    assert_eq!(site.host.live_instances(), 2, "one is full, and lives on");
    site.publish("second").await.id();
    staying.have(&["second".to_owned()]).await;
    late.have(&["second".to_owned()]).await;
    drop((staying, late));
    sleep(Duration::from_secs(60)).await;
    assert_eq!(site.host.live_instances(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_costs_the_same_however_much_is_published() {
    let site = Site::new();
    let (megabyte, batch) = (1_000_000, 60_000);
    let publish = async |bytes: usize| {
        let line = format!("{{\"data\":\"{:.<2000}\"}}\n", "");
        let body = line.repeat(batch / 2_000);
        for _ in 0..bytes / batch {
            let headers = [("content-type", "application/x-ndjson")];
            let request = crate::site::authorized_with("POST", "/publish/c", &headers, &body);
            crate::site::send(&site.host, request).await.id();
        }
        sleep(Duration::from_secs(5)).await;
        site.host.live_memory()
    };
    publish(megabyte).await;
    let mut subscribers = vec![];
    for query in ["", "?last_event_id=earliest", "?event=message"] {
        let mut subscriber = site.subscribe(query).await;
        subscriber.read_opening().await;
        subscribers.push(subscriber);
    }
    // By then it has what it will ever have: what the host takes, and two chunks of its own.
    let early = publish(2 * megabyte).await;
    let late = publish(100 * megabyte).await;
    println!("3 streams: {early} bytes of memory after 2 MB, {late} after 102 MB");
    assert!(early > 1_000_000, "the instance is alive: {early}");
    assert_eq!(late, early);
    // Each is told what it missed, and goes on.
    for subscriber in &mut subscribers {
        let event = subscriber.event().await.unwrap();
        assert_eq!(event.data.len(), 2_000);
    }
}
