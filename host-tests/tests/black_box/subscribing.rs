//! The headers of a stream, its first bytes, and where it starts.

use std::time::Duration;

use runnel_testing::{Channel, Stream, data, ids, split_id};
use serde_json::json;

/// Waits for a later millisecond, because a stream cannot tell whether an event of the millisecond in
/// which it was opened came first.
async fn wait_for_later_millisecond() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}

#[tokio::test]
async fn stream_headers_disable_caching_and_buffering() {
    let channel = Channel::new();
    let stream = channel.subscribe("").await;
    let header = |name: &str| {
        let values: Vec<_> = stream.headers.get_all(name).iter().collect();
        values
    };
    assert_eq!(header("content-type"), ["text/event-stream; charset=utf-8"]);
    assert_eq!(header("cache-control"), ["no-store, no-transform"]);
    assert_eq!(header("x-accel-buffering"), ["no"]);
    assert!(header("content-length").is_empty());
    assert!(header("content-encoding").is_empty());
}

#[tokio::test]
async fn a_stream_opens_with_an_event_that_has_its_position_and_its_times() {
    let channel = Channel::new();
    let mut stream = channel.subscribe("").await;
    let (id, open) = stream.open_event().await;
    assert_eq!(id, "0");
    let text = stream.text();
    let block = text.strip_suffix("\n\n").unwrap();
    let lines: Vec<_> = block.split('\n').collect();
    let [": runnel", "event: runnel.open", retry, data, "id: 0"] = lines[..] else {
        panic!("{text:?}")
    };
    assert!(data.starts_with("data: {"), "JSON on one line");
    let millis: u64 = retry.strip_prefix("retry: ").unwrap().parse().unwrap();
    assert!(millis > 0);
    let since_1970 = std::time::UNIX_EPOCH.elapsed().unwrap();
    let server = Duration::from_millis(open["time"].as_u64().unwrap());
    assert!(server.abs_diff(since_1970) < Duration::from_secs(60));
    let expected = json!({
        "channels": [channel.name],
        "cursor": "0",
        "time": open["time"],
        "heartbeat_ms": 15_000,
        "retry_ms": millis,
    });
    assert_eq!(open, expected);
}

#[tokio::test]
async fn a_live_stream_starts_with_its_position_and_resumes_there() {
    let channel = Channel::new();
    let last = channel.publish_numbers(1..=3).await.remove(2);
    wait_for_later_millisecond().await;
    let mut stream = channel.subscribe("").await;
    assert_eq!(stream.next_position("").await, last);
    drop(stream);
    let missed = channel.publish_text("missed").await;
    let mut stream = channel.resume(&last).await;
    assert_eq!(stream.event().await.id, missed);
    // Some clients forget their last event id when the first event has none.
    let text = stream.text();
    let (first, _) = text.split_once("\n\n").unwrap();
    assert!(
        first.starts_with(": runnel\nevent: runnel.open\n"),
        "{text:?}"
    );
    assert!(first.ends_with(&format!("\nid: {last}")), "{text:?}");
}

#[tokio::test]
async fn a_position_from_before_the_first_event_resumes_with_all_events() {
    let channel = Channel::new();
    let mut stream = channel.subscribe("").await;
    let before = stream.next_position("").await;
    drop(stream);
    let sent = channel.publish_numbers(1..=3).await;
    assert_eq!(ids(&channel.resume(&before).await.events(3).await), sent);
}

#[tokio::test]
async fn a_stream_starts_live_by_default() {
    let channel = Channel::new();
    channel.publish_numbers(1..=3).await;
    wait_for_later_millisecond().await;
    let mut stream = channel.subscribe("").await;
    stream.opened().await;
    channel.publish_text("news").await;
    assert_eq!(stream.event().await.data, "news");
}

#[tokio::test]
async fn an_event_published_right_after_opening_reaches_the_stream_of_a_new_channel() {
    for round in 0..25 {
        let channel = Channel::new();
        let mut stream = channel.subscribe("").await;
        stream.opened().await;
        let id = channel.publish_text(format!("{round}")).await;
        let event = stream.event().await;
        assert_eq!((event.id, event.data), (id, format!("{round}")));
    }
}

#[tokio::test]
async fn an_event_published_right_after_opening_reaches_the_stream_of_a_used_channel() {
    let channel = Channel::new();
    for round in 0..50 {
        wait_for_later_millisecond().await;
        let mut stream = channel.subscribe("").await;
        stream.opened().await;
        let id = channel.publish_text(format!("{round}")).await;
        let event = stream.event().await;
        assert_eq!((event.id, event.data), (id, format!("{round}")));
    }
}

#[tokio::test]
async fn the_newest_events_are_replayed_and_followed_by_live_ones() {
    let channel = Channel::new();
    let sent = channel.publish_numbers(1..=5).await;
    let mut stream = channel.subscribe("?last=2").await;
    let replayed = stream.events(2).await;
    assert_eq!(ids(&replayed), sent[3..]);
    channel.publish_text("6").await;
    assert_eq!(stream.event().await.data, "6");

    let stream = channel.subscribe("?last=100&live=false").await;
    assert_eq!(data(&stream.rest().await), ["1", "2", "3", "4", "5", "6"]);
}

#[tokio::test]
async fn earliest_replays_all_retained_events() {
    let channel = Channel::new();
    let sent = channel.publish_numbers(1..=5).await;
    for request in [
        channel.events("?last_event_id=earliest&live=false"),
        channel
            .events("?live=false")
            .header("last-event-id", "earliest"),
    ] {
        let stream = Stream::of(request.open().await);
        assert_eq!(ids(&stream.rest().await), sent);
    }
}

#[tokio::test]
async fn a_replay_without_live_events_ends_and_is_204_if_empty() {
    let channel = Channel::new();
    for query in [
        "?live=false",
        "?live=false&last=5",
        "?live=false&last_event_id=earliest",
    ] {
        let response = channel.events(query).send().await.expect_status(204);
        assert_eq!(response.body, "");
    }
    let last = channel.publish_numbers(1..=3).await.remove(2);
    let events = channel.subscribe("?live=false&last=2").await;
    assert_eq!(data(&events.rest().await), ["2", "3"]);
    let nothing_new = channel.events("?live=false").header("last-event-id", last);
    nothing_new.send().await.expect_status(204);
}

#[tokio::test]
async fn a_replay_across_segments_is_complete() {
    let channel = Channel::new();
    let line = |number: u32| format!("{{\"data\":\"{number} {}\"}}\n", "x".repeat(990));
    for batch in 0..12 {
        let lines: String = (0..50).map(|index| line(batch * 50 + index)).collect();
        let request = channel.publish("").body("application/x-ndjson", lines);
        request.send().await.expect_status(201);
    }
    let mut stream = channel.subscribe("?last_event_id=earliest").await;
    let events = stream.events(600).await;
    for (event, number) in events.iter().zip(0..) {
        let (first, _) = event.data.split_once(' ').unwrap();
        assert_eq!(
            (first, event.data.len() > 990),
            (number.to_string().as_str(), true)
        );
        assert_eq!(split_id(&event.id).1, number + 1);
    }
    channel.publish_text("live").await;
    assert_eq!(stream.event().await.data, "live");
}

#[tokio::test]
async fn a_stream_receives_only_events_of_its_channel() {
    let (one, two) = (Channel::new(), Channel::new());
    let mut below = one.clone();
    below.name = format!("{}/below", one.name);
    let mut streams = vec![];
    for channel in [&one, &two, &below] {
        let mut stream = channel.subscribe("").await;
        stream.opened().await;
        streams.push(stream);
    }
    for (channel, text) in [(&one, "one"), (&two, "two"), (&below, "below")] {
        channel.publish_text(text).await;
    }
    for (stream, text) in streams.iter_mut().zip(["one", "two", "below"]) {
        let event = stream.event().await;
        assert_eq!((event.data.as_str(), split_id(&event.id).1), (text, 1));
    }
}

#[tokio::test]
async fn a_channel_name_may_be_percent_encoded() {
    let channel = Channel::new();
    let id = channel.publish_text("x").await;
    let mut encoded = channel.clone();
    encoded.name = channel.name.replace('/', "%2F").replacen("box", "%62ox", 1);
    assert_eq!(encoded.log().await, [(id, "x".to_owned())]);
}
