//! Graceful stops, and restarts on the same data.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use runnel_testing::{Channel, HostProcess, can_start_hosts, ids};

/// Publishes until `stop` is set or the server is gone, and returns the acknowledged ids.
async fn publish_until_stopped(channel: Channel, stop: Arc<AtomicBool>) -> Vec<String> {
    let mut ids = vec![];
    while !stop.load(Ordering::Relaxed) {
        let request = channel.publish("").body("text/plain", "x".repeat(2_000));
        match request.try_send().await {
            Ok(response) => ids.push(response.expect_status(201).event_id()),
            Err(_) => break,
        }
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_streams_between_events_and_resuming_delivers_exactly_the_missed_ones() {
    if !can_start_hosts("streams across restarts") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut host = HostProcess::start(directory.path(), &[]);
    let mut channel = Channel::on(host.server.clone());
    let token = channel.server.token.clone();
    let mut received = vec![];
    let mut acknowledged = vec![];
    let mut cursor = "earliest".to_owned();
    for _ in 0..2 {
        let mut stream = channel.resume(&cursor).await;
        let stop = Arc::new(AtomicBool::new(false));
        let publisher = tokio::spawn(publish_until_stopped(channel.clone(), stop.clone()));
        received.extend(stream.events(20).await);
        // Publishes are still under way.
        host.send_sigterm();
        while let Some(event) = stream.next().await {
            received.push(event);
        }
        let text = stream.text();
        assert!(text.ends_with("\n\n"), "{:?}", &text[text.len() - 50..]);
        stop.store(true, Ordering::Relaxed);
        acknowledged.extend(publisher.await.unwrap());
        let status = tokio::task::block_in_place(|| host.wait());
        assert!(status.success(), "{status}: {}", host.stderr());
        assert_eq!(host.stderr(), "");

        host = HostProcess::start(directory.path(), &[]);
        channel.server = host.server.clone();
        assert_eq!(
            channel.server.token, token,
            "the publish token survives the restart"
        );
        cursor.clone_from(&received.last().unwrap().id);
        acknowledged.extend(channel.publish_numbers(1..=5).await);
    }
    let mut stream = channel.resume(&cursor).await;
    let log = channel.log().await;
    received.extend(stream.events(log.len() - received.len()).await);
    assert!(received.iter().all(|event| event.event == "message"));
    let logged: Vec<_> = log.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids(&received), logged);
    assert!(acknowledged.iter().all(|id| logged.contains(&id.as_str())));
}

#[tokio::test]
async fn an_idle_stream_ends_cleanly_when_the_server_stops() {
    if !can_start_hosts("stopping with an idle stream") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut host = HostProcess::start(directory.path(), &[]);
    let mut stream = Channel::on(host.server.clone()).subscribe("").await;
    stream.next_position("").await;
    host.send_sigterm();
    assert_eq!(stream.next().await, None);
    assert!(stream.text().ends_with("\n\n"));
    assert!(host.wait().success());
}

#[tokio::test]
async fn logs_states_and_idempotency_keys_survive_a_restart() {
    if !can_start_hosts("channel state across a restart") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let mut host = HostProcess::start(directory.path(), &[]);
    let mut open = Channel::on(host.server.clone());
    let keyed = |channel: &Channel| {
        let request = channel.publish("").header("idempotency-key", "k");
        request.body("text/plain", "once")
    };
    let id = keyed(&open).send().await.expect_status(201).event_id();
    open.publish_text("x".repeat(60_000)).await;
    open.publish_text("x".repeat(60_000)).await;
    let mut closed = Channel::on(host.server.clone());
    closed.publish_text("kept").await;
    closed
        .manage("POST", "/close")
        .send()
        .await
        .expect_status(204);
    let before = (open.state().await, open.log().await, closed.state().await);
    assert!(host.terminate().success());

    let host = HostProcess::start(directory.path(), &[]);
    open.server = host.server.clone();
    closed.server = host.server.clone();
    let after = (open.state().await, open.log().await, closed.state().await);
    assert_eq!(after, before);
    let retried = keyed(&open).send().await.expect_status(201);
    assert_eq!(retried.event_id(), id);
    let late = closed.publish("").body("text/plain", "late").send().await;
    late.assert_problem(409, "closed", "closed");
}
