//! A trap ends an instance with all its streams, and no event is lost.

use std::sync::Arc;
use std::time::Duration;

use runnel_host::store::Memory;
use runnel_testing::{CHANNEL, Subscriber, host, publish};
use tokio::time::sleep;

#[tokio::test(start_paused = true)]
async fn streams_of_a_trapped_instance_resume_without_loss_and_others_continue() {
    let host = host(Arc::new(Memory::default()), &[]);
    // An instance serves at most 128 streams.
    let mut streams = vec![];
    for _ in 0..140 {
        streams.push(Subscriber::open(&host, CHANNEL, "?last_event_id=earliest").await);
    }
    for stream in &mut streams {
        stream.read_opening().await;
    }
    let started = host.started_instances();
    assert!(started >= 2, "{started}");
    let text = |number: u64| format!("event {number}");
    for number in 0..20 {
        publish(&host, CHANNEL, &text(number)).await.event_id();
        sleep(Duration::from_millis(100)).await;
    }
    host.trap_next_read();
    sleep(Duration::from_secs(1)).await;
    for number in 20..40 {
        publish(&host, CHANNEL, &text(number)).await.event_id();
    }
    let (mut broken, mut whole) = (0, 0);
    let expected: Vec<_> = (0..40).map(text).collect();
    for stream in &mut streams {
        let mut events = stream.events_before_break(Duration::from_secs(1)).await;
        if events.len() < 40 {
            let last = events.last().map_or("earliest", |event| &event.id);
            let query = format!("?live=false&last_event_id={last}");
            let resumed = Subscriber::open(&host, CHANNEL, &query).await;
            events.extend(resumed.rest().await);
            broken += 1;
        } else {
            whole += 1;
        }
        let data: Vec<_> = events.into_iter().map(|event| event.data).collect();
        assert_eq!(data, expected);
    }
    assert!(broken > 0 && whole > 0, "{broken} broken, {whole} whole");
    assert!(host.output().contains("injected trap"));
}
