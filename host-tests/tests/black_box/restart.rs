//! A server that is stopped and started again on the same data.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::channel::Channel;
use crate::server::{Host, may_start_hosts};
use crate::stream::ids;

/// Publishes until it is told to stop or nobody answers; the events that were acknowledged.
async fn publish_on(channel: Channel, stop: Arc<AtomicBool>) -> Vec<String> {
    let mut ids = vec![];
    while !stop.load(Ordering::Relaxed) {
        let request = channel.publish("").body("text/plain", "x".repeat(2_000));
        match request.try_send().await {
            Ok(answer) => ids.push(crate::channel::id_of(&answer.has(201))),
            Err(_) => break,
        }
    }
    ids
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_streams_between_events_and_a_resume_gets_exactly_what_was_missed() {
    if !may_start_hosts("stopping and starting again") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut host = Host::start(folder.path(), &[]);
    let mut channel = Channel::on(host.server.clone());
    let token = channel.server.token.clone();
    let mut received = vec![];
    let mut acknowledged = vec![];
    let mut cursor = "earliest".to_owned();
    for _ in 0..2 {
        let mut stream = channel.resume(&cursor).await;
        let stop = Arc::new(AtomicBool::new(false));
        let publisher = tokio::spawn(publish_on(channel.clone(), stop.clone()));
        received.extend(stream.events(20).await);
        // In full flow.
        host.ask_to_stop();
        while let Some(event) = stream.next().await {
            received.push(event);
        }
        let text = stream.text();
        assert!(text.ends_with("\n\n"), "{:?}", &text[text.len() - 50..]);
        stop.store(true, Ordering::Relaxed);
        acknowledged.extend(publisher.await.unwrap());
        let status = tokio::task::block_in_place(|| host.ended());
        assert!(status.success(), "{status}: {}", host.errors());
        assert_eq!(host.errors(), "");

        host = Host::start(folder.path(), &[]);
        channel.server = host.server.clone();
        assert_eq!(channel.server.token, token, "the token is kept");
        cursor.clone_from(&received.last().unwrap().id);
        acknowledged.extend(channel.count(1..=5).await);
    }
    let mut stream = channel.resume(&cursor).await;
    let log = channel.log().await;
    received.extend(stream.events(log.len() - received.len()).await);
    assert!(received.iter().all(|event| event.event == "message"));
    let kept: Vec<_> = log.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids(&received), kept);
    assert!(acknowledged.iter().all(|id| kept.contains(&id.as_str())));
}

#[tokio::test]
async fn an_idle_stream_ends_cleanly_when_the_server_stops() {
    if !may_start_hosts("stopping with an idle stream") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut host = Host::start(folder.path(), &[]);
    let mut stream = Channel::on(host.server.clone()).subscribe("").await;
    stream.begun().await;
    host.ask_to_stop();
    assert_eq!(stream.next().await, None);
    assert!(stream.text().ends_with("\n\n"));
    assert!(host.ended().success());
}

#[tokio::test]
async fn everything_about_a_channel_survives_a_restart() {
    if !may_start_hosts("the state of channels across a restart") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut host = Host::start(folder.path(), &[]);
    let mut open = Channel::on(host.server.clone());
    let keyed = |channel: &Channel| {
        let request = channel.publish("").header("idempotency-key", "k");
        request.body("text/plain", "once")
    };
    let id = crate::channel::id_of(&keyed(&open).send().await.has(201));
    open.say("x".repeat(60_000)).await;
    open.say("x".repeat(60_000)).await;
    let mut closed = Channel::on(host.server.clone());
    closed.say("kept").await;
    closed.manage("POST", "/close").send().await.has(204);
    let before = (open.state().await, open.log().await, closed.state().await);
    assert!(host.terminate().success());

    let host = Host::start(folder.path(), &[]);
    open.server = host.server.clone();
    closed.server = host.server.clone();
    let after = (open.state().await, open.log().await, closed.state().await);
    assert_eq!(after, before);
    let again = keyed(&open).send().await.has(201);
    assert_eq!(crate::channel::id_of(&again), id);
    let late = closed.publish("").body("text/plain", "late").send().await;
    late.is_problem(409, "closed", "closed");
}
