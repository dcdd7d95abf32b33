//! Streams over several channels.

use std::time::Duration;

use futures::future::join_all;
use runnel_host::store::{Call, Fault, FaultPlan, Operation};
use runnel_testing::{Event, Fixture, Subscriber, authorized, authorized_with, publish, send};
use tokio::time::{Instant, sleep};

const CHANNELS: [&str; 3] = ["a", "b", "c"];
const PATH: &str = "/events?channel=a&channel=b&channel=c";
const MINUTE: Duration = Duration::from_secs(60);

/// Returns a host whose channels have one event each.
async fn prepare(variables: &[(&str, &str)]) -> Fixture {
    let fixture = Fixture::with(variables);
    for channel in CHANNELS {
        publish_to(&fixture, channel, "first").await;
    }
    sleep(Duration::from_secs(5)).await;
    fixture
}

async fn publish_to(fixture: &Fixture, channel: &str, text: &str) {
    let data = format!("{channel} {text}");
    publish(&fixture.host, channel, &data).await.event_id();
}

/// Opens a live stream over [`CHANNELS`], and reads its opening, which has its position.
async fn open_live(fixture: &Fixture) -> Subscriber {
    let mut subscriber = Subscriber::get(&fixture.host, PATH).await;
    assert!(subscriber.read_opening().await.id.is_some());
    subscriber
}

/// Injects a fault into all reads of a channel.
fn fail_reads_of(fixture: &Fixture, channel: &str, fault: Fault) {
    let keys = [format!("head!{channel}"), format!("seg!{channel}!")];
    let is_read_of_channel = move |call: &Call<'_>| {
        let is_of_channel = call.key == keys[0] || call.key.starts_with(&keys[1]);
        is_of_channel && call.operation == Operation::Get
    };
    fixture
        .store
        .inject(FaultPlan::when(is_read_of_channel, fault));
}

fn data(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.data.as_str()).collect()
}

/// Counts the store reads of `streams` streams in a minute with `publishes` events.
async fn reads_of(streams: u64, publishes: u64) -> u64 {
    let fixture = prepare(&[]).await;
    let mut subscribers = vec![];
    for _ in 0..streams {
        subscribers.push(open_live(&fixture).await);
        // Their timers are out of phase.
        sleep(Duration::from_millis(37)).await;
    }
    join_all(subscribers.iter_mut().map(|s| s.assert_idle_for(MINUTE))).await;
    let before = fixture.store.reads("");
    let publishing = async {
        for number in 0..publishes {
            publish_to(&fixture, CHANNELS[number as usize % 3], &number.to_string()).await;
            sleep(Duration::from_secs(5)).await;
        }
    };
    let reading = join_all(subscribers.iter_mut().map(|s| s.read_for(MINUTE)));
    let (frames, ()) = tokio::join!(reading, publishing);
    for frames in frames {
        let events = frames.iter().filter(|frame| frame.data.is_some());
        assert_eq!(events.count() as u64, publishes);
    }
    fixture.store.reads("") - before
}

#[tokio::test(start_paused = true)]
async fn a_hundred_idle_streams_over_the_same_channels_share_the_reads_of_one() {
    // Three channels, twice a second.
    assert_eq!(reads_of(1, 0).await, 360);
    assert_eq!(reads_of(100, 0).await, 360);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_streams_with_events_make_about_as_many_reads_as_one() {
    let (one, hundred) = (reads_of(1, 11).await, reads_of(100, 11).await);
    println!("{one} reads for one stream, {hundred} for a hundred");
    // They poll at common ticks, but do not all deliver in the same millisecond.
    assert!(hundred <= one + one / 10, "{hundred} instead of {one}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_continues_with_the_other_channels_while_one_cannot_be_read() {
    for fault in [Fault::ErrorBefore, Fault::Delay(Duration::from_secs(8))] {
        let fixture = prepare(&[("heartbeat_seconds", "2")]).await;
        let mut subscriber = open_live(&fixture).await;
        fail_reads_of(&fixture, "b", fault);
        subscriber.assert_idle_for(Duration::from_secs(1)).await;
        for round in 0..4 {
            for channel in CHANNELS {
                publish_to(&fixture, channel, &round.to_string()).await;
            }
            let mut events = subscriber.events(2).await;
            events.sort_by(|one, other| one.data.cmp(&other.data));
            assert_eq!(data(&events), [format!("a {round}"), format!("c {round}")]);
        }
        let silence = subscriber.read_for(Duration::from_secs(5)).await;
        assert!(silence.iter().all(|frame| frame.is_heartbeat()));
        assert!(silence.len() >= 2, "{silence:?}");
        fixture.store.heal();
        let missed = subscriber.events(4).await;
        assert_eq!(data(&missed), ["b 0", "b 1", "b 2", "b 3"]);
        assert_eq!(subscriber.control_events, []);
        subscriber.assert_idle_for(Duration::from_secs(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_opens_while_one_channel_cannot_be_read_later_delivers_everything() {
    // `last=1` counts from the end of the log at the time when it can be read.
    for (start, count) in [("", 3), ("&last_event_id=earliest", 6), ("&last=1", 5)] {
        let fixture = prepare(&[("heartbeat_seconds", "2")]).await;
        fail_reads_of(&fixture, "b", Fault::ErrorBefore);
        let mut subscriber = Subscriber::get(&fixture.host, &format!("{PATH}{start}")).await;
        subscriber.read_opening().await;
        for channel in CHANNELS {
            publish_to(&fixture, channel, "new").await;
        }
        subscriber.assert_idle_for(Duration::from_secs(10)).await;
        fixture.store.heal();
        let events = subscriber.events(count).await;
        for channel in CHANNELS {
            assert!(data(&events).contains(&format!("{channel} new").as_str()));
        }
        subscriber.assert_idle_for(Duration::from_secs(10)).await;
        assert_eq!(subscriber.control_events, []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_and_is_resumable_if_one_channel_cannot_be_read_for_long() {
    let variables = [
        ("heartbeat_seconds", "4"),
        ("store_patience_seconds", "20"),
        ("retry_ms", "1000"),
    ];
    let fixture = prepare(&variables).await;
    let mut subscriber = open_live(&fixture).await;
    fail_reads_of(&fixture, "b", Fault::ErrorBefore);
    let outage = Instant::now();
    publish_to(&fixture, "b", "missed").await;
    publish_to(&fixture, "c", "delivered").await;
    let mut frames = subscriber.rest_timed(outage).await;
    let (end, last) = frames.pop().unwrap();
    assert!((20..=26).contains(&end.as_secs()), "{end:?}");
    let (retry, id) = (last.retry.unwrap(), last.id.clone());
    assert!((8_000..=16_000).contains(&retry), "{retry}");
    let end = last.event().unwrap();
    assert_eq!(end.name.as_deref(), Some("runnel.reconnect"));
    assert!(end.data.contains("\"store\""), "{end:?}");
    let events: Vec<_> = frames
        .into_iter()
        .filter_map(|(_, frame)| frame.event())
        .collect();
    assert_eq!(data(&events), ["c delivered"]);
    fixture.store.heal();
    let resumed = format!("{PATH}&last_event_id={}", id.unwrap());
    let mut subscriber = Subscriber::get(&fixture.host, &resumed).await;
    assert_eq!(data(&subscriber.events(1).await), ["b missed"]);
    subscriber.assert_idle_for(Duration::from_secs(10)).await;
    assert_eq!(subscriber.control_events, []);
}

#[tokio::test(start_paused = true)]
async fn the_replays_of_the_channels_are_interleaved() {
    let fixture = Fixture::new();
    let line = format!("{{\"data\":\"{:.<1000}\"}}\n", "");
    for channel in CHANNELS {
        for _ in 0..10 {
            let headers = [("content-type", "application/x-ndjson")];
            let path = format!("/publish/{channel}");
            let request = authorized_with("POST", &path, &headers, &line.repeat(50));
            send(&fixture.host, request).await.event_id();
        }
        let close = authorized("POST", &format!("/channels/{channel}/close"));
        assert_eq!(send(&fixture.host, close).await.status, 204);
    }
    let mut subscriber =
        Subscriber::get(&fixture.host, &format!("{PATH}&last_event_id=earliest")).await;
    let events = subscriber.events(1_500).await;
    let channels: Vec<_> = events.iter().map(|event| event.id.as_bytes()[1]).collect();
    let runs = channels.chunk_by(|one, other| one == other);
    let longest = runs.map(<[u8]>::len).max().unwrap();
    assert!(
        longest <= 2 * 65,
        "{longest} events of one channel in a row"
    );
    assert_eq!(subscriber.event().await, None);
    let [end] = &subscriber.control_events[..] else {
        panic!("{:?}", subscriber.control_events)
    };
    assert_eq!(end.name.as_deref(), Some("runnel.end"));
    let again = Subscriber::get(&fixture.host, &format!("{PATH}&last_event_id={}", end.id)).await;
    assert_eq!(again.status, 204);
}
