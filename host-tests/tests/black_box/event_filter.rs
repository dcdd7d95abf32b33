//! Streams and pages filtered by event type.

use runnel_testing::{Channel, data, ids, shared_server};

use crate::channels::Channels;

/// Publishes one event per type, without a type for `message`, and returns the ids.
async fn publish_types(channel: &Channel, types: &[&str]) -> Vec<String> {
    let mut ids = vec![];
    for (event_type, number) in types.iter().zip(1..) {
        let text = format!("{number} {event_type}");
        ids.push(match *event_type {
            "message" => channel.publish_text(text).await,
            event_type => channel.publish_typed(event_type, text).await,
        });
    }
    ids
}

#[tokio::test]
async fn only_events_of_the_requested_types_are_delivered() {
    let channel = Channel::new();
    let sent = publish_types(&channel, &["a", "message", "b", "a.b", "A", "b", "größe"]).await;
    for (query, expected) in [
        ("&event=a", vec![0]),
        ("&event=b", vec![2, 5]),
        ("&event=a&event=b", vec![0, 2, 5]),
        ("&event=message", vec![1]),
        ("&event=message&event=a.b", vec![1, 3]),
        ("&event=gr%C3%B6%C3%9Fe&event=A", vec![4, 6]),
        ("&event=a&event=a", vec![0]),
        ("&event=runnel.gap", vec![]),
        ("&event=runnel.open&event=runnel.position", vec![]),
        ("&event=none", vec![]),
        ("&event=a,b", vec![]),
    ] {
        let query = format!("?last_event_id=earliest&live=false{query}");
        let stream = channel.subscribe(&query).await;
        let expected: Vec<_> = expected.iter().map(|index: &usize| &sent[*index]).collect();
        assert_eq!(ids(&stream.rest().await), expected, "{query}");
        let page = channel.events(&query).fetch_json().await;
        let events = page["events"].as_array().unwrap();
        assert!(
            events.iter().map(|event| &event["id"]).eq(expected),
            "{page}"
        );
        assert_eq!(page["cursor"], sent[6]);
    }
}

#[tokio::test]
async fn the_type_message_is_the_same_as_no_type() {
    let channel = Channel::new();
    let named = channel.publish_typed("message", "x").await;
    let query = "?last=1&live=false&event=message";
    assert_eq!(ids(&channel.subscribe(query).await.rest().await), [named]);
}

#[tokio::test]
async fn last_counts_events_of_all_types() {
    let channel = Channel::new();
    publish_types(&channel, &["a", "b", "a", "b"]).await;
    let stream = channel.subscribe("?last=3&live=false&event=a").await;
    assert_eq!(data(&stream.rest().await), ["3 a"]);
}

#[tokio::test]
async fn filtered_events_still_advance_the_cursor() {
    let channel = Channel::new();
    let sent = publish_types(&channel, &["wanted", "other", "other"]).await;
    let mut stream = channel.subscribe("?last=9&event=wanted").await;
    assert_eq!(stream.event().await.id, sent[0]);
    assert_eq!(stream.next_position(&sent[0]).await, sent[2]);
    // Filtered live events advance the cursor, too.
    let other = channel.publish_typed("other", "live").await;
    assert_eq!(stream.next_position(&sent[2]).await, other);
    drop(stream);
    // Resuming there delivers the next matching event.
    let wanted = channel.publish_typed("wanted", "next").await;
    let query = format!("?event=wanted&last_event_id={other}");
    let mut stream = channel.subscribe(&query).await;
    assert_eq!(stream.event().await.id, wanted);
}

#[tokio::test]
async fn a_replay_whose_events_are_all_filtered_ends_with_the_last_id() {
    let channel = Channel::new();
    let sent = publish_types(&channel, &["a", "b", "c"]).await;
    let query = format!("?event=none&live=false&last_event_id={}", sent[0]);
    let response = channel.events(&query).send().await.expect_status(200);
    let text = String::from_utf8_lossy(&response.body);
    let (_, after_opening) = text.split_once("\n\n").unwrap();
    let last = &sent[2];
    assert_eq!(
        after_opening,
        format!("event: runnel.position\ndata: {{\"cursor\":\"{last}\"}}\nid: {last}\n\n")
    );
}

#[tokio::test]
async fn control_events_are_never_filtered() {
    let channel = Channel::new();
    let sent = publish_types(&channel, &["a", "b"]).await;
    let mut stream = channel.subscribe("?event=a&last_event_id=garbage").await;
    stream.open_event().await;
    let (_, gap) = stream.control_event("runnel.gap").await;
    assert_eq!(gap["resumed_from"], sent[0]);
    assert_eq!(stream.event().await.id, sent[0]);
    channel.close().await;
    let (id, _) = stream.control_event("runnel.end").await;
    assert_eq!(id, sent[1]);
    let again = channel.events("?event=a").header("last-event-id", id);
    again.send().await.expect_status(204);
}

#[tokio::test]
async fn a_filter_applies_to_all_channels_of_a_stream() {
    let channels = Channels::new(3);
    for channel in &channels.0 {
        publish_types(channel, &["wanted", "other", "message"]).await;
    }
    let query = "&last_event_id=earliest&live=false&event=wanted&event=message";
    let events = channels.subscribe(query).await.rest().await;
    let mut texts = data(&events);
    texts.sort_unstable();
    let (wanted, message) = ("1 wanted", "3 message");
    assert_eq!(texts, [wanted, wanted, wanted, message, message, message]);

    let mut stream = channels.subscribe("&event=wanted").await;
    let mut position = stream.next_position("").await;
    for channel in &channels.0 {
        channel.publish_typed("other", "left out").await;
        position = stream.next_position(&position).await;
    }
    drop(stream);
    let mut stream = channels.resume(&position).await;
    stream.opened().await;
    channels.0[2].publish_text("next").await;
    assert_eq!(stream.event().await.data, "next");
}

#[tokio::test]
async fn an_invalid_type_in_a_filter_is_rejected() {
    let server = shared_server();
    for (query, about) in [
        ("event=", "empty"),
        ("event", "empty"),
        ("event=a&event=", "empty"),
        ("event=a%0Ab", "line feed"),
        ("event=a%0D", "line feed"),
        ("event=%00", "NUL"),
    ] {
        let response = server.get(&format!("/events/a?{query}")).send().await;
        response.assert_problem(400, "event-type", about);
    }
    let types = |count: usize| vec!["event=x"; count].join("&");
    let many = server.get(&format!("/events/a?{}", types(33)));
    many.send().await.assert_problem(400, "query", "33 times");
    let enough = Channel::new().events(&format!("?live=false&{}", types(32)));
    enough.send().await.expect_status(204);
}
