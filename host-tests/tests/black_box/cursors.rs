//! Resuming after an event, and cursors that cause a gap.

use runnel_testing::{Channel, Stream, data, ids, split_id};
use serde_json::json;

#[tokio::test]
async fn a_stream_resumes_exactly_after_the_last_event_id() {
    let channel = Channel::new();
    let sent = channel.publish_numbers(1..=10).await;
    for index in 0..10 {
        let mut stream = channel.resume(&sent[index]).await;
        let rest = stream.events(9 - index).await;
        assert_eq!(ids(&rest), sent[index + 1..]);
    }
    let mut stream = channel.resume(&sent[9]).await;
    channel.publish_text("11").await;
    assert_eq!(stream.event().await.data, "11");
}

#[tokio::test]
async fn a_cursor_with_seq_0_stands_before_the_first_event() {
    let channel = Channel::new();
    let sent = channel.publish_numbers(1..=2).await;
    let before = format!("{}-0", split_id(&sent[0]).0);
    assert_eq!(ids(&channel.resume(&before).await.events(2).await), sent);
}

#[tokio::test]
async fn the_last_event_id_is_accepted_under_three_query_names() {
    let channel = Channel::new();
    let sent = channel.publish_numbers(1..=3).await;
    for name in ["last_event_id", "lastEventId", "Last-Event-ID"] {
        let query = format!("?live=false&{name}={}", sent[1]);
        let stream = channel.subscribe(&query).await;
        assert_eq!(ids(&stream.rest().await), sent[2..]);
    }
}

#[tokio::test]
async fn the_last_event_id_header_overrides_the_query_which_overrides_last() {
    let channel = Channel::new();
    let sent = channel.publish_numbers(1..=5).await;
    let query = format!("?live=false&last_event_id={}&last=1", sent[0]);
    let both = channel.events(&query).header("last-event-id", &sent[2]);
    let events = Stream::of(both.open().await).rest().await;
    assert_eq!(ids(&events), sent[3..]);
    let events = channel.subscribe(&query).await.rest().await;
    assert_eq!(ids(&events), sent[1..]);
    // A client that has not received an id yet may send an empty header.
    let empty = channel.events(&query).header("last-event-id", "");
    let events = Stream::of(empty.open().await).rest().await;
    assert_eq!(ids(&events), sent[1..]);
}

/// Returns a cursor as a gap repeats it: truncated to the maximum length of an id.
pub(crate) fn requested(cursor: &[u8]) -> String {
    String::from_utf8_lossy(cursor).chars().take(128).collect()
}

/// Asserts that a stream with this cursor reports a gap and resumes at the oldest event.
async fn assert_gap(channel: &Channel, sent: &[String], cursor: &[u8], reason: &str) {
    let request = channel.events("").header("last-event-id", cursor);
    let mut stream = Stream::of(request.open().await);
    let (id, gap) = stream.control_event("runnel.gap").await;
    assert_eq!(gap["reason"], reason);
    assert_eq!(gap["requested"], requested(cursor));
    assert_eq!(gap["resumed_from"], sent[0]);
    // The control event carries the position before the oldest event, so a reconnect sees no second gap.
    let (epoch, first) = split_id(&sent[0]);
    assert_eq!(id, format!("{epoch}-{}", first - 1));
    assert_eq!(ids(&stream.events(sent.len()).await), sent);
    let next = channel.publish_text("next").await;
    assert_eq!(stream.event().await.id, next);
}

#[tokio::test]
async fn an_unreadable_cursor_is_reported_as_a_reset_gap() {
    let overlong = "x".repeat(5_000);
    let digits = format!("abcdef-{}", "9".repeat(4_990));
    let unreadable: [&[u8]; 18] = [
        b"garbage",
        b"00",
        b"~",
        b"~0",
        b"~0AAAAAAAAAAAA",
        b"~0AAAAAAAAAAAAAAAAAAAAAAAA",
        b"~9AAAAAAAAAAAAAAAAAAAAAAAA",
        "~\u{e9}0AAAAAAAAAAAA".as_bytes(),
        b"-",
        b"abcdef",
        b"abcdef-",
        b"abcdef--1",
        b"abcdef-18446744073709551616",
        b"abcdef-1~abcdef-1",
        b"\"quoted\" \\ {json}",
        "caf\u{e9} \u{2026}".as_bytes(),
        overlong.as_bytes(),
        digits.as_bytes(),
    ];
    for cursor in unreadable {
        let channel = Channel::new();
        let sent = channel.publish_numbers(1..=3).await;
        assert_gap(&channel, &sent, cursor, "reset").await;
    }
}

#[tokio::test]
async fn a_cursor_of_another_log_is_reported_as_a_reset_gap() {
    let channel = Channel::new();
    let sent = channel.publish_numbers(1..=3).await;
    let (epoch, seq) = split_id(&sent[1]);
    let other = if epoch == "000000" {
        "zzzzzz"
    } else {
        "000000"
    };
    let cursor = format!("{other}-{seq}");
    assert_gap(&channel, &sent, cursor.as_bytes(), "reset").await;
}

#[tokio::test]
async fn a_cursor_ahead_of_the_log_is_reported_as_an_ahead_gap() {
    for ahead in [4, 1_000, u64::MAX] {
        let channel = Channel::new();
        let sent = channel.publish_numbers(1..=3).await;
        let cursor = format!("{}-{ahead}", split_id(&sent[0]).0);
        assert_gap(&channel, &sent, cursor.as_bytes(), "ahead").await;
    }
}

#[tokio::test]
async fn a_cursor_on_a_channel_without_a_log_is_reported_as_a_reset_gap() {
    for cursor in ["abcdef-7", "garbage"] {
        for query in ["", "?live=false"] {
            let channel = Channel::new();
            let request = channel.events(query).header("last-event-id", cursor);
            let mut stream = Stream::of(request.open().await);
            let (id, gap) = stream.control_event("runnel.gap").await;
            let expected = json!({
                "channel": channel.name,
                "reason": "reset",
                "requested": cursor,
                "resumed_from": null,
            });
            assert_eq!((id.as_str(), gap), ("0", expected));
            // Resuming from there delivers all events published later, without another gap.
            let mut resumed = channel.resume(&id).await;
            let first = channel.publish_text("first").await;
            assert_eq!(resumed.event().await.id, first);
            if query.is_empty() {
                assert_eq!(stream.event().await.id, first);
            } else {
                assert!(stream.rest().await.is_empty());
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_keeps_reconnecting_receives_every_event_once() {
    const EVENTS: u32 = 200;
    let channel = Channel::new();
    let publisher = tokio::spawn({
        let channel = channel.clone();
        async move { channel.publish_numbers(1..=EVENTS).await }
    });
    let mut cursor = "earliest".to_owned();
    let mut received = vec![];
    for round in 0..20 {
        let mut stream = channel.resume(&cursor).await;
        for event in stream.events(1 + round % 5).await {
            assert_eq!(event.event, "message");
            cursor.clone_from(&event.id);
            received.push(event);
        }
    }
    let sent = publisher.await.unwrap();
    let mut stream = channel.resume(&cursor).await;
    received.extend(stream.events(sent.len() - received.len()).await);
    assert_eq!(ids(&received), sent);
    let numbers: Vec<_> = (1..=EVENTS).map(|number| number.to_string()).collect();
    assert_eq!(data(&received), numbers);
}
