//! Streams over several channels of one store.

use std::time::Duration;

use futures::future::join_all;
use runnel_host::store::{Fault, Operation};
use tokio::time::{Instant, sleep};

use crate::block::Event;
use crate::site::{Site, authorized, publish, send};
use crate::subscriber::Subscriber;

const CHANNELS: [&str; 3] = ["a", "b", "c"];
const PATH: &str = "/events?channel=a&channel=b&channel=c";
const MINUTE: Duration = Duration::from_secs(60);

/// A host whose channels have an event each.
async fn prepare(variables: &[(&str, &str)]) -> Site {
    let site = Site::with(variables);
    for channel in CHANNELS {
        say(&site, channel, "first").await;
    }
    sleep(Duration::from_secs(5)).await;
    site
}

async fn say(site: &Site, channel: &str, text: &str) {
    let data = format!("{channel} {text}");
    publish(&site.host, channel, &data).await.id();
}

/// A live stream over [`CHANNELS`] whose first bytes and first mark have been read.
async fn open_live(site: &Site) -> Subscriber {
    let mut subscriber = Subscriber::get(&site.host, PATH).await;
    subscriber.read_opening().await;
    let mark = subscriber.block().await.unwrap();
    assert!(mark.is_mark(), "{mark:?}");
    subscriber
}

/// From now on, all that is read of this channel fails.
fn befall(site: &Site, channel: &str, fault: Fault) {
    let keys = [format!("head!{channel}"), format!("seg!{channel}!")];
    site.befall(move |call| {
        let is_meant = call.key == keys[0] || call.key.starts_with(&keys[1]);
        match call.operation {
            Operation::Get if is_meant => fault,
            _ => Fault::None,
        }
    });
}

fn data(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.data.as_str()).collect()
}

/// How often the store is read in a minute of so many streams, while nothing or something is
/// published.
async fn reads_of(streams: u64, publishes: u64) -> u64 {
    let site = prepare(&[]).await;
    let mut subscribers = vec![];
    for _ in 0..streams {
        subscribers.push(open_live(&site).await);
        // Their timers are out of phase.
        sleep(Duration::from_millis(37)).await;
    }
    join_all(subscribers.iter_mut().map(|s| s.silent_for(MINUTE))).await;
    let before = site.reads("");
    let publishing = async {
        for number in 0..publishes {
            say(&site, CHANNELS[number as usize % 3], &number.to_string()).await;
            sleep(Duration::from_secs(5)).await;
        }
    };
    let reading = join_all(subscribers.iter_mut().map(|s| s.read_for(MINUTE)));
    let (blocks, ()) = tokio::join!(reading, publishing);
    for blocks in blocks {
        let events = blocks.iter().filter(|block| block.data.is_some());
        assert_eq!(events.count() as u64, publishes);
    }
    site.reads("") - before
}

#[tokio::test(start_paused = true)]
async fn a_hundred_idle_streams_over_the_same_channels_read_as_often_as_one() {
    // Three channels, twice a second.
    assert_eq!(reads_of(1, 0).await, 360);
    assert_eq!(reads_of(100, 0).await, 360);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_streams_with_events_read_about_as_often_as_one() {
    let (one, hundred) = (reads_of(1, 11).await, reads_of(100, 11).await);
    println!("{one} reads for one stream, {hundred} for a hundred");
    // They look at common ticks, but do not all deliver in the same millisecond.
    assert!(hundred <= one + one / 10, "{hundred} instead of {one}");
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_with_the_other_channels_while_one_cannot_be_read() {
    for fault in [Fault::ErrorBefore, Fault::Hang(Duration::from_secs(8))] {
        let site = prepare(&[("heartbeat_seconds", "2")]).await;
        let mut subscriber = open_live(&site).await;
        befall(&site, "b", fault);
        subscriber.silent_for(Duration::from_secs(1)).await;
        for round in 0..4 {
            for channel in CHANNELS {
                say(&site, channel, &round.to_string()).await;
            }
            let mut events = subscriber.events(2).await;
            events.sort_by(|one, other| one.data.cmp(&other.data));
            assert_eq!(data(&events), [format!("a {round}"), format!("c {round}")]);
        }
        let silence = subscriber.read_for(Duration::from_secs(5)).await;
        assert!(silence.iter().all(|block| block.is_heartbeat()));
        assert!(silence.len() >= 2, "{silence:?}");
        site.heal();
        let missed = subscriber.events(4).await;
        assert_eq!(data(&missed), ["b 0", "b 1", "b 2", "b 3"]);
        assert_eq!(subscriber.signals, []);
        subscriber.silent_for(Duration::from_secs(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_opens_while_one_channel_cannot_be_read_beats_and_then_delivers_all() {
    // `last=1` counts back from where the log is when it can be read.
    for (start, count) in [("", 3), ("&last_event_id=earliest", 6), ("&last=1", 5)] {
        let site = prepare(&[("heartbeat_seconds", "2")]).await;
        befall(&site, "b", Fault::ErrorBefore);
        let mut subscriber = Subscriber::get(&site.host, &format!("{PATH}{start}")).await;
        subscriber.read_opening().await;
        for channel in CHANNELS {
            say(&site, channel, "new").await;
        }
        subscriber.silent_for(Duration::from_secs(10)).await;
        site.heal();
        let events = subscriber.events(count).await;
        for channel in CHANNELS {
            assert!(data(&events).contains(&format!("{channel} new").as_str()));
        }
        subscriber.silent_for(Duration::from_secs(10)).await;
        assert_eq!(subscriber.signals, []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_one_of_whose_channels_cannot_be_read_for_long_ends_and_is_resumed() {
    let variables = [
        ("heartbeat_seconds", "4"),
        ("store_patience_seconds", "20"),
        ("retry_ms", "1000"),
    ];
    let site = prepare(&variables).await;
    let mut subscriber = open_live(&site).await;
    befall(&site, "b", Fault::ErrorBefore);
    let outage = Instant::now();
    say(&site, "b", "missed").await;
    say(&site, "c", "delivered").await;
    let mut blocks = subscriber.rest_timed(outage).await;
    let (end, last) = blocks.pop().unwrap();
    assert!((20..=26).contains(&end.as_secs()), "{end:?}");
    assert!(last.comments[0].contains("store"), "{last:?}");
    let retry = blocks.iter().find_map(|(_, block)| block.retry).unwrap();
    assert!((8_000..=16_000).contains(&retry), "{retry}");
    let id = blocks.iter().rev().find_map(|(_, block)| block.id.clone());
    let events: Vec<_> = blocks
        .into_iter()
        .filter_map(|(_, block)| block.event())
        .collect();
    assert_eq!(data(&events), ["c delivered"]);
    site.heal();
    let resumed = format!("{PATH}&last_event_id={}", id.unwrap());
    let mut subscriber = Subscriber::get(&site.host, &resumed).await;
    assert_eq!(data(&subscriber.events(1).await), ["b missed"]);
    subscriber.silent_for(Duration::from_secs(10)).await;
    assert_eq!(subscriber.signals, []);
}

#[tokio::test(start_paused = true)]
async fn the_channels_of_a_stream_replay_in_turns() {
    let site = Site::new();
    let line = format!("{{\"data\":\"{:.<1000}\"}}\n", "");
    for channel in CHANNELS {
        for _ in 0..10 {
            let headers = [("content-type", "application/x-ndjson")];
            let path = format!("/publish/{channel}");
            let request = crate::site::authorized_with("POST", &path, &headers, &line.repeat(50));
            send(&site.host, request).await.id();
        }
        let close = authorized("POST", &format!("/channels/{channel}/close"));
        assert_eq!(send(&site.host, close).await.status, 204);
    }
    let mut subscriber =
        Subscriber::get(&site.host, &format!("{PATH}&last_event_id=earliest")).await;
    let events = subscriber.events(1_500).await;
    let places: Vec<_> = events.iter().map(|event| event.id.as_bytes()[1]).collect();
    let turns = places.chunk_by(|one, other| one == other);
    let longest = turns.map(<[u8]>::len).max().unwrap();
    assert!(
        longest <= 2 * 65,
        "{longest} events of one channel in a row"
    );
    assert_eq!(subscriber.event().await, None);
    let [end] = &subscriber.signals[..] else {
        panic!("{:?}", subscriber.signals)
    };
    assert_eq!(end.name.as_deref(), Some("runnel.end"));
    let again = Subscriber::get(&site.host, &format!("{PATH}&last_event_id={}", end.id)).await;
    assert_eq!(again.status, 204);
}
