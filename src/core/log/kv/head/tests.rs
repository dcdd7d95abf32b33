use std::time::Duration;

use bytes::Bytes;

use super::super::format::{self, Kind};
use super::super::segment::SegmentKind;
use super::super::{append, purge};
use super::*;
use crate::core::log::{Batch, IdempotencyKey, NewEvent, Record, Retention};
use proptest::prelude::*;

prop_compose! {
    fn batches()(
        first in 1_u64..1_000_000,
        records in prop::collection::vec((any::<u64>(), prop::option::of("[a-z]{1,9}"), any::<String>()), 0..9),
    ) -> RecordBatch {
        let mut bytes = vec![];
        for (time, event_type, data) in &records {
            let event_type = event_type.as_deref().map(|text| crate::core::sse::EventType::parse(text).unwrap());
            Record { time: Timestamp(*time), event_type, data, attributes: vec![("a", "b")] }
                .encode(&mut bytes)
                .unwrap();
        }
        RecordBatch { first: Seq(first), count: records.len() as u64, records: bytes.into() }
    }
}

fn kinds() -> impl Strategy<Value = SegmentKind> {
    prop_oneof![
        Just(SegmentKind::Sealed),
        Just(SegmentKind::Settled),
        Just(SegmentKind::Merged)
    ]
}

prop_compose! {
    /// Any head that can be encoded.
    pub(in crate::core::log) fn heads()(
        (epoch, closed, newest, commits) in any::<(u64, bool, u64, u64)>(),
        entries in prop::collection::vec((1_u64..2_000, any::<u32>(), any::<u64>(), kinds()), 0..9),
        inline in batches(),
        pending in prop::collection::vec(any::<(Option<u64>, u64, Option<u64>, u64)>(), 0..9),
        nonces in prop::collection::vec(any::<u64>(), 0..=RECENT_COMMITS as usize),
        idempotency in prop::collection::vec(any::<([u8; 16], [u8; 16], u64, u64, u64)>(), 0..9),
    ) -> Head {
        let epoch = Epoch::from_random(epoch);
        let total: u64 = entries.iter().map(|entry| entry.0).sum();
        let inline = RecordBatch { first: inline.first.plus(total), ..inline };
        let mut first = inline.first.minus(total);
        let segments = entries.into_iter().map(|(count, bytes, newest, kind)| {
            let segment = SegmentMeta { first, count, bytes: bytes.into(), newest: Timestamp(newest), kind };
            first = segment.next();
            segment
        }).collect();
        Head {
            epoch, closed, segments, inline, newest: Timestamp(newest), commits,
            pending_deletes: pending.into_iter()
                .map(|(other, first, merged, since)| PendingDelete {
                    segment: SegmentId { epoch: other.map_or(epoch, Epoch::from_random), first: Seq(first), merged },
                    since: Timestamp(since),
                })
                .collect(),
            recent_commits: nonces.into(),
            idempotency: idempotency.into_iter()
                .map(|(key, content, first, count, time)| IdempotencyEntry {
                    key, content, first: Seq(first), count, time: Timestamp(time),
                })
                .collect(),
        }
    }
}

proptest! {
    /// Property: decode(encode(head)) = head.
    #[test]
    fn every_head_round_trips(head in heads()) {
        let bytes = head.encode().unwrap().into();
        prop_assert_eq!(Head::decode("head!x", &bytes), Ok(head));
    }

    /// Property: two heads differ in length or checksum.
    #[test]
    fn a_head_is_recognised_by_its_stored_bytes(head in heads(), other in heads()) {
        let (stored, other) = (head.encode().unwrap(), other.encode().unwrap());
        prop_assert!(format::is_unchanged(&stored, &stored.clone()));
        prop_assert_eq!(format::is_unchanged(&stored, &other), stored == other);
    }

    /// Property: no bytes make decoding a head panic, nor iterating over its records.
    #[test]
    fn arbitrary_bytes_are_decoded_or_rejected(bytes: Vec<u8>, version in 0_u8..4, is_complete: bool) {
        let mut value = format::begin(Kind::Head, 0);
        value[1] = version;
        value.extend(bytes);
        if is_complete {
            format::append_checksum(&mut value);
        }
        if let Ok(head) = Head::decode("head!x", &value.into()) {
            let _ = head.inline.records().count();
        }
    }

    /// Property: a head with one byte changed before its checksum was computed never makes decoding
    /// panic.
    #[test]
    fn wrong_heads_are_decoded_or_rejected(head in heads(), at in any::<prop::sample::Index>(), byte: u8) {
        let mut bytes = head.encode().unwrap();
        bytes.truncate(bytes.len() - 8);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        format::append_checksum(&mut bytes);
        if let Ok(head) = Head::decode("head!x", &bytes.into()) {
            let _ = head.inline.records().count();
        }
    }
}

#[test]
fn decoding_errors_name_the_key() {
    let refused = |bytes: &'static [u8]| {
        Head::decode("head!demo", &Bytes::from_static(bytes))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(b""),
        "the value of head!demo is corrupt: it does not begin as a Head does"
    );
    assert_eq!(
        refused(b"H\x03whatever"),
        "the value of head!demo has format version 3; this Runnel reads up to 2"
    );
    assert_eq!(
        refused(b"H\x02whatever"),
        "the value of head!demo is corrupt: its checksum is wrong"
    );
    assert_eq!(
        refused(b"H\x00"),
        "the value of head!demo is corrupt: no format version 0 exists"
    );
    assert_eq!(
        refused(b"H\x01\x01"),
        "the value of head!demo is corrupt: Hit the end of buffer, expected more data"
    );
}

#[test]
fn a_head_with_any_bit_flipped_or_cut_off_anywhere_is_rejected() {
    let head = head_of(&[9_000, 9_000, 9_000, 9_000, 40, 7]);
    assert!(!head.segments.is_empty() && head.inline.count > 1);
    format::for_each_damage(&head.encode().unwrap(), |damaged| {
        assert!(Head::decode("head!x", &damaged.into()).is_err());
    });
}

/// Appends events of these sizes, one commit each.
fn head_of(sizes: &[usize]) -> Head {
    let retention = Retention {
        events: 5,
        bytes: u64::MAX,
        max_age: None,
    };
    let mut head = Head::new(Epoch::from_random(7));
    for (nonce, size) in (0..).zip(sizes) {
        let event = NewEvent {
            event_type: None,
            data: "x".repeat(*size),
            trace: None,
        };
        let batch = Batch {
            events: vec![event],
            ..Batch::default()
        };
        let plan = append(&head, &[batch], nonce, Timestamp(nonce), &retention).unwrap();
        head = plan.change.unwrap().head;
    }
    head
}

#[test]
fn each_broken_invariant_is_reported() {
    let head = head_of(&[9_000; 9]);
    assert_eq!(head.check(), Ok(()));
    assert!(head.segments.len() > 1 && !head.pending_deletes.is_empty());
    let broken = |change: &dyn Fn(&mut Head)| {
        let mut head = head.clone();
        change(&mut head);
        head.check().unwrap_err().0
    };
    assert_eq!(
        broken(&|head| {
            head.segments.clear();
            head.inline.first = Seq(0);
        }),
        "seqs begin with 1"
    );
    assert_eq!(
        broken(&|head| head.segments[1].first = head.segments[0].first),
        "segments follow each other"
    );
    assert_eq!(
        broken(&|head| head.segments[0].count = 0),
        "no segment is empty"
    );
    assert_eq!(
        broken(&|head| head.inline.first = head.inline.first.plus(1)),
        "inline records follow the segments"
    );
    let deleted = "nothing that is listed, or will be, is about to be deleted";
    let records = "the inline records are as many as counted, and nothing else";
    assert_eq!(broken(&|head| head.inline.count += 1), records);
    assert_eq!(broken(&|head| head.inline.count -= 1), records);
    assert_eq!(
        broken(&|head| {
            let cut = head.inline.records.len() - 1;
            head.inline.records.truncate(cut);
        }),
        records
    );
    assert_eq!(
        broken(&|head| head.pending_deletes[0].segment = head.segments[1].id(head.epoch)),
        deleted
    );
    assert_eq!(
        broken(&|head| {
            let next = SegmentId::sealed(head.epoch, head.inline.first);
            head.pending_deletes[0].segment = next;
        }),
        deleted
    );
    let commits = "the newest commits are remembered";
    assert_eq!(broken(&|head| head.commits += 1), commits);
    assert_eq!(broken(&|head| head.recent_commits.truncate(1)), commits);
    assert_eq!(
        broken(&|head| {
            let entry = IdempotencyEntry {
                key: [0; 16],
                content: [0; 16],
                first: Seq(1),
                count: 1,
                time: Timestamp(1),
            };
            head.idempotency = vec![entry; IDEMPOTENCY_KEYS + 1].into();
        }),
        "idempotency keys are bounded"
    );
}

proptest! {
    /// Property: every head that appends and purges produce keeps the invariants, and so does its
    /// stored form.
    #[test]
    fn appends_and_purges_keep_the_invariants(
        (events, bytes, seconds) in (1_u64..50, 1_000_u64..200_000, prop::option::of(0_u64..60)),
        commits in prop::collection::vec(
            (0_u8..20, prop::collection::vec(0_usize..9_000, 0..4), any::<u8>(), 0_u64..40_000),
            1..150,
        ),
    ) {
        let max_age = seconds.map(Duration::from_secs);
        let retention = Retention { events, bytes, max_age };
        let mut head = Head::new(Epoch::from_random(1));
        let mut now = Timestamp(1_800_000_000_000);
        for (nonce, (kind, sizes, key, millis)) in (0..).zip(commits) {
            now.0 += millis;
            if kind == 0 {
                head = purge(&head, Epoch::from_random(nonce + 2), nonce, now).unwrap();
            } else {
                let event = |size: usize| NewEvent {
                    event_type: None,
                    data: "x".repeat(size),
                    trace: None,
                };
                let batch = Batch {
                    events: sizes.into_iter().map(event).collect(),
                    close: kind == 1,
                    idempotency_key: (kind > 10)
                        .then_some(IdempotencyKey { key: [key; 16], content: [1; 16] }),
                };
                let plan = append(&head, &[batch], nonce, now, &retention).unwrap();
                if let Some(change) = plan.change {
                    head = change.head;
                }
            }
            prop_assert_eq!(head.check(), Ok(()));
            let stored = Head::decode("head!x", &head.encode().unwrap().into());
            prop_assert_eq!(stored.as_ref(), Ok(&head));
        }
    }
}
