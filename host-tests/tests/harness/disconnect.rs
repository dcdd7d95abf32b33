//! Clients that go away: what they held is given back.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::sleep;

use crate::site::{CHANNEL, Site};
use crate::subscriber::Subscriber;

/// The heartbeat of these tests, and some time on top for what follows on it.
const BEAT: Duration = Duration::from_secs(15);
/// An instance is kept for a second after its last request.
const IDLE: Duration = Duration::from_millis(1_100);

/// All that the host can count.
fn counts(site: &Site) -> (usize, usize, usize) {
    (
        site.host.live_instances(),
        site.host.live_stores(),
        Handle::current().metrics().num_alive_tasks(),
    )
}

#[tokio::test(start_paused = true)]
async fn a_dropped_body_frees_its_stream_by_the_next_heartbeat() {
    let site = Site::new();
    let start = counts(&site);
    let subscriber = Subscriber::open_live(&site.host, CHANNEL).await;
    sleep(Duration::from_secs(40)).await;
    assert_eq!(site.host.live_instances(), 1);
    drop(subscriber);
    sleep(BEAT + IDLE).await;
    assert_eq!(counts(&site), start);
    let reads = site.reads("");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(
        site.reads(""),
        reads,
        "nobody polls for a client that is gone"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_stays_does_not_keep_those_that_went() {
    let site = Site::new();
    let mut stays = Subscriber::open_live(&site.host, "stays").await;
    let mut went = vec![];
    for number in 0..10 {
        went.push(Subscriber::open_live(&site.host, &format!("went:{number}")).await);
    }
    stays.read_for(Duration::from_secs(3)).await;
    assert!(site.reads("head!went:") > 0);
    drop(went);
    stays.read_for(BEAT + IDLE).await;
    let reads = site.reads("head!went:");
    stays.read_for(Duration::from_secs(30)).await;
    assert_eq!(site.reads("head!went:"), reads);
    crate::site::publish(&site.host, "stays", "news").await.id();
    assert_eq!(stays.event().await.unwrap().data, "news");
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_streams_that_come_and_go_leave_nothing_behind() {
    let site = Site::new();
    site.publish_run(1, 60, 4_000).await;
    sleep(IDLE).await;
    let start = counts(&site);
    assert_eq!(start.0, 0);
    let mut held = vec![];
    for number in 0..200 {
        let query = match number % 4 {
            0 => "",
            1 => "?last=20",
            2 => "?last_event_id=earliest",
            _ => "?last_event_id=000000-1",
        };
        // Some leave before they have read a byte, some between chunks, some while live.
        let mut subscriber = site.subscribe(query).await;
        match number % 5 {
            0 => {}
            1 => drop(subscriber.chunk().await),
            2 => drop(subscriber.read_for(Duration::from_millis(30)).await),
            3 => {
                subscriber.read_opening().await;
                held.push(subscriber);
            }
            _ => {
                subscriber.read_opening().await;
                sleep(Duration::from_millis(20)).await;
            }
        }
        if held.len() > 20 {
            held.remove(0);
        }
    }
    assert!(site.host.live_instances() > 0);
    drop(held);
    sleep(BEAT + IDLE).await;
    assert_eq!(counts(&site), start);
    assert_eq!(site.log().await.len(), 60, "and the host still serves");
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_hangs_up_leaves_nothing_behind() {
    let site = Site::new();
    site.publish("first").await.id();
    sleep(IDLE).await;
    let start = counts(&site);
    site.befall(|_| runnel_host::store::Fault::Hang(Duration::from_millis(500)));
    for _ in 0..50 {
        let publishing = site.publish("hung up");
        let answer = tokio::time::timeout(Duration::from_millis(200), publishing).await;
        assert!(answer.is_err(), "{answer:?}");
    }
    site.heal();
    sleep(Duration::from_secs(30)).await;
    assert_eq!(counts(&site), start);
    let log = site.log_data().await;
    assert_eq!(log[0], "first");
    assert!(log.len() <= 51);
}
