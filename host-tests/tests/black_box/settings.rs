//! What the variables of spin.toml change.

use crate::channel::{Channel, parts};
use crate::server::{Host, may_start_hosts};
use crate::stream::ids;

#[tokio::test]
async fn an_idle_stream_has_a_heartbeat_that_moves_no_cursor() {
    if !may_start_hosts("the heartbeat") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(folder.path(), &["heartbeat_seconds=1"]);
    let channel = Channel::on(host.server.clone());
    let mut stream = channel.subscribe("").await;
    stream.marked("").await;
    let begun = stream.text();
    let text = stream.until(|text| text.matches("\n:").count() >= 3).await;
    assert!(
        text[begun.len()..]
            .split_terminator("\n\n")
            .all(|block| block == ":"),
        "{text:?}"
    );
    let id = channel.say("still there").await;
    assert_eq!(stream.event().await.id, id);
}

#[tokio::test]
async fn a_stream_that_reaches_its_age_ends_and_is_resumed() {
    if !may_start_hosts("the age of streams") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(folder.path(), &["max_stream_seconds=1"]);
    let channel = Channel::on(host.server.clone());
    let sent = channel.count(1..=3).await;
    let mut stream = channel.subscribe("?last=3").await;
    assert_eq!(ids(&stream.events(3).await), sent);
    assert_eq!(stream.next().await, None);
    assert!(stream.text().ends_with("\n\n"));
    let missed = channel.say("missed").await;
    assert_eq!(channel.resume(&sent[2]).await.event().await.id, missed);
}

#[tokio::test]
async fn the_reconnection_time_is_a_base_and_jitter_upward() {
    if !may_start_hosts("the reconnection time") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(folder.path(), &["retry_ms=700"]);
    let channel = Channel::on(host.server.clone());
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let text = channel.subscribe("").await.begun().await;
        let retry = text.lines().next().unwrap().strip_prefix("retry: ");
        let millis: u64 = retry.unwrap().parse().unwrap();
        assert!((700..=1_400).contains(&millis), "{millis}");
        seen.insert(millis);
    }
    assert!(seen.len() > 1, "each connection draws its own: {seen:?}");
}

#[tokio::test]
async fn what_retention_has_dropped_is_a_gap_to_a_cursor_and_none_to_a_beginner() {
    if !may_start_hosts("retention") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let host = Host::start(folder.path(), &["retention_events=20"]);
    let channel = Channel::on(host.server.clone());
    let mut sent = vec![];
    for _ in 0..100 {
        sent.push(channel.say("x".repeat(2_000)).await);
    }
    let state = channel.state().await;
    let kept = usize::try_from(state["count"].as_u64().unwrap()).unwrap();
    assert!((20..60).contains(&kept), "{kept} events are kept");
    let kept = &sent[100 - kept..];
    assert_eq!(state["first"], kept[0]);

    let mut stream = channel.resume(&sent[3]).await;
    let (_, gap) = stream.signal("runnel.gap").await;
    assert_eq!(gap["reason"], "evicted");
    assert_eq!(gap["requested"], sent[3]);
    assert_eq!(gap["resumed_from"], kept[0]);
    assert_eq!(ids(&stream.events(kept.len()).await), kept);
    let log = channel.log().await;
    assert!(log.iter().map(|(id, _)| id).eq(kept));
    assert_eq!(parts(kept.last().unwrap()).1, 100);
}

#[tokio::test]
async fn limits_can_be_lowered() {
    if !may_start_hosts("lowered limits") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let variables = [
        "max_event_bytes=10",
        "max_body_bytes=40",
        "publish_token=given",
    ];
    let mut host = Host::start(folder.path(), &variables);
    host.server.token = "given".to_owned();
    let channel = Channel::on(host.server.clone());
    channel.say("x".repeat(10)).await;
    let event = channel.publish("").body("text/plain", "x".repeat(11));
    event
        .send()
        .await
        .is_problem(413, "too-large", "at most 10");
    let body = channel.publish("").body("text/plain", "x".repeat(41));
    body.send().await.is_problem(413, "too-large", "40 bytes");
}

#[tokio::test]
async fn a_bad_value_is_refused_by_the_name_of_its_variable() {
    if !may_start_hosts("bad values of variables") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let variables = ["heartbeat_seconds=abc", "max_event_bytes=0"];
    let host = Host::start(folder.path(), &variables);
    let channel = Channel::on(host.server.clone());
    let answer = channel.events("").send().await;
    answer.is_problem(500, "configuration", "heartbeat_seconds is \"abc\"");
    let answer = channel.publish("").body("text/plain", "x").send().await;
    answer.is_problem(500, "configuration", "max_event_bytes is \"0\"");
}
