//! Streams of events of some types.

use crate::channel::Channel;
use crate::channels::Channels;
use crate::server::server;
use crate::stream::{data, ids};

/// Publishes events of these types, `message` standing for none; returns their ids.
async fn publish(channel: &Channel, types: &[&str]) -> Vec<String> {
    let mut ids = vec![];
    for (event_type, number) in types.iter().zip(1..) {
        let text = format!("{number} {event_type}");
        ids.push(match *event_type {
            "message" => channel.say(text).await,
            event_type => channel.say_of_type(event_type, text).await,
        });
    }
    ids
}

#[tokio::test]
async fn only_events_of_the_types_that_are_named_are_delivered() {
    let channel = Channel::new();
    let sent = publish(&channel, &["a", "message", "b", "a.b", "A", "b", "größe"]).await;
    for (query, expected) in [
        ("&event=a", vec![0]),
        ("&event=b", vec![2, 5]),
        ("&event=a&event=b", vec![0, 2, 5]),
        ("&event=message", vec![1]),
        ("&event=message&event=a.b", vec![1, 3]),
        ("&event=gr%C3%B6%C3%9Fe&event=A", vec![4, 6]),
        ("&event=a&event=a", vec![0]),
        ("&event=runnel.gap", vec![]),
        ("&event=none", vec![]),
        ("&event=a,b", vec![]),
    ] {
        let query = format!("?last_event_id=earliest&live=false{query}");
        let stream = channel.subscribe(&query).await;
        let expected: Vec<_> = expected.iter().map(|place: &usize| &sent[*place]).collect();
        assert_eq!(ids(&stream.rest().await), expected, "{query}");
        let page = channel.events(&query).json().await;
        let events = page["events"].as_array().unwrap();
        assert!(
            events.iter().map(|event| &event["id"]).eq(expected),
            "{page}"
        );
        assert_eq!(page["cursor"], sent[6]);
    }
}

#[tokio::test]
async fn an_event_published_as_message_is_one_without_a_type() {
    let channel = Channel::new();
    let named = channel.say_of_type("message", "x").await;
    let query = "?last=1&live=false&event=message";
    assert_eq!(ids(&channel.subscribe(query).await.rest().await), [named]);
}

#[tokio::test]
async fn last_counts_the_events_of_all_types() {
    let channel = Channel::new();
    publish(&channel, &["a", "b", "a", "b"]).await;
    let stream = channel.subscribe("?last=3&live=false&event=a").await;
    assert_eq!(data(&stream.rest().await), ["3 a"]);
}

#[tokio::test]
async fn events_that_are_left_out_move_the_cursor_all_the_same() {
    let channel = Channel::new();
    let sent = publish(&channel, &["wanted", "other", "other"]).await;
    let mut stream = channel.subscribe("?last=9&event=wanted").await;
    assert_eq!(stream.event().await.id, sent[0]);
    assert_eq!(stream.marked(&sent[0]).await, sent[2]);
    // Live ones do, too.
    let other = channel.say_of_type("other", "live").await;
    assert_eq!(stream.marked(&sent[2]).await, other);
    drop(stream);
    // Who resumes there gets what follows.
    let wanted = channel.say_of_type("wanted", "next").await;
    let query = format!("?event=wanted&last_event_id={other}");
    let mut stream = channel.subscribe(&query).await;
    assert_eq!(stream.event().await.id, wanted);
}

#[tokio::test]
async fn a_stream_that_leaves_everything_out_is_told_where_it_ends() {
    let channel = Channel::new();
    let sent = publish(&channel, &["a", "b", "c"]).await;
    let query = format!("?event=none&live=false&last_event_id={}", sent[0]);
    let answer = channel.events(&query).send().await.has(200);
    let text = String::from_utf8_lossy(&answer.body);
    assert!(
        text.ends_with(&format!("\n\nid: {}\n\n", sent[2])),
        "{text:?}"
    );
    assert!(!text.contains("data"), "{text:?}");
}

#[tokio::test]
async fn signals_come_whatever_is_chosen() {
    let channel = Channel::new();
    let sent = publish(&channel, &["a", "b"]).await;
    let mut stream = channel.subscribe("?event=a&last_event_id=garbage").await;
    let (_, gap) = stream.signal("runnel.gap").await;
    assert_eq!(gap["resumed_from"], sent[0]);
    assert_eq!(stream.event().await.id, sent[0]);
    channel.close().await;
    let (id, _) = stream.signal("runnel.end").await;
    assert_eq!(id, sent[1]);
    let again = channel.events("?event=a").header("last-event-id", id);
    again.send().await.has(204);
}

#[tokio::test]
async fn a_choice_goes_for_all_channels_of_a_stream() {
    let channels = Channels::new(3);
    for channel in &channels.0 {
        publish(channel, &["wanted", "other", "message"]).await;
    }
    let query = "&last_event_id=earliest&live=false&event=wanted&event=message";
    let events = channels.subscribe(query).await.rest().await;
    let mut texts = data(&events);
    texts.sort_unstable();
    let (wanted, message) = ("1 wanted", "3 message");
    assert_eq!(texts, [wanted, wanted, wanted, message, message, message]);

    let mut stream = channels.subscribe("&event=wanted").await;
    let mut mark = stream.marked("").await;
    for channel in &channels.0 {
        channel.say_of_type("other", "left out").await;
        mark = stream.marked(&mark).await;
    }
    drop(stream);
    let mut stream = channels.resume(&mark).await;
    stream.begun().await;
    channels.0[2].say("next").await;
    assert_eq!(stream.event().await.data, "next");
}

#[tokio::test]
async fn types_that_cannot_be_are_refused() {
    let server = server();
    for (query, about) in [
        ("event=", "empty"),
        ("event", "empty"),
        ("event=a&event=", "empty"),
        ("event=a%0Ab", "line feed"),
        ("event=a%0D", "line feed"),
        ("event=%00", "NUL"),
    ] {
        let answer = server.get(&format!("/events/a?{query}")).send().await;
        answer.is_problem(400, "event-type", about);
    }
    let types = |count: usize| vec!["event=x"; count].join("&");
    let many = server.get(&format!("/events/a?{}", types(33)));
    many.send().await.is_problem(400, "query", "33 times");
    let enough = Channel::new().events(&format!("?live=false&{}", types(32)));
    enough.send().await.has(204);
}
