//! A stream's head, its first bytes, and where it starts.

use std::time::Duration;

use crate::channel::{Channel, parts};
use crate::stream::{data, ids};

/// Times are kept in milliseconds: within one, a stream cannot tell what came before it.
async fn a_later_millisecond() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}

#[tokio::test]
async fn the_head_of_a_stream_keeps_caches_and_proxies_away() {
    let channel = Channel::new();
    let stream = channel.subscribe("").await;
    let header = |name: &str| {
        let values: Vec<_> = stream.headers.get_all(name).iter().collect();
        values
    };
    assert_eq!(header("content-type"), ["text/event-stream"]);
    assert_eq!(header("cache-control"), ["no-store, no-transform"]);
    assert_eq!(header("x-accel-buffering"), ["no"]);
    assert!(header("content-length").is_empty());
    assert!(header("content-encoding").is_empty());
}

#[tokio::test]
async fn a_channel_nobody_published_to_opens_at_once_with_a_retry_and_a_comment() {
    let mut stream = Channel::new().subscribe("").await;
    stream.begun().await;
    assert_eq!(stream.marked("").await, "0");
    let text = stream.text();
    let blocks: Vec<_> = text.split_terminator("\n\n").collect();
    let [retry, comment, "id: 0"] = blocks[..] else {
        panic!("{text:?}")
    };
    let millis: u64 = retry.strip_prefix("retry: ").unwrap().parse().unwrap();
    assert!(millis > 0);
    assert!(comment.starts_with(": ") && !comment.contains('\n'));
}

#[tokio::test]
async fn a_live_stream_is_told_where_it_stands_and_resumes_there() {
    let channel = Channel::new();
    let last = channel.count(1..=3).await.remove(2);
    a_later_millisecond().await;
    let mut stream = channel.subscribe("").await;
    assert_eq!(stream.marked("").await, last);
    drop(stream);
    let missed = channel.say("missed").await;
    let mut stream = channel.resume(&last).await;
    assert_eq!(stream.event().await.id, missed);
    // Some clients forget their id with the first block that has none.
    let text = stream.text();
    let (first, _) = text.split_once("\n\n").unwrap();
    assert!(first.starts_with("retry: "), "{text:?}");
    assert!(first.ends_with(&format!("\nid: {last}")), "{text:?}");
}

#[tokio::test]
async fn a_client_that_was_there_before_the_log_began_gets_all_of_it() {
    let channel = Channel::new();
    let mut stream = channel.subscribe("").await;
    let before = stream.marked("").await;
    drop(stream);
    let sent = channel.count(1..=3).await;
    assert_eq!(ids(&channel.resume(&before).await.events(3).await), sent);
}

#[tokio::test]
async fn a_stream_is_live_unless_it_asks_for_the_past() {
    let channel = Channel::new();
    channel.count(1..=3).await;
    a_later_millisecond().await;
    let mut stream = channel.subscribe("").await;
    stream.begun().await;
    channel.say("news").await;
    assert_eq!(stream.event().await.data, "news");
}

#[tokio::test]
async fn nothing_is_lost_between_open_and_publish_on_new_channels() {
    for round in 0..25 {
        let channel = Channel::new();
        let mut stream = channel.subscribe("").await;
        stream.begun().await;
        let id = channel.say(format!("{round}")).await;
        let event = stream.event().await;
        assert_eq!((event.id, event.data), (id, format!("{round}")));
    }
}

#[tokio::test]
async fn nothing_is_lost_between_open_and_publish_on_a_channel_in_use() {
    let channel = Channel::new();
    for round in 0..50 {
        a_later_millisecond().await;
        let mut stream = channel.subscribe("").await;
        stream.begun().await;
        let id = channel.say(format!("{round}")).await;
        let event = stream.event().await;
        assert_eq!((event.id, event.data), (id, format!("{round}")));
    }
}

#[tokio::test]
async fn the_newest_events_are_replayed_and_followed_by_live_ones() {
    let channel = Channel::new();
    let sent = channel.count(1..=5).await;
    let mut stream = channel.subscribe("?last=2").await;
    let replayed = stream.events(2).await;
    assert_eq!(ids(&replayed), sent[3..]);
    channel.say("6").await;
    assert_eq!(stream.event().await.data, "6");

    let stream = channel.subscribe("?last=100&live=false").await;
    assert_eq!(data(&stream.rest().await), ["1", "2", "3", "4", "5", "6"]);
}

#[tokio::test]
async fn earliest_replays_all_that_is_kept() {
    let channel = Channel::new();
    let sent = channel.count(1..=5).await;
    for spelling in [
        channel.events("?last_event_id=earliest&live=false"),
        channel
            .events("?live=false")
            .header("last-event-id", "earliest"),
    ] {
        let events = crate::stream::Stream::of(spelling.open().await);
        assert_eq!(ids(&events.rest().await), sent);
    }
}

#[tokio::test]
async fn a_stream_of_the_past_ends_and_is_204_when_there_is_nothing() {
    let channel = Channel::new();
    for query in [
        "?live=false",
        "?live=false&last=5",
        "?live=false&last_event_id=earliest",
    ] {
        let answer = channel.events(query).send().await.has(204);
        assert_eq!(answer.body, "");
    }
    let last = channel.count(1..=3).await.remove(2);
    let events = channel.subscribe("?live=false&last=2").await;
    assert_eq!(data(&events.rest().await), ["2", "3"]);
    let nothing_new = channel.events("?live=false").header("last-event-id", last);
    nothing_new.send().await.has(204);
}

#[tokio::test]
async fn a_replay_that_is_longer_than_a_segment_is_complete() {
    let channel = Channel::new();
    let line = |number: u32| format!("{{\"data\":\"{number} {}\"}}\n", "x".repeat(990));
    for batch in 0..12 {
        let lines: String = (0..50).map(|place| line(batch * 50 + place)).collect();
        let request = channel.publish("").body("application/x-ndjson", lines);
        request.send().await.has(201);
    }
    let mut stream = channel.subscribe("?last_event_id=earliest").await;
    let events = stream.events(600).await;
    for (event, number) in events.iter().zip(0..) {
        let (first, _) = event.data.split_once(' ').unwrap();
        assert_eq!(
            (first, event.data.len() > 990),
            (number.to_string().as_str(), true)
        );
        assert_eq!(parts(&event.id).1, number + 1);
    }
    channel.say("live").await;
    assert_eq!(stream.event().await.data, "live");
}

#[tokio::test]
async fn channels_do_not_hear_each_other() {
    let (one, two) = (Channel::new(), Channel::new());
    let mut below = one.clone();
    below.name = format!("{}/below", one.name);
    let mut streams = vec![];
    for channel in [&one, &two, &below] {
        let mut stream = channel.subscribe("").await;
        stream.begun().await;
        streams.push(stream);
    }
    for (channel, text) in [(&one, "one"), (&two, "two"), (&below, "below")] {
        channel.say(text).await;
    }
    for (stream, text) in streams.iter_mut().zip(["one", "two", "below"]) {
        let event = stream.event().await;
        assert_eq!((event.data.as_str(), parts(&event.id).1), (text, 1));
    }
}

#[tokio::test]
async fn a_name_may_be_percent_encoded() {
    let channel = Channel::new();
    let id = channel.say("x").await;
    let mut encoded = channel.clone();
    encoded.name = channel.name.replace('/', "%2F").replacen("box", "%62ox", 1);
    assert_eq!(encoded.log().await, [(id, "x".to_owned())]);
}
