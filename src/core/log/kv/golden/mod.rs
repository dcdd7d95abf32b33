//! Stored values of every format version, as files: every later Runnel must read what is in a store
//! today. A change that fails here needs a new format version and new files.
//!
//! Files of versions that are only read stay, too.

use std::collections::VecDeque;

use bytes::Bytes;

use super::head::{Head, IdempotencyEntry};
use super::segment::{self, PendingDelete, SegmentId, SegmentKind, SegmentMeta};
use crate::core::log::{Record, RecordBatch};
use crate::core::sse::{Epoch, EventType, Seq};
use crate::core::time::Timestamp;

fn epoch() -> Epoch {
    "3k9x2a".parse().unwrap()
}

fn batch(first: u64) -> RecordBatch {
    let mut records = vec![];
    let price = EventType::parse("price").ok();
    let all = [
        Record {
            time: Timestamp(1_767_225_600_000),
            event_type: price,
            data: "{\"eur\":7}",
            attributes: vec![],
        },
        Record {
            time: Timestamp(1_767_225_600_001),
            event_type: None,
            data: "",
            attributes: vec![("trace", "4bf9")],
        },
        Record {
            time: Timestamp(1_767_225_600_001),
            event_type: None,
            data: "zwei\nZeilen, größer\0",
            attributes: vec![],
        },
    ];
    for record in &all {
        record.encode(&mut records).unwrap();
    }
    RecordBatch {
        first: Seq(first),
        count: all.len() as u64,
        records: records.into(),
    }
}

/// The head of version 1, which has sealed segments only.
fn head_1() -> Head {
    let time = |step: u64| Timestamp(1_767_225_600_000 + step);
    let meta = |first, count, bytes, step| SegmentMeta {
        first: Seq(first),
        count,
        bytes,
        newest: time(step),
        kind: SegmentKind::Sealed,
    };
    Head {
        epoch: epoch(),
        closed: true,
        segments: vec![
            meta(1_000, 80, 16_300, 0),
            meta(1_080, 1, 65_000, 5),
            meta(1_081, 300, 16_384, 3),
        ],
        inline: batch(1_381),
        newest: time(9),
        pending_deletes: vec![PendingDelete {
            segment: SegmentId::sealed(epoch(), Seq(900)),
            since: time(7),
        }],
        commits: 77,
        recent_commits: VecDeque::from([u64::MAX, 1]),
        idempotency: VecDeque::from([IdempotencyEntry {
            key: *b"sixteen bytes ok",
            content: [7; 16],
            first: Seq(1_381),
            count: 3,
            time: time(9),
        }]),
    }
}

/// The head of version 2, which has segments of all kinds.
fn head_2() -> Head {
    let mut head = head_1();
    head.segments[0].kind = SegmentKind::Merged;
    head.segments[1].kind = SegmentKind::Settled;
    let since = head.pending_deletes[0].since;
    let merged = SegmentId {
        merged: Some(70),
        ..SegmentId::sealed(epoch(), Seq(930))
    };
    let of_purged = SegmentId::sealed("000001".parse().unwrap(), Seq(7));
    let pending = [merged, of_purged].map(|segment| PendingDelete { segment, since });
    head.pending_deletes.extend(pending);
    head
}

const HEAD_1: &[u8] = include_bytes!("head-1.bin");
const HEAD_2: &[u8] = include_bytes!("head-2.bin");
const SEGMENT_1: &[u8] = include_bytes!("segment-1.bin");
const SEGMENT_2: &[u8] = include_bytes!("segment-2.bin");
const MERGED_2: &[u8] = include_bytes!("merged-2.bin");

#[test]
fn a_head_of_version_1_is_decoded() {
    let decoded = Head::decode("head!golden", &Bytes::from_static(HEAD_1));
    assert_eq!(decoded, Ok(head_1()));
}

#[test]
fn a_head_of_version_2_is_decoded_and_encoded_unchanged() {
    let decoded = Head::decode("head!golden", &Bytes::from_static(HEAD_2));
    assert_eq!(decoded, Ok(head_2()));
    assert_eq!(head_2().encode().unwrap(), HEAD_2);
}

fn id() -> SegmentId {
    SegmentId::sealed(epoch(), Seq(1_081))
}

#[test]
fn a_segment_of_version_1_is_decoded() {
    let decoded = segment::decode("seg!golden", id(), &Bytes::from_static(SEGMENT_1));
    assert_eq!(decoded, Ok(vec![batch(1_081)]));
}

#[test]
fn a_segment_of_version_2_is_decoded_and_encoded_unchanged() {
    let decoded = segment::decode("seg!golden", id(), &Bytes::from_static(SEGMENT_2));
    assert_eq!(decoded, Ok(vec![batch(1_081)]));
    assert_eq!(
        segment::encode(epoch(), &[batch(1_081)]).unwrap(),
        SEGMENT_2
    );
}

#[test]
fn a_merged_segment_of_version_2_is_decoded_and_encoded_unchanged() {
    let parts = vec![batch(1_081), batch(1_084)];
    let merged = SegmentId {
        merged: Some(6),
        ..id()
    };
    let decoded = segment::decode("seg!golden", merged, &Bytes::from_static(MERGED_2));
    assert_eq!(decoded.as_ref(), Ok(&parts));
    assert_eq!(segment::encode(epoch(), &parts).unwrap(), MERGED_2);
}
