//! Closing, inspecting and purging channels.

use runnel_testing::{Channel, ids, split_id};
use serde_json::json;

/// Asserts that a client that resumes after this id gets 204, which stops an `EventSource` for good.
async fn assert_resume_is_204(channel: &Channel, id: &str) {
    let resumed = channel.events("").header("last-event-id", id);
    resumed.send().await.expect_status(204);
}

#[tokio::test]
async fn a_publish_can_append_the_last_event_and_close_the_channel_atomically() {
    let channel = Channel::new();
    channel.publish_text("first").await;
    let mut stream = channel.subscribe("?last=1").await;
    assert_eq!(stream.event().await.data, "first");
    let closing = channel.publish("?close=true").body("text/plain", "last");
    let last = closing.send().await.expect_status(201).event_id();
    assert_eq!(stream.event().await.data, "last");
    let (id, _) = stream.control_event("runnel.end").await;
    assert_eq!(id, last);
    assert!(stream.rest().await.is_empty());
    assert_resume_is_204(&channel, &id).await;
}

#[tokio::test]
async fn publishing_to_a_closed_channel_is_rejected() {
    let channel = Channel::new();
    channel.publish_text("kept").await;
    let response = channel
        .manage("POST", "/close")
        .send()
        .await
        .expect_status(204);
    assert_eq!(response.body, "");
    // Closing is idempotent.
    channel.close().await;
    for request in [
        channel.publish("").body("text/plain", "late"),
        channel.publish("?close=true").body("text/plain", "late"),
        channel
            .publish("")
            .body("application/x-ndjson", "{\"data\":1}"),
    ] {
        request.send().await.assert_problem(409, "closed", "closed");
    }
    let stream = channel.subscribe("?last_event_id=earliest").await;
    let events = stream.rest().await;
    let types: Vec<_> = events.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(types, ["message", "runnel.end"]);
    assert_eq!(events[0].id, events[1].id);
}

#[tokio::test]
async fn closing_a_channel_ends_its_open_streams() {
    let channel = Channel::new();
    let mut live = channel.subscribe("").await;
    live.opened().await;
    let id = channel.publish_text("one").await;
    assert_eq!(live.event().await.id, id);
    channel.close().await;
    assert_eq!(live.control_event("runnel.end").await.0, id);
    assert!(live.rest().await.is_empty());
}

#[tokio::test]
async fn a_channel_without_events_can_be_closed() {
    let channel = Channel::new();
    channel.close().await;
    let mut stream = channel.subscribe("").await;
    let (id, _) = stream.control_event("runnel.end").await;
    assert_eq!(split_id(&id).1, 0);
    assert!(stream.rest().await.is_empty());
    assert_resume_is_204(&channel, &id).await;
}

#[tokio::test]
async fn a_closing_publish_can_be_retried_with_its_idempotency_key() {
    let channel = Channel::new();
    let closing = channel
        .publish("?close=true")
        .header("idempotency-key", "the end")
        .body("text/plain", "last");
    let first = closing.clone().send().await.expect_status(201).event_id();
    assert_eq!(closing.send().await.expect_status(201).event_id(), first);
    assert_eq!(channel.state().await["count"], 1);
}

#[tokio::test]
async fn the_channel_state_describes_the_log() {
    let channel = Channel::new();
    let unknown = channel.manage("GET", "").send().await;
    unknown.assert_problem(404, "unknown-channel", &channel.name);
    let sent = channel.publish_numbers(1..=3).await;
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
async fn a_purge_starts_a_new_log_and_old_cursors_get_a_reset_gap() {
    let channel = Channel::new();
    let old = channel.publish_numbers(1..=3).await;
    let response = channel.manage("DELETE", "").send().await.expect_status(204);
    assert_eq!(response.body, "");
    let state = channel.state().await;
    let summary = json!([
        state["first"],
        state["last"],
        state["count"],
        state["closed"]
    ]);
    assert_eq!(summary, json!([null, null, 0, false]));

    let new = channel.publish_numbers(4..=5).await;
    assert_eq!(split_id(&new[0]).1, 1);
    assert_ne!(split_id(&new[0]).0, split_id(&old[0]).0);
    let mut stream = channel.resume(&old[1]).await;
    let (_, gap) = stream.control_event("runnel.gap").await;
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
async fn an_open_stream_continues_with_the_new_log_after_a_purge() {
    let channel = Channel::new();
    let old = channel.publish_numbers(1..=2).await;
    let mut stream = channel.subscribe("?last=2").await;
    stream.events(2).await;
    channel.purge().await;
    let new = channel.publish_text("new").await;
    let (_, gap) = stream.control_event("runnel.gap").await;
    assert_eq!(gap["reason"], "reset");
    assert_eq!(gap["requested"], old[1]);
    assert_eq!(gap["resumed_from"], new);
    assert_eq!(stream.event().await.id, new);
}

#[tokio::test]
async fn a_purge_reopens_a_closed_channel() {
    let channel = Channel::new();
    channel.publish_text("old").await;
    channel.close().await;
    channel.purge().await;
    let id = channel.publish_text("new").await;
    assert_eq!(channel.log().await, [(id, "new".to_owned())]);
}

#[tokio::test]
async fn a_purge_forgets_idempotency_keys() {
    let channel = Channel::new();
    let request = channel
        .publish("")
        .header("idempotency-key", "k")
        .body("text/plain", "x");
    let before = request.clone().send().await.expect_status(201).event_id();
    channel.purge().await;
    let after = request.send().await.expect_status(201).event_id();
    assert_ne!(after, before);
    assert_eq!(channel.log().await, [(after, "x".to_owned())]);
}

#[tokio::test]
async fn a_channel_name_may_end_in_close() {
    let mut channel = Channel::new();
    channel.name.push_str("/close");
    let id = channel.publish_text("here").await;
    assert_eq!(channel.state().await["last"], id);
    channel.purge().await;
    assert_eq!(channel.state().await["count"], 0);
}
