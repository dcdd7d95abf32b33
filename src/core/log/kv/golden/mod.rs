//! Stored values of every format version, as files: every later Runnel must read what is in a store
//! today. A change that fails here needs a new format version and new files.

use std::collections::VecDeque;

use bytes::Bytes;

use super::head::{CommitRecord, Head, IdempotencyEntry};
use super::segment::{self, PendingDelete, SegmentId, SegmentMeta};
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

fn head() -> Head {
    let time = |step: u64| Timestamp(1_767_225_600_000 + step);
    let meta = |first, count, bytes, step| SegmentMeta {
        first: Seq(first),
        count,
        bytes,
        newest: time(step),
    };
    let segment = |first| SegmentId {
        epoch: epoch(),
        first: Seq(first),
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
            segment: segment(900),
            since: time(7),
        }],
        commits: 77,
        recent_commits: VecDeque::from([
            CommitRecord {
                nonce: u64::MAX,
                epoch: epoch(),
                first: Seq(1_380),
            },
            CommitRecord {
                nonce: 1,
                epoch: epoch(),
                first: Seq(1_381),
            },
        ]),
        idempotency: VecDeque::from([IdempotencyEntry {
            key: *b"sixteen bytes ok",
            content: [7; 16],
            first: Seq(1_381),
            count: 3,
            time: time(9),
        }]),
    }
}

const HEAD_1: &[u8] = include_bytes!("head-1.bin");
const SEGMENT_1: &[u8] = include_bytes!("segment-1.bin");

#[test]
fn a_head_of_version_1_is_decoded_and_encoded_unchanged() {
    assert_eq!(
        Head::decode("head!golden", &Bytes::from_static(HEAD_1)),
        Ok(head())
    );
    assert_eq!(head().encode().unwrap(), HEAD_1);
}

#[test]
fn a_segment_of_version_1_is_decoded_and_encoded_unchanged() {
    let id = SegmentId {
        epoch: epoch(),
        first: Seq(1_081),
    };
    let decoded = segment::decode("seg!golden", id, &Bytes::from_static(SEGMENT_1));
    assert_eq!(decoded, Ok(batch(1_081)));
    assert_eq!(segment::encode(epoch(), &batch(1_081)).unwrap(), SEGMENT_1);
}
