//! How many instructions the component executes for fixed work: what it costs a host beside the
//! store. Deterministic up to the compiler's version, so a change that makes it dearer is seen here,
//! whatever machine the tests run on.
//!
//! `cargo test --package runnel-host --test harness effort -- --nocapture` prints the table.

use std::time::Duration;

use futures::future::join_all;
use runnel_host::Application;
use tokio::time::sleep;

use crate::site::{Site, authorized_with, send};

/// Longer than an instance without requests is kept.
const PUT_AWAY: Duration = Duration::from_secs(5);

/// More than a compiler makes of a difference.
const TOLERANCE_PERCENT: u64 = 15;

/// What a site's instances have executed, once they are gone.
async fn instructions(site: &Site) -> u64 {
    sleep(PUT_AWAY).await;
    assert_eq!(site.host.live_instances(), 0);
    site.host.instructions()
}

/// Publishes so many batches of 100 events of 200 bytes.
async fn publish_hundreds(site: &Site, hundreds: u64) {
    let line = format!("{{\"data\":\"{:.<200}\"}}\n", "");
    let headers = [("content-type", "application/x-ndjson")];
    for _ in 0..hundreds {
        let request = authorized_with("POST", "/publish/c", &headers, &line.repeat(100));
        send(&site.host, request).await.id();
    }
}

/// What is executed for so many live streams while 100 events are published, one every 100 ms, and for
/// publishing them.
async fn live(site: &Site, subscribers: usize) -> u64 {
    site.publish("first").await.id();
    let before = instructions(site).await;
    let mut streams = vec![];
    for _ in 0..subscribers {
        streams.push(site.subscribe("?last=1").await);
    }
    let reading = join_all(streams.iter_mut().map(|s| s.events(101)));
    let publishing = async {
        for number in 1..=100 {
            sleep(Duration::from_millis(100)).await;
            site.publish(&crate::site::text(number, 200)).await.id();
        }
    };
    futures::join!(publishing, reading);
    drop(streams);
    // The heartbeat finds out that they are gone.
    sleep(Duration::from_secs(20)).await;
    instructions(site).await - before
}

/// What so many live streams execute in ten minutes in which nothing happens.
async fn idle(site: &Site, subscribers: usize) -> u64 {
    site.publish("first").await.id();
    let before = instructions(site).await;
    let mut streams = vec![];
    for _ in 0..subscribers {
        let mut stream = site.subscribe("").await;
        stream.read_opening().await;
        streams.push(stream);
    }
    let reading = streams
        .iter_mut()
        .map(|s| s.read_for(Duration::from_secs(600)));
    join_all(reading).await;
    drop(streams);
    sleep(Duration::from_secs(20)).await;
    instructions(site).await - before
}

#[derive(Default)]
struct Table {
    lines: String,
    wrong: Vec<String>,
}

impl Table {
    /// `instructions` were executed for `what`, that is `times` something; `expected` for each.
    fn line(&mut self, what: &str, instructions: u64, times: u64, expected: u64) {
        let each = instructions / times;
        self.lines += &format!("| {what} | {each} |\n");
        if each.abs_diff(expected) > expected * TOLERANCE_PERCENT / 100 {
            self.wrong.push(format!("{what}: {each}, not {expected}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn fixed_work_takes_so_many_instructions() {
    let application = Application::load_metered().unwrap();
    let site = || Site::of(&application, &[("max_stream_seconds", "86400")]);
    let mut table = Table::default();

    let one = site();
    one.publish("first").await.id();
    let before = instructions(&one).await;
    for number in 0..100 {
        one.publish(&crate::site::text(number, 200)).await.id();
    }
    let each = instructions(&one).await - before;
    table.line("publish an event of 200 B", each, 100, 194_400);

    let many = site();
    publish_hundreds(&many, 1).await;
    let before = instructions(&many).await;
    publish_hundreds(&many, 99).await;
    let each = instructions(&many).await - before;
    table.line("publish an event of a batch of 100", each, 9_900, 12_490);

    let before = instructions(&many).await;
    assert_eq!(many.log().await.len(), 9_900 + 100);
    let each = instructions(&many).await - before;
    table.line(
        "replay an event of 200 B, first in the instance",
        each,
        10_000,
        2_960,
    );

    let before = instructions(&many).await;
    let mut crowd = vec![];
    for _ in 0..10 {
        crowd.push(many.subscribe("?last_event_id=earliest&live=false").await);
    }
    for replay in crowd {
        assert_eq!(replay.rest().await.len(), 10_000);
    }
    let each = instructions(&many).await - before;
    table.line(
        "replay an event of 200 B, ten in the instance",
        each,
        100_000,
        860,
    );

    for (streams, expected) in [(1, 995_000), (100, 119_000)] {
        let what = format!("100 ms of one of {streams} live streams, with an event");
        let all = live(&site(), streams).await;
        table.line(&what, all, 100 * streams as u64, expected);
    }
    for (streams, expected) in [(1, 43_600), (100, 12_100)] {
        let what = format!("an idle second of one of {streams} streams");
        let all = idle(&site(), streams).await;
        table.line(&what, all, 600 * streams as u64, expected);
    }

    println!("\n| what | instructions |\n|---|---:|\n{}", table.lines);
    assert!(table.wrong.is_empty(), "{:#?}", table.wrong);
}
