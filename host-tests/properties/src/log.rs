//! Stored heads and segments.

use std::time::Duration;

use bytes::Bytes;

use runnel::core::log::kv::segment::{self, SegmentId};
use runnel::core::log::kv::{Head, Location, append, format, purge};
use runnel::core::log::{Batch, NewEvent, RecordBatch, Retention, StartFrom};
use runnel::core::sse::{Epoch, Position, Seq};
use runnel::core::time::Timestamp;

/// Property: any bytes are a head or rejected. A decoded head is encoded to the same value, its
/// directory has no holes, and readers and writers can continue from it, whatever its records are.
///
/// # Panics
/// If the property is violated.
pub fn head(data: &[u8]) {
    for data in with_and_without_checksum(data) {
        if let Ok(head) = Head::decode("head!fuzz", &data) {
            check_head(&head);
        }
    }
}

fn check_head(head: &Head) {
    assert_eq!(&stored(head), head);
    let mut next = head.first();
    for segment in &head.segments {
        assert!(segment.first == next && segment.count > 0);
        next = segment.next();
    }
    assert_eq!(next, head.inline.first);
    let is_complete = check_records(&head.inline);
    check_reading(head);
    // Close to the end of the numbers, which no log can reach, writers cannot continue.
    if head.next().0.max(head.bytes()) < 1 << 62 {
        check_writing(head, is_complete);
    }
}

/// Returns the data as it is, and completed by its checksum: no search would find one that is right.
fn with_and_without_checksum(data: &[u8]) -> [Bytes; 2] {
    let mut complete = data.to_vec();
    format::append_checksum(&mut complete);
    [Bytes::copy_from_slice(data), complete.into()]
}

/// Property: any bytes are a segment or rejected. A decoded segment is encoded to the same value, is
/// not taken for another segment, and keeps its records when it is cut.
///
/// # Panics
/// If the property is violated.
pub fn segment(data: &[u8]) {
    // After two bytes for kind and version, a segment begins with its id.
    let id = postcard::take_from_bytes::<(Epoch, Seq)>(data.get(2..).unwrap_or_default());
    let id = id.map(|((epoch, first), _)| SegmentId::sealed(epoch, first));
    for data in with_and_without_checksum(data) {
        match id {
            Ok(id) => check_segment(id, &data),
            Err(_) => {
                let any = SegmentId::sealed(Epoch::from_random(0), Seq(0));
                assert!(segment::decode("seg!fuzz", any, &data).is_err());
            }
        }
    }
}

fn check_segment(id: SegmentId, data: &Bytes) {
    let Ok(parts) = segment::decode("seg!fuzz", id, data) else {
        return;
    };
    let count = parts.iter().map(|part| part.count);
    let count = count.fold(0, u64::saturating_add);
    let other = SegmentId {
        first: Seq(id.first.0 ^ 1),
        ..id
    };
    let longer = SegmentId {
        merged: Some(count.wrapping_add(1)),
        ..id
    };
    for id in [other, longer] {
        assert!(segment::decode("seg!fuzz", id, data).is_err());
    }
    let merged = SegmentId {
        merged: Some(count),
        ..id
    };
    assert_eq!(
        segment::decode("seg!fuzz", merged, data).as_ref(),
        Ok(&parts)
    );
    if !parts.is_empty() {
        let encoded = segment::encode(id.epoch, &parts).expect("a vector has room");
        let decoded = segment::decode("seg!fuzz", id, &encoded);
        assert_eq!(decoded.as_ref(), Ok(&parts));
    }
    let mut next = id.first;
    for part in &parts {
        assert_eq!(part.first, next);
        next = part.next();
        check_records(part);
        check_cutting(part);
    }
}

fn check_cutting(batch: &RecordBatch) {
    if let Ok((segments, rest)) = segment::cut(batch) {
        let mut next = batch.first;
        let mut joined = vec![];
        for part in segments.iter().chain([&rest]) {
            assert_eq!(part.first, next);
            next = part.next();
            joined.extend_from_slice(&part.records);
        }
        assert_eq!((next, &joined[..]), (batch.next(), &batch.records[..]));
    }
}

/// Encodes and decodes a head.
pub(crate) fn stored(head: &Head) -> Head {
    let bytes = head.encode().expect("a vector has room");
    Head::decode("head!fuzz", &bytes.into()).expect("an encoded head can be decoded")
}

/// Reads the records up to the first unreadable one. Returns true if all were read and no bytes
/// remain.
fn check_records(batch: &RecordBatch) -> bool {
    let mut records = batch.records();
    let mut count = 0;
    while let Some(record) = records.next() {
        let Ok((seq, _)) = record else {
            assert!(
                records.next().is_none(),
                "nothing follows an unreadable record"
            );
            return false;
        };
        assert_eq!(seq, batch.first.plus(count));
        count += 1;
    }
    assert_eq!(count, batch.count);
    records.offset() == batch.records.len()
}

/// Every start resolves to a position in the log that can be located.
fn check_reading(head: &Head) {
    let now = head.newest;
    let last = head.before(head.next());
    assert_eq!(last.to_string().parse(), Ok(last));
    let starts = [
        StartFrom::Earliest,
        StartFrom::Live(Timestamp(0)),
        StartFrom::Live(now),
        StartFrom::Last(1),
        StartFrom::Last(u64::MAX),
        StartFrom::After(Position::After(head.before(head.first()))),
        StartFrom::After(Position::After(head.before(head.inline.first))),
        StartFrom::After(Position::After(head.before(head.next()))),
        StartFrom::After(Position::After(head.before(Seq(u64::MAX)))),
        StartFrom::Unreadable("?".to_owned()),
    ];
    for start in starts {
        let resolved = start.resolve(&head.state(), |since| head.first_between(since, now));
        let next = resolved.next;
        assert!(head.first() <= next && next <= head.next(), "{start:?}");
        match head.locate(next, 1 << 16) {
            Location::Segments(segments) => {
                let first = segments
                    .first()
                    .expect("at least the segment of the position");
                assert!(first.first <= next && next < first.next());
            }
            Location::Inline(batch) => assert!(batch.first <= next && next < batch.next()),
            Location::Tail => assert_eq!(next, head.next()),
            Location::Evicted => panic!("{start:?} resolves to {next:?}, which is evicted"),
        }
    }
}

/// A plan based on the head yields a valid head. If the records are complete, the new one is the last.
fn check_writing(head: &Head, is_complete: bool) {
    let retention = Retention {
        events: 10,
        bytes: 1 << 20,
        max_age: Some(Duration::from_secs(60)),
    };
    let event = NewEvent {
        event_type: Some("fuzz".to_owned()),
        data: "new".to_owned(),
        trace: None,
    };
    let batch = Batch {
        events: vec![event],
        ..Batch::default()
    };
    let is_valid = head.check().is_ok();
    let plan = append(head, &[batch], 1, head.newest, &retention);
    if let Ok(plan) = plan {
        match (plan.change, head.closed) {
            (None, closed) => assert!(closed),
            (Some(_), true) => panic!("a closed log has changed"),
            (Some(change), false) => {
                assert_eq!(stored(&change.head), change.head);
                assert!(!is_valid || change.head.check().is_ok());
                assert_eq!(change.head.next(), head.next().plus(1));
                assert!(change.head.first() >= head.first());
                let last = change.head.inline.records().last();
                let last = last
                    .and_then(Result::ok)
                    .map(|(seq, record)| (seq, record.data));
                if is_complete {
                    assert_eq!(last, Some((head.next(), "new")));
                }
            }
        }
    }
    let epoch = Epoch::from_random(1);
    if let Ok(purged) = purge(head, epoch, 1, head.newest) {
        assert_eq!(stored(&purged), purged);
        assert!(!is_valid || purged.check().is_ok());
        assert_eq!((purged.first(), purged.next()), (Seq::FIRST, Seq::FIRST));
    }
}
