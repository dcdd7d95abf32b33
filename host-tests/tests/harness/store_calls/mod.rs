//! The store calls of each request, which a deployment pays for.
//!
//! `cargo test --package runnel-host --test harness store_calls -- --nocapture` prints them as a
//! table.

mod table;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use runnel_host::store::Operation::{Current, Get, Swap};
use runnel_testing::{
    CHANNEL, Fixture, Response, Subscriber, authorized, authorized_with, send, split_id,
};
use tokio::time::sleep;

use self::table::{Call, Table};
use crate::scenario::Scenario;

/// Longer than an instance without requests is kept and finishes its work.
const INSTANCE_END: Duration = Duration::from_secs(5);

/// Returns the calls of a publisher's request.
async fn calls_of(scenario: Scenario) -> Vec<Call> {
    let fixture = scenario.prepare().await;
    scenario.send(&fixture).await;
    fixture.store.take_calls()
}

/// Publishes a batch of 100 events of 200 bytes.
async fn publish_hundred(fixture: &Fixture) -> Response {
    let line = format!("{{\"data\":\"{:.<200}\"}}\n", "");
    let headers = [("content-type", "application/x-ndjson")];
    let request = authorized_with("POST", "/publish/c", &headers, &line.repeat(100));
    send(&fixture.host, request).await
}

/// Returns the calls of a replay of `hundreds` batches of 100 events of 200 bytes.
async fn calls_of_replay(hundreds: u64) -> Vec<Call> {
    let fixture = Fixture::new();
    for _ in 0..hundreds {
        publish_hundred(&fixture).await.event_id();
    }
    sleep(INSTANCE_END).await;
    fixture.store.take_calls();
    assert_eq!(fixture.log().await.len() as u64, hundreds * 100);
    let calls = fixture.store.take_calls();
    let keys: BTreeSet<_> = calls.iter().map(|(_, key)| key).collect();
    assert_eq!(keys.len(), calls.len(), "a key was read twice");
    calls
}

/// Returns the calls of idle live streams in one minute, `after` this time.
async fn calls_of_idle(streams: u64, after: Duration) -> Vec<Call> {
    let fixture = Fixture::new();
    fixture.publish("first").await.event_id();
    sleep(INSTANCE_END).await;
    let mut subscribers = vec![];
    for _ in 0..streams {
        subscribers.push(Subscriber::open_live(&fixture.host, CHANNEL).await);
        // Their timers are out of phase.
        sleep(Duration::from_millis(37)).await;
    }
    join_all(subscribers.iter_mut().map(|s| s.assert_idle_for(after))).await;
    fixture.store.take_calls();
    let minute = Duration::from_secs(60);
    join_all(subscribers.iter_mut().map(|s| s.assert_idle_for(minute))).await;
    fixture.store.take_calls()
}

const CREATES: &str = "Current head, 2 × Increment create, Current head, Swap head, Current head";
const APPENDS: &str = "Current head, Swap head";
const SEALS: &str = "Current head, SetMany seg, Swap head";
const DELETES: &str = "Current head, DeleteMany seg, Swap head";
const SEALS_AND_DELETES: &str = "Current head, SetMany seg, DeleteMany seg, Swap head";
const PURGES: &str = "Current head, Swap head, DeleteMany seg";
const READS_HEAD: &str = "Current head";

async fn publishers(table: &mut Table) {
    for (request, scenario, expected) in [
        (
            "first publish to a channel",
            Scenario::FirstPublish(Duration::ZERO),
            CREATES,
        ),
        ("publish", Scenario::Publish, APPENDS),
        ("publish with a key", Scenario::PublishWithKey, APPENDS),
        ("retry by key", Scenario::Retry, READS_HEAD),
        ("publish that seals", Scenario::PublishThatSeals, SEALS),
        (
            "publish that deletes",
            Scenario::PublishThatDeletes,
            DELETES,
        ),
        ("publish that closes", Scenario::PublishLast, APPENDS),
        ("close", Scenario::Close, APPENDS),
        ("purge", Scenario::Purge, PURGES),
    ] {
        table.line(request, &calls_of(scenario).await, expected);
    }

    let fixture = Fixture::with(&[("retention_events", "3")]);
    fixture.publish_numbered(1..=5, 5_000).await;
    assert_eq!(first_kept(&fixture).await, 3);
    fixture.store.take_calls();
    fixture.publish_numbered(6..=6, 5_000).await;
    table.line("publish that drops", &fixture.store.take_calls(), APPENDS);
    assert_eq!(first_kept(&fixture).await, 4);
    fixture.publish_numbered(7..=13, 5_000).await;
    sleep(Duration::from_secs(70)).await;
    fixture.store.take_calls();
    fixture.publish_numbered(14..=14, 5_000).await;
    let request = "publish that seals and deletes";
    table.line(request, &fixture.store.take_calls(), SEALS_AND_DELETES);

    let fixture = Fixture::new();
    for (number, expected) in (1..).zip([CREATES, APPENDS, APPENDS, SEALS]) {
        publish_hundred(&fixture).await.event_id();
        let request = format!("batch {number} of 100 events of 200 B");
        table.line(&request, &fixture.store.take_calls(), expected);
    }

    let fixture = Scenario::Close.prepare().await;
    Scenario::Close.send(&fixture).await;
    fixture.store.take_calls();
    assert_eq!(fixture.publish("late").await.status, 409);
    table.line(
        "publish to a closed channel",
        &fixture.store.take_calls(),
        READS_HEAD,
    );
    first_kept(&fixture).await;
    table.line("state", &fixture.store.take_calls(), "Get head");
}

/// Returns the seq of the oldest retained event, from the state of the channel.
async fn first_kept(fixture: &Fixture) -> u64 {
    let state = send(&fixture.host, authorized("GET", "/channels/c")).await;
    split_id(state.json()["first"].as_str().unwrap()).1
}

async fn subscribers(table: &mut Table) {
    let fixture = Scenario::Publish.prepare().await;
    sleep(INSTANCE_END).await;
    let mut subscriber = fixture.subscribe("").await;
    subscriber.read_opening().await;
    table.line(
        "subscribe: first bytes",
        &fixture.store.take_calls(),
        "Get head",
    );
    for (streams, warm_up, request, expected) in [
        (1, 0, "first idle minute of a stream", "446 × Get head"),
        (1, 60, "later idle minute of a stream", "120 × Get head"),
        (
            100,
            60,
            "later idle minute of 100 streams",
            "120 × Get head",
        ),
    ] {
        let calls = calls_of_idle(streams, Duration::from_secs(warm_up)).await;
        table.line(request, &calls, expected);
    }
    // A merged segment holds up to 96 KiB of records, each with about ten bytes besides its data; the
    // newest segments are not merged yet.
    for (hundreds, expected) in [
        (1, "Get head"),
        (10, "Get head, 6 × Get seg"),
        (100, "Get head, 26 × Get seg"),
    ] {
        let events = hundreds * 100;
        let least = 1 + events * 200 / (96 * 1024);
        let request =
            format!("replay of {events} events of 200 B (by the data alone: at least {least})");
        table.line(&request, &calls_of_replay(hundreds).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn each_request_makes_exactly_the_expected_store_calls() {
    let mut table = Table::default();
    publishers(&mut table).await;
    subscribers(&mut table).await;
    table.finish();
}

#[tokio::test(start_paused = true)]
async fn a_publish_reads_once_and_writes_once_at_any_time_after_the_last() {
    let fixture = Fixture::new();
    fixture.publish("first").await.event_id();
    fixture.store.take_calls();
    for number in 0..20 {
        fixture.publish("small").await.event_id();
        let expected = [Current, Swap].map(|operation| (operation, "head!c".to_owned()));
        assert_eq!(fixture.store.take_calls(), expected, "publish {number}");
        // Its instance may or may not have ended in between.
        sleep(Duration::from_millis(number * 120)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn subscribers_write_nothing() {
    let fixture = Fixture::new();
    fixture.publish_numbered(1..=50, 2_000).await;
    let before = fixture.store.memory.snapshot();
    sleep(INSTANCE_END).await;
    fixture.store.take_calls();
    for query in [
        "",
        "?last=3",
        "?last_event_id=earliest",
        "?last_event_id=000000-1",
    ] {
        let mut subscriber = Subscriber::open(&fixture.host, CHANNEL, query).await;
        subscriber.read_for(Duration::from_secs(20)).await;
    }
    Subscriber::open(&fixture.host, "none", "")
        .await
        .read_opening()
        .await;
    assert!(
        fixture
            .store
            .take_calls()
            .iter()
            .all(|(operation, _)| *operation == Get)
    );
    assert_eq!(fixture.store.memory.snapshot(), before);
}
