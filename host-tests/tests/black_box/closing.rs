//! The end of a channel, its state, and a new beginning.

use serde_json::json;

use crate::channel::{Channel, id_of, parts};
use crate::stream::ids;

/// A client that comes back with this id stops for good.
async fn told_to_stop(channel: &Channel, id: &str) {
    let resumed = channel.events("").header("last-event-id", id);
    resumed.send().await.has(204);
}

#[tokio::test]
async fn the_last_event_and_the_end_are_one_step() {
    let channel = Channel::new();
    channel.say("first").await;
    let mut stream = channel.subscribe("?last=1").await;
    assert_eq!(stream.event().await.data, "first");
    let closing = channel.publish("?close=true").body("text/plain", "last");
    let last = id_of(&closing.send().await.has(201));
    assert_eq!(stream.event().await.data, "last");
    let (id, _) = stream.signal("runnel.end").await;
    assert_eq!(id, last);
    assert!(stream.rest().await.is_empty());
    // An EventSource that reconnects is told to stop for good.
    told_to_stop(&channel, &id).await;
}

#[tokio::test]
async fn nothing_is_published_to_a_closed_channel() {
    let channel = Channel::new();
    channel.say("kept").await;
    let answer = channel.manage("POST", "/close").send().await.has(204);
    assert_eq!(answer.body, "");
    // Whoever did not get that answer may ask again.
    channel.close().await;
    for request in [
        channel.publish("").body("text/plain", "late"),
        channel.publish("?close=true").body("text/plain", "late"),
        channel
            .publish("")
            .body("application/x-ndjson", "{\"data\":1}"),
    ] {
        request.send().await.is_problem(409, "closed", "closed");
    }
    let stream = channel.subscribe("?last_event_id=earliest").await;
    let events = stream.rest().await;
    let types: Vec<_> = events.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(types, ["message", "runnel.end"]);
    assert_eq!(events[0].id, events[1].id);
}

#[tokio::test]
async fn an_open_stream_ends_when_its_channel_is_closed() {
    let channel = Channel::new();
    let mut live = channel.subscribe("").await;
    live.begun().await;
    let id = channel.say("one").await;
    assert_eq!(live.event().await.id, id);
    channel.close().await;
    assert_eq!(live.signal("runnel.end").await.0, id);
    assert!(live.rest().await.is_empty());
}

#[tokio::test]
async fn a_channel_can_be_closed_before_anything_was_published() {
    let channel = Channel::new();
    channel.close().await;
    let mut stream = channel.subscribe("").await;
    let (id, _) = stream.signal("runnel.end").await;
    assert_eq!(parts(&id).1, 0);
    assert!(stream.rest().await.is_empty());
    told_to_stop(&channel, &id).await;
}

#[tokio::test]
async fn a_close_that_is_repeated_with_its_key_is_answered_as_the_first() {
    let channel = Channel::new();
    let closing = channel
        .publish("?close=true")
        .header("idempotency-key", "the end")
        .body("text/plain", "last");
    let first = id_of(&closing.clone().send().await.has(201));
    assert_eq!(id_of(&closing.send().await.has(201)), first);
    assert_eq!(channel.state().await["count"], 1);
}

#[tokio::test]
async fn the_state_tells_what_the_log_holds() {
    let channel = Channel::new();
    let unknown = channel.manage("GET", "").send().await;
    unknown.is_problem(404, "unknown-channel", &channel.name);
    let sent = channel.count(1..=3).await;
    let state = channel.state().await;
    assert_eq!(state["channel"], channel.name);
    assert_eq!(state["first"], sent[0]);
    assert_eq!(state["last"], sent[2]);
    assert_eq!(state["count"], 3);
    assert_eq!(state["closed"], false);
    assert!(state["bytes"].as_u64().unwrap() > 0);
    let published = state["last_published_ms"].as_u64().unwrap();
    assert!(published > 1_600_000_000_000, "{published}");
    channel.close().await;
    let closed = channel.state().await;
    assert_eq!(closed["closed"], true);
    assert_eq!(closed["last"], sent[2]);
}

#[tokio::test]
async fn a_purge_begins_a_new_log_and_an_old_cursor_is_told_so() {
    let channel = Channel::new();
    let old = channel.count(1..=3).await;
    let answer = channel.manage("DELETE", "").send().await.has(204);
    assert_eq!(answer.body, "");
    let state = channel.state().await;
    let seen = json!([
        state["first"],
        state["last"],
        state["count"],
        state["closed"]
    ]);
    assert_eq!(seen, json!([null, null, 0, false]));

    let new = channel.count(4..=5).await;
    assert_eq!(parts(&new[0]).1, 1);
    assert_ne!(parts(&new[0]).0, parts(&old[0]).0);
    let mut stream = channel.resume(&old[1]).await;
    let (_, gap) = stream.signal("runnel.gap").await;
    let expected = json!({
        "channel": channel.name,
        "reason": "reset",
        "requested": old[1],
        "resumed_from": new[0],
    });
    assert_eq!(gap, expected);
    assert_eq!(ids(&stream.events(2).await), new);
}

#[tokio::test]
async fn an_open_stream_goes_on_with_the_new_log_after_a_purge() {
    let channel = Channel::new();
    let old = channel.count(1..=2).await;
    let mut stream = channel.subscribe("?last=2").await;
    stream.events(2).await;
    channel.purge().await;
    let new = channel.say("new").await;
    let (_, gap) = stream.signal("runnel.gap").await;
    assert_eq!(gap["reason"], "reset");
    assert_eq!(gap["requested"], old[1]);
    assert_eq!(gap["resumed_from"], new);
    assert_eq!(stream.event().await.id, new);
}

#[tokio::test]
async fn a_purge_opens_a_closed_channel_again() {
    let channel = Channel::new();
    channel.say("old").await;
    channel.close().await;
    channel.purge().await;
    let id = channel.say("new").await;
    assert_eq!(channel.log().await, [(id, "new".to_owned())]);
}

#[tokio::test]
async fn a_key_from_before_a_purge_is_new_again() {
    let channel = Channel::new();
    let request = channel
        .publish("")
        .header("idempotency-key", "k")
        .body("text/plain", "x");
    let before = id_of(&request.clone().send().await.has(201));
    channel.purge().await;
    let after = id_of(&request.send().await.has(201));
    assert_ne!(after, before);
    assert_eq!(channel.log().await, [(after, "x".to_owned())]);
}

#[tokio::test]
async fn a_channel_whose_name_ends_in_close_is_a_channel_like_any_other() {
    let mut channel = Channel::new();
    channel.name.push_str("/close");
    let id = channel.say("here").await;
    assert_eq!(channel.state().await["last"], id);
    channel.purge().await;
    assert_eq!(channel.state().await["count"], 0);
}
