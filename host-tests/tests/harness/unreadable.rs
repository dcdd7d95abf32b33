//! An unreadable head is reported and never overwritten.

use std::sync::Arc;
use std::time::Duration;

use runnel_host::store::{KeyValue as _, Memory};
use runnel_testing::{CHANNEL, Event, Fixture, authorized, log, send};

/// Returns a head that a host has written.
async fn valid_head() -> Vec<u8> {
    let fixture = Fixture::new();
    fixture.publish_numbered(1..=3, 100).await;
    fixture.store.memory.snapshot()["head!c"].clone()
}

/// Returns unreadable heads, each with a description.
async fn unreadable_heads() -> Vec<(&'static str, Vec<u8>)> {
    let valid = valid_head().await;
    let mut newer = valid.clone();
    newer[1] += 1;
    let mut version_0 = valid.clone();
    version_0[1] = 0;
    vec![
        ("of a newer format version", newer),
        ("of version 0", version_0),
        ("truncated", valid[..12].to_vec()),
        ("empty", vec![]),
        ("not a head", b"\x00\x01\x02 not ours".to_vec()),
        ("a segment", [b"S", &valid[1..]].concat()),
        (
            "garbage after a valid prefix",
            [&valid[..2], &[0xff; 300][..]].concat(),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_head_is_reported_and_not_changed() {
    for (description, bytes) in unreadable_heads().await {
        println!("the head is {description}");
        let fixture =
            Fixture::with(&[("store_patience_seconds", "10"), ("heartbeat_seconds", "3")]);
        fixture.store.memory.set("head!c", &bytes).await.unwrap();
        let before = fixture.store.memory.snapshot();
        let close = send(&fixture.host, authorized("POST", "/channels/c/close")).await;
        let purge = send(&fixture.host, authorized("DELETE", "/channels/c")).await;
        for response in [fixture.publish("new").await, close, purge] {
            assert_eq!(response.status, 500, "{response:?}");
            assert_eq!(response.problem_type(), "urn:runnel:problem:log-unreadable");
        }
        let state = send(&fixture.host, authorized("GET", "/channels/c")).await;
        assert!(state.status.is_server_error(), "{state:?}");
        assert!(
            fixture.host.output().contains("head!c"),
            "the log names the key"
        );
        for query in [
            "",
            "?last_event_id=earliest",
            "?last_event_id=000000-1",
            "?live=false",
        ] {
            let mut subscriber = fixture.subscribe(query).await;
            subscriber.read_opening().await;
            while let Some(frame) = subscriber.frame().await {
                let event = frame.event();
                assert!(
                    event.as_ref().is_none_or(Event::is_bookkeeping),
                    "{event:?}"
                );
            }
        }
        assert_eq!(fixture.store.memory.snapshot(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_with_any_bit_flipped_is_neither_served_nor_changed() {
    let valid = valid_head().await;
    let memory = Arc::new(Memory::default());
    let fixture = Fixture::over(runnel_testing::TestStore::with(memory.clone()), &[]);
    for bit in 0..valid.len() * 8 {
        let mut bytes = valid.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        memory.set("head!c", &bytes).await.unwrap();
        let response = fixture.publish("new").await;
        assert_eq!(response.status, 500, "bit {bit}: {response:?}");
        let state = send(&fixture.host, authorized("GET", "/channels/c")).await;
        assert_eq!(state.status, 500, "bit {bit}: {state:?}");
        if bit % 40 == 0 {
            let mut subscriber = fixture.subscribe("?last_event_id=earliest").await;
            subscriber.read_opening().await;
            subscriber.assert_idle_for(Duration::from_secs(3)).await;
        }
        assert_eq!(memory.snapshot()["head!c"], bytes, "bit {bit}");
    }
    memory.set("head!c", &valid).await.unwrap();
    assert_eq!(log(&fixture.host, CHANNEL).await.len(), 3);
}
