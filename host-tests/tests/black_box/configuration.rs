//! The variables of spin.toml.

use runnel_testing::{Channel, HostProcess, can_start_hosts, ids, split_id};

#[tokio::test]
async fn the_heartbeat_of_an_idle_stream_is_an_empty_comment() {
    if !can_start_hosts("the heartbeat") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let host = HostProcess::start(directory.path(), &["heartbeat_seconds=1"]);
    let channel = Channel::on(host.server.clone());
    let mut stream = channel.subscribe("").await;
    stream.next_position("").await;
    let beginning = stream.text();
    let text = stream
        .text_until(|text| text.matches("\n:").count() >= 3)
        .await;
    let heartbeats = &text[beginning.len()..];
    assert!(heartbeats.lines().all(|line| line == ":"), "{text:?}");
    let id = channel.publish_text("still there").await;
    assert_eq!(stream.event().await.id, id);
}

#[tokio::test]
async fn a_stream_ends_at_its_maximum_age_and_can_be_resumed() {
    if !can_start_hosts("the maximum stream age") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let host = HostProcess::start(directory.path(), &["max_stream_seconds=1"]);
    let channel = Channel::on(host.server.clone());
    let sent = channel.publish_numbers(1..=3).await;
    let mut stream = channel.subscribe("?last=3").await;
    assert_eq!(ids(&stream.events(3).await), sent);
    assert_eq!(stream.next().await, None);
    let text = stream.text();
    let (_, last) = text.rsplit_once("event: runnel.reconnect\n").unwrap();
    assert!(last.contains("\"reason\":\"age\""), "{last:?}");
    assert!(
        last.ends_with(&format!("\nid: {}\n\n", sent[2])),
        "{last:?}"
    );
    let missed = channel.publish_text("missed").await;
    assert_eq!(channel.resume(&sent[2]).await.event().await.id, missed);
}

#[tokio::test]
async fn the_reconnection_time_is_the_base_plus_jitter() {
    if !can_start_hosts("the reconnection time") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let host = HostProcess::start(directory.path(), &["retry_ms=700"]);
    let channel = Channel::on(host.server.clone());
    let mut times = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let mut stream = channel.subscribe("").await;
        let (_, open) = stream.open_event().await;
        let text = stream.text();
        let retry = text.lines().find_map(|line| line.strip_prefix("retry: "));
        let millis: u64 = retry.unwrap().parse().unwrap();
        assert_eq!(open["retry_ms"], millis);
        assert!((700..=1_400).contains(&millis), "{millis}");
        times.insert(millis);
    }
    assert!(
        times.len() > 1,
        "every connection got the same time: {times:?}"
    );
}

#[tokio::test]
async fn evicted_events_are_a_gap_for_old_cursors_but_not_for_new_clients() {
    if !can_start_hosts("retention") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let host = HostProcess::start(directory.path(), &["retention_events=20"]);
    let channel = Channel::on(host.server.clone());
    let mut sent = vec![];
    for _ in 0..100 {
        sent.push(channel.publish_text("x".repeat(2_000)).await);
    }
    let state = channel.state().await;
    assert_eq!(state["count"], 20);
    let retained = &sent[80..];
    assert_eq!(state["first"], retained[0]);

    let mut stream = channel.resume(&sent[3]).await;
    let (_, gap) = stream.control_event("runnel.gap").await;
    assert_eq!(gap["reason"], "evicted");
    assert_eq!(gap["requested"], sent[3]);
    assert_eq!(gap["resumed_from"], retained[0]);
    assert_eq!(ids(&stream.events(retained.len()).await), retained);
    let log = channel.log().await;
    assert!(log.iter().map(|(id, _)| id).eq(retained));
    assert_eq!(split_id(retained.last().unwrap()).1, 100);
}

#[tokio::test]
async fn size_limits_can_be_lowered() {
    if !can_start_hosts("lowered limits") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let variables = [
        "max_event_bytes=10",
        "max_body_bytes=40",
        "publish_token=given",
    ];
    let mut host = HostProcess::start(directory.path(), &variables);
    host.server.token = "given".to_owned();
    let channel = Channel::on(host.server.clone());
    channel.publish_text("x".repeat(10)).await;
    let event = channel.publish("").body("text/plain", "x".repeat(11));
    event
        .send()
        .await
        .assert_problem(413, "too-large", "at most 10");
    let body = channel.publish("").body("text/plain", "x".repeat(41));
    body.send()
        .await
        .assert_problem(413, "too-large", "40 bytes");
}

#[tokio::test]
async fn values_from_files_and_templates_are_accepted() {
    if !can_start_hosts("values with white space around them") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let variables = [
        "publish_token=\u{feff}from-a-file\r\n",
        "subscribe_auth=Token\n",
        "subscribe_token= another \n",
        "retry_ms=700\n",
        "max_event_bytes=\t10 ",
        "token_in_query=True\n",
        "log_level=INFO\n",
        "cors_origins=\nhttps://a.example\nhttps://b.example\n",
        "token_cookie=t\n",
    ];
    let mut host = HostProcess::start(directory.path(), &variables);
    host.server.token = "from-a-file".to_owned();
    let channel = Channel::on(host.server.clone());
    channel.publish_text("x".repeat(10)).await;
    let event = channel.publish("").body("text/plain", "x".repeat(11));
    let event = event.send().await;
    event.assert_problem(413, "too-large", "at most 10");
    for request in [
        channel.events("?last=1&live=false").bearer("another"),
        channel.events("?last=1&live=false&access_token=another"),
        channel
            .events("?last=1&live=false")
            .header("cookie", "t=another"),
    ] {
        let request = request.header("origin", "https://b.example");
        let response = request.send().await.expect_status(200);
        let allowed = response.header("access-control-allow-origin");
        assert_eq!(allowed, Some("https://b.example"));
        let text = String::from_utf8_lossy(&response.body).into_owned();
        let retry = text.lines().find_map(|line| line.strip_prefix("retry: "));
        let millis: u64 = retry.unwrap().parse().unwrap();
        assert!((700..=1_400).contains(&millis), "{text}");
    }
}

#[tokio::test]
async fn an_invalid_value_is_reported_with_its_variable() {
    if !can_start_hosts("invalid values of variables") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let variables = ["heartbeat_seconds=abc", "max_event_bytes=0"];
    let host = HostProcess::start(directory.path(), &variables);
    let channel = Channel::on(host.server.clone());
    let response = channel.events("").send().await;
    response.assert_problem(500, "configuration", "heartbeat_seconds is \"abc\"");
    let response = channel.publish("").body("text/plain", "x").send().await;
    response.assert_problem(500, "configuration", "max_event_bytes is \"0\"");
}
