//! How much of the store is used: it is what a deployment pays for.
//!
//! `cargo test --package runnel-host --test harness economy -- --nocapture` prints the calls that
//! each request makes as a table.

mod table;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::join_all;
use runnel_host::store::Operation::{Current, Get, Swap};
use tokio::time::sleep;

use self::table::{Call, Table};
use crate::answer::Answer;
use crate::block::seq;
use crate::scenario::Scenario;
use crate::site::{CHANNEL, Site, authorized, authorized_with, send};
use crate::subscriber::Subscriber;

/// Longer than an instance without requests is kept, and than anything it does afterwards.
const PUT_AWAY: Duration = Duration::from_secs(5);

/// What a publisher calls for.
async fn calls_of(scenario: Scenario) -> Vec<Call> {
    let site = scenario.prepare().await;
    scenario.act(&site).await;
    site.take_asked()
}

/// Publishes a batch of 100 events of 200 bytes.
async fn publish_hundred(site: &Site) -> Answer {
    let line = format!("{{\"data\":\"{:.<200}\"}}\n", "");
    let headers = [("content-type", "application/x-ndjson")];
    let request = authorized_with("POST", "/publish/c", &headers, &line.repeat(100));
    send(&site.host, request).await
}

/// What a subscriber to so many hundreds of events of 200 bytes calls for.
async fn calls_of_replay(hundreds: u64) -> Vec<Call> {
    let site = Site::new();
    for _ in 0..hundreds {
        publish_hundred(&site).await.id();
    }
    sleep(PUT_AWAY).await;
    site.take_asked();
    assert_eq!(site.log().await.len() as u64, hundreds * 100);
    let calls = site.take_asked();
    let keys: BTreeSet<_> = calls.iter().map(|(_, key)| key).collect();
    assert_eq!(keys.len(), calls.len(), "something was read twice");
    calls
}

/// What live subscribers that nothing is published to call for in a minute, after some time.
async fn calls_of_idle(streams: u64, after: Duration) -> Vec<Call> {
    let site = Site::new();
    site.publish("first").await.id();
    sleep(PUT_AWAY).await;
    let mut subscribers = vec![];
    for _ in 0..streams {
        subscribers.push(Subscriber::open_live(&site.host, CHANNEL).await);
        // Their timers are out of phase.
        sleep(Duration::from_millis(37)).await;
    }
    join_all(subscribers.iter_mut().map(|s| s.silent_for(after))).await;
    site.take_asked();
    let minute = Duration::from_secs(60);
    join_all(subscribers.iter_mut().map(|s| s.silent_for(minute))).await;
    site.take_asked()
}

const CREATES: &str = "Current head, 2 × Increment create, Current head, Swap head, Current head";
const APPENDS: &str = "Current head, Swap head";
const SEALS: &str = "Current head, SetMany seg, Swap head";
const DELETES: &str = "Current head, DeleteMany seg, Swap head";
const SEALS_AND_DELETES: &str = "Current head, SetMany seg, DeleteMany seg, Swap head";
const PURGES: &str = "Current head, Swap head, DeleteMany seg";
const LOOKS: &str = "Current head";

async fn publishers(table: &mut Table) {
    for (what, scenario, expected) in [
        ("first publish to a channel", Scenario::Creates(0), CREATES),
        ("publish", Scenario::Appends, APPENDS),
        ("publish with a key", Scenario::AppendsWithAKey, APPENDS),
        ("repeat by key", Scenario::Repeats, LOOKS),
        ("publish that seals", Scenario::Seals, SEALS),
        ("publish that deletes trash", Scenario::Discards, DELETES),
        ("publish that closes", Scenario::AppendsTheLast, APPENDS),
        ("close", Scenario::Closes, APPENDS),
        ("purge", Scenario::Purges, PURGES),
    ] {
        table.line(what, &calls_of(scenario).await, expected);
    }

    let site = Site::with(&[("retention_events", "3")]);
    site.publish_run(1, 5, 5_000).await;
    assert_eq!(first_kept(&site).await, 1);
    site.take_asked();
    site.publish_run(6, 6, 5_000).await;
    table.line("publish that drops", &site.take_asked(), APPENDS);
    assert_eq!(first_kept(&site).await, 4);
    site.publish_run(7, 13, 5_000).await;
    sleep(Duration::from_secs(70)).await;
    site.take_asked();
    site.publish_run(14, 14, 5_000).await;
    let what = "publish that seals and deletes";
    table.line(what, &site.take_asked(), SEALS_AND_DELETES);

    let site = Site::new();
    for (number, expected) in (1..).zip([CREATES, APPENDS, APPENDS, SEALS]) {
        publish_hundred(&site).await.id();
        let what = format!("batch {number} of 100 events of 200 B");
        table.line(&what, &site.take_asked(), expected);
    }

    let site = Scenario::Closes.prepare().await;
    Scenario::Closes.act(&site).await;
    site.take_asked();
    assert_eq!(site.publish("late").await.status, 409);
    table.line("publish to a closed channel", &site.take_asked(), LOOKS);
    first_kept(&site).await;
    table.line("state", &site.take_asked(), "Get head");
}

/// The seq of the oldest event kept, as the channel's state has it.
async fn first_kept(site: &Site) -> u64 {
    let state = send(&site.host, authorized("GET", "/channels/c")).await;
    seq(state.json()["first"].as_str().unwrap())
}

async fn subscribers(table: &mut Table) {
    let site = Scenario::Appends.prepare().await;
    sleep(PUT_AWAY).await;
    let mut subscriber = site.subscribe("").await;
    subscriber.read_opening().await;
    table.line("subscribe: first bytes", &site.take_asked(), "Get head");
    for (streams, warm, what, expected) in [
        (1, 0, "first idle minute of a stream", "446 × Get head"),
        (1, 60, "later idle minute of a stream", "120 × Get head"),
        (
            100,
            60,
            "later idle minute of 100 streams",
            "120 × Get head",
        ),
    ] {
        let calls = calls_of_idle(streams, Duration::from_secs(warm)).await;
        table.line(what, &calls, expected);
    }
    // What is asked for counts the data alone. A record has some ten bytes besides, and segments
    // end with a whole record: 10 000 of them take a few segments more.
    for (hundreds, expected) in [
        (1, "Get head"),
        (10, "Get head, 11 × Get seg"),
        (100, "Get head, 126 × Get seg"),
    ] {
        let events = hundreds * 100;
        let asked_for = 1 + events * 200 / (16 * 1024) + 2;
        let what = format!("replay of {events} events of 200 B (asked for: {asked_for})");
        table.line(&what, &calls_of_replay(hundreds).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn each_request_makes_these_calls_and_no_others() {
    let mut table = Table::default();
    publishers(&mut table).await;
    subscribers(&mut table).await;
    table.end();
}

#[tokio::test(start_paused = true)]
async fn a_publish_reads_once_and_writes_once_however_long_after_the_last() {
    let site = Site::new();
    site.publish("first").await.id();
    site.take_asked();
    for number in 0..20 {
        site.publish("small").await.id();
        let expected = [Current, Swap].map(|call| (call, "head!c".to_owned()));
        assert_eq!(site.take_asked(), expected, "publish {number}");
        // Whether or not its instance has been put away in between.
        sleep(Duration::from_millis(number * 120)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn subscribers_write_nothing() {
    let site = Site::new();
    site.publish_run(1, 50, 2_000).await;
    let before = site.memory.snapshot();
    sleep(PUT_AWAY).await;
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
