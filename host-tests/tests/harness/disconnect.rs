//! Clients that disconnect: their resources are released.

use std::time::Duration;

use runnel_host::store::{Fault, FaultPlan};
use runnel_testing::{CHANNEL, Fixture, Subscriber, publish};
use tokio::runtime::Handle;
use tokio::time::sleep;

/// The heartbeat interval: a disconnect is noticed at the next write.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Longer than an instance is kept after its last request: 1 s.
const IDLE: Duration = Duration::from_millis(1_100);

/// Counts instances, open stores and tasks.
fn counts(fixture: &Fixture) -> (usize, usize, usize) {
    (
        fixture.host.live_instances(),
        fixture.host.live_stores(),
        Handle::current().metrics().num_alive_tasks(),
    )
}

#[tokio::test(start_paused = true)]
async fn a_disconnected_stream_is_released_by_the_next_heartbeat() {
    let fixture = Fixture::new();
    let start = counts(&fixture);
    let subscriber = Subscriber::open_live(&fixture.host, CHANNEL).await;
    sleep(Duration::from_secs(40)).await;
    assert_eq!(fixture.host.live_instances(), 1);
    drop(subscriber);
    sleep(HEARTBEAT + IDLE).await;
    assert_eq!(counts(&fixture), start);
    let reads = fixture.store.reads("");
    sleep(Duration::from_secs(60)).await;
    assert_eq!(
        fixture.store.reads(""),
        reads,
        "a disconnected client causes no polling"
    );
}

#[tokio::test(start_paused = true)]
async fn a_remaining_stream_does_not_keep_disconnected_ones_alive() {
    let fixture = Fixture::new();
    let mut remaining = Subscriber::open_live(&fixture.host, "remaining").await;
    let mut leaving = vec![];
    for number in 0..10 {
        leaving.push(Subscriber::open_live(&fixture.host, &format!("leaving:{number}")).await);
    }
    remaining.read_for(Duration::from_secs(3)).await;
    assert!(fixture.store.reads("head!leaving:") > 0);
    drop(leaving);
    remaining.read_for(HEARTBEAT + IDLE).await;
    let reads = fixture.store.reads("head!leaving:");
    remaining.read_for(Duration::from_secs(30)).await;
    assert_eq!(fixture.store.reads("head!leaving:"), reads);
    publish(&fixture.host, "remaining", "news").await.event_id();
    assert_eq!(remaining.event().await.unwrap().data, "news");
}

#[tokio::test(start_paused = true)]
async fn hundreds_of_short_streams_leave_no_resources_behind() {
    let fixture = Fixture::new();
    fixture.publish_numbered(1..=60, 4_000).await;
    sleep(IDLE).await;
    let start = counts(&fixture);
    assert_eq!(start.0, 0);
    let mut held = vec![];
    for number in 0..200 {
        let query = match number % 4 {
            0 => "",
            1 => "?last=20",
            2 => "?last_event_id=earliest",
            _ => "?last_event_id=000000-1",
        };
        // Some disconnect before the first byte, some between chunks, some while live.
        let mut subscriber = fixture.subscribe(query).await;
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
    assert!(fixture.host.live_instances() > 0);
    drop(held);
    sleep(HEARTBEAT + IDLE).await;
    assert_eq!(counts(&fixture), start);
    assert_eq!(fixture.log().await.len(), 60, "the host still serves");
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_disconnects_leaves_no_resources_behind() {
    let fixture = Fixture::new();
    fixture.publish("first").await.event_id();
    sleep(IDLE).await;
    let start = counts(&fixture);
    let delay = Fault::Delay(Duration::from_millis(500));
    fixture.store.inject(FaultPlan::always(delay));
    for _ in 0..50 {
        let publishing = fixture.publish("disconnected");
        let response = tokio::time::timeout(Duration::from_millis(200), publishing).await;
        assert!(response.is_err(), "{response:?}");
    }
    fixture.store.heal();
    sleep(Duration::from_secs(30)).await;
    assert_eq!(counts(&fixture), start);
    let log = fixture.log_data().await;
    assert_eq!(log[0], "first");
    assert!(log.len() <= 51);
}
