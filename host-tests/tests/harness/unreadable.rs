//! A stored log that cannot be read is reported and never overwritten.

use std::sync::Arc;
use std::time::Duration;

use runnel_host::store::{KeyValue as _, Memory};
use tokio::time::timeout;

use crate::site::{CHANNEL, Site, authorized, send};

/// A head as a site writes it.
async fn valid_head() -> Vec<u8> {
    let site = Site::new();
    site.publish_run(1, 3, 100).await;
    site.memory.snapshot()["head!c"].clone()
}

/// Heads that cannot be read.
async fn unreadable_heads() -> Vec<(&'static str, Vec<u8>)> {
    let valid = valid_head().await;
    let mut newer = valid.clone();
    newer[1] += 1;
    let mut unborn = valid.clone();
    unborn[1] = 0;
    vec![
        ("of a newer format version", newer),
        ("of a version there never was", unborn),
        ("cut off", valid[..12].to_vec()),
        ("empty", vec![]),
        ("something else", b"\x00\x01\x02 not ours".to_vec()),
        ("a segment", [b"S", &valid[1..]].concat()),
        (
            "noise behind a prefix",
            [&valid[..2], &[0xff; 300][..]].concat(),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_head_that_cannot_be_read_is_reported_and_left_as_it_is() {
    for (what, bytes) in unreadable_heads().await {
        println!("the head is {what}");
        let site = Site::with(&[("store_patience_seconds", "10"), ("heartbeat_seconds", "3")]);
        site.memory.set("head!c", &bytes).await.unwrap();
        let before = site.memory.snapshot();
        let close = send(&site.host, authorized("POST", "/channels/c/close")).await;
        let purge = send(&site.host, authorized("DELETE", "/channels/c")).await;
        for answer in [site.publish("new").await, close, purge] {
            assert_eq!(answer.status, 500, "{answer:?}");
            assert_eq!(answer.problem(), "urn:runnel:problem:log-unreadable");
        }
        let state = send(&site.host, authorized("GET", "/channels/c")).await;
        assert!(state.status >= 500, "{state:?}");
        assert!(
            site.host.output().contains("head!c"),
            "the operator is told the key"
        );
        for query in [
            "",
            "?last_event_id=earliest",
            "?last_event_id=000000-1",
            "?live=false",
        ] {
            let mut subscriber = site.subscribe(query).await;
            subscriber.read_opening().await;
            while let Some(block) = subscriber.block().await {
                assert_eq!(block.data, None, "{block:?}");
            }
        }
        assert_eq!(site.memory.snapshot(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_with_any_one_byte_changed_traps_nothing() {
    let valid = valid_head().await;
    let memory = Arc::new(Memory::default());
    let site = Site::over(crate::store::Store::over(memory.clone()), &[]);
    for at in 0..valid.len().min(120) {
        for flip in [0x01, 0x80] {
            let mut bytes = valid.clone();
            bytes[at] ^= flip;
            memory.set("head!c", &bytes).await.unwrap();
            let answer = site.publish("new").await;
            assert!([201, 409, 500].contains(&answer.status), "{at}: {answer:?}");
            memory.set("head!c", &bytes).await.unwrap();
            let mut subscriber = site.subscribe("?last_event_id=earliest").await;
            drop(
                timeout(Duration::from_secs(3), async {
                    while subscriber.block().await.is_some() {}
                })
                .await,
            );
        }
    }
    memory.set("head!c", &valid).await.unwrap();
    assert_eq!(crate::site::log(&site.host, CHANNEL).await.len(), 3);
}
