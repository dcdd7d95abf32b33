//! The number of WebAssembly instructions that the component executes for fixed workloads: its cost to
//! a host apart from the store. It depends on nothing but the compiler, so a test can bound it on any
//! machine.
//!
//! `cargo test --package runnel-host --test harness instruction_count -- --nocapture` prints the
//! table.

use std::time::Duration;

use futures::future::join_all;
use runnel_host::Application;
use runnel_testing::{Fixture, authorized_with, numbered_text, send};
use tokio::time::sleep;

/// Longer than an instance without requests is kept.
const INSTANCE_END: Duration = Duration::from_secs(5);

/// More than compiler versions differ by.
const TOLERANCE_PERCENT: u64 = 15;

/// Waits for the end of all instances and returns the number of instructions they executed.
async fn instructions(fixture: &Fixture) -> u64 {
    sleep(INSTANCE_END).await;
    assert_eq!(fixture.host.live_instances(), 0);
    fixture.host.instructions()
}

/// Publishes `hundreds` batches of 100 events of 200 bytes.
async fn publish_hundreds(fixture: &Fixture, hundreds: u64) {
    let line = format!("{{\"data\":\"{:.<200}\"}}\n", "");
    let headers = [("content-type", "application/x-ndjson")];
    for _ in 0..hundreds {
        let request = authorized_with("POST", "/publish/c", &headers, &line.repeat(100));
        send(&fixture.host, request).await.event_id();
    }
}

/// Counts the instructions of live streams while 100 events are published, one every 100 ms, and of
/// publishing them.
async fn live(fixture: &Fixture, subscribers: usize) -> u64 {
    fixture.publish("first").await.event_id();
    let before = instructions(fixture).await;
    let mut streams = vec![];
    for _ in 0..subscribers {
        streams.push(fixture.subscribe("?last=1").await);
    }
    let reading = join_all(streams.iter_mut().map(|s| s.events(101)));
    let publishing = async {
        for number in 1..=100 {
            sleep(Duration::from_millis(100)).await;
            fixture
                .publish(&numbered_text(number, 200))
                .await
                .event_id();
        }
    };
    futures::join!(publishing, reading);
    drop(streams);
    // The next heartbeat notices the disconnects.
    sleep(Duration::from_secs(20)).await;
    instructions(fixture).await - before
}

/// Counts the instructions of live streams in ten minutes without events.
async fn idle(fixture: &Fixture, subscribers: usize) -> u64 {
    fixture.publish("first").await.event_id();
    let before = instructions(fixture).await;
    let mut streams = vec![];
    for _ in 0..subscribers {
        let mut stream = fixture.subscribe("").await;
        stream.read_opening().await;
        streams.push(stream);
    }
    let reading = streams
        .iter_mut()
        .map(|s| s.read_for(Duration::from_secs(600)));
    join_all(reading).await;
    drop(streams);
    sleep(Duration::from_secs(20)).await;
    instructions(fixture).await - before
}

#[derive(Default)]
struct Table {
    lines: String,
    mismatches: Vec<String>,
}

impl Table {
    /// Adds a line for a workload of `times` units. Each unit should take `expected` instructions.
    fn line(&mut self, workload: &str, instructions: u64, times: u64, expected: u64) {
        let each = instructions / times;
        self.lines += &format!("| {workload} | {each} |\n");
        if each.abs_diff(expected) > expected * TOLERANCE_PERCENT / 100 {
            self.mismatches
                .push(format!("{workload}: {each}, not {expected}"));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn fixed_workloads_take_a_known_number_of_instructions() {
    let application = Application::load_metered().unwrap();
    let fixture = || Fixture::of(&application, &[("max_stream_seconds", "86400")]);
    let mut table = Table::default();

    let one = fixture();
    one.publish("first").await.event_id();
    let before = instructions(&one).await;
    for number in 0..100 {
        one.publish(&numbered_text(number, 200)).await.event_id();
    }
    let each = instructions(&one).await - before;
    table.line("publish an event of 200 B", each, 100, 216_200);

    let many = fixture();
    publish_hundreds(&many, 1).await;
    let before = instructions(&many).await;
    publish_hundreds(&many, 99).await;
    let each = instructions(&many).await - before;
    table.line("publish an event of a batch of 100", each, 9_900, 14_440);

    let before = instructions(&many).await;
    assert_eq!(many.log().await.len(), 9_900 + 100);
    let each = instructions(&many).await - before;
    table.line(
        "replay an event of 200 B, first in the instance",
        each,
        10_000,
        3_370,
    );

    let before = instructions(&many).await;
    let mut replays = vec![];
    for _ in 0..10 {
        replays.push(many.subscribe("?last_event_id=earliest&live=false").await);
    }
    for replay in replays {
        assert_eq!(replay.rest().await.len(), 10_000);
    }
    let each = instructions(&many).await - before;
    table.line(
        "replay an event of 200 B, ten in the instance",
        each,
        100_000,
        816,
    );

    for (streams, expected) in [(1, 725_000), (100, 105_700)] {
        let workload = format!("100 ms of one of {streams} live streams, with an event");
        let all = live(&fixture(), streams).await;
        table.line(&workload, all, 100 * streams as u64, expected);
    }
    for (streams, expected) in [(1, 46_250), (100, 10_630)] {
        let workload = format!("an idle second of one of {streams} streams");
        let all = idle(&fixture(), streams).await;
        table.line(&workload, all, 600 * streams as u64, expected);
    }

    println!("\n| workload | instructions |\n|---|---:|\n{}", table.lines);
    assert!(table.mismatches.is_empty(), "{:#?}", table.mismatches);
}
