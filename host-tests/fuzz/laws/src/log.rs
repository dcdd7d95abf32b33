//! Stored heads and segments.

use bytes::Bytes;

use runnel::core::log::{
    Batch, Head, Location, NewEvent, Retention, RecordBatch, SegmentId, StartFrom, append, purge, segment,
};
use runnel::core::sse::{Epoch, Position, Seq};
use runnel::core::time::Timestamp;

/// Law: any bytes are a head or refused. A head that was read is written back to the same value, its
/// directory has no holes, and its readers and writers can go on from it, whatever its records are.
///
/// # Panics
/// When the law is broken.
pub fn head(data: &[u8]) {
    let Ok(head) = Head::decode("head!fuzz", &Bytes::copy_from_slice(data)) else {
        return;
    };
    assert_eq!(stored(&head), head);
    let mut next = head.first();
    for sealed in &head.segments {
        assert!(sealed.first == next && sealed.count > 0);
        next = sealed.next();
    }
    assert_eq!(next, head.inline.first);
    let whole = check_records(&head.inline);
    check_reading(&head);
    // Close to what no log can come to have, a head cannot be gone on from.
    if head.next().0.max(head.bytes()) < 1 << 62 {
        check_writing(&head, whole);
    }
}

/// Law: any bytes are a segment or refused. A segment that was read is written back to the same
/// value, it is taken for no other, and cutting it keeps its records.
///
/// # Panics
/// When the law is broken.
pub fn segment(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    // A segment begins with its name, after two bytes for kind and version.
    let name = postcard::take_from_bytes::<(Epoch, Seq)>(data.get(2..).unwrap_or_default());
    let Ok(((epoch, first), _)) = name else {
        let any = SegmentId {
            epoch: Epoch::from_random(0),
            first: Seq(0),
        };
        assert!(segment::decode("seg!fuzz", any, &bytes).is_err());
        return;
    };
    let asked = SegmentId { epoch, first };
    let Ok(run) = segment::decode("seg!fuzz", asked, &bytes) else {
        return;
    };
    let other = SegmentId {
        first: Seq(first.0 ^ 1),
        ..asked
    };
    assert!(segment::decode("seg!fuzz", other, &bytes).is_err());
    let again = segment::encode(epoch, &run).expect("a vector has room");
    let decoded = segment::decode("seg!fuzz", asked, &again);
    assert_eq!(decoded.as_ref(), Ok(&run));
    check_records(&run);
    if let Ok((segments, rest)) = segment::cut(&run) {
        let mut next = run.first;
        let mut joined = vec![];
        for part in segments.iter().chain([&rest]) {
            assert_eq!(part.first, next);
            next = part.next();
            joined.extend_from_slice(&part.records);
        }
        assert_eq!((next, &joined[..]), (run.next(), &run.records[..]));
    }
}

/// The head as it is read back after it was written.
pub(crate) fn stored(head: &Head) -> Head {
    let bytes = head.encode().expect("a vector has room");
    Head::decode("head!fuzz", &bytes.into()).expect("what is written can be read")
}

/// Reads what can be read of the records, and returns whether that was as many as there should be
/// and all of the bytes.
fn check_records(run: &RecordBatch) -> bool {
    let mut records = run.records();
    let mut count = 0;
    while let Some(record) = records.next() {
        let Ok((seq, _)) = record else {
            assert!(
                records.next().is_none(),
                "nothing follows what is unreadable"
            );
            return false;
        };
        assert_eq!(seq, run.first.plus(count));
        count += 1;
    }
    assert_eq!(count, run.count);
    records.offset() == run.records.len()
}

/// Wherever a reader starts, it starts in the log, and is told where that is.
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
        let next = start.resolve(head, now).next;
        assert!(head.first() <= next && next <= head.next(), "{start:?}");
        match head.locate(next, 1 << 16) {
            Location::Segments(segments) => {
                let first = segments.first().expect("at least the one asked for");
                assert!(first.first <= next && next < first.next());
            }
            Location::Inline(run) => assert!(run.first <= next && next < run.next()),
            Location::Tail => assert_eq!(next, head.next()),
            Location::Evicted => panic!("{start:?} at {next:?}, which is not kept"),
        }
    }
}

/// A plan made from the head is a head again; if its records are `whole`, the new one is among them.
fn check_writing(head: &Head, whole: bool) {
    let retention = Retention {
        events: 10,
        bytes: 1 << 20,
        seconds: 60,
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
    let plan = append(head, &[batch], 1, head.newest, &retention);
    if let Ok(plan) = plan {
        match (plan.change, head.closed) {
            (None, closed) => assert!(closed),
            (Some(_), true) => panic!("a closed log was changed"),
            (Some(change), false) => {
                assert_eq!(stored(&change.head), change.head);
                assert_eq!(change.head.next(), head.next().plus(1));
                assert!(change.head.first() >= head.first());
                let last = change.head.inline.records().last();
                let last = last
                    .and_then(Result::ok)
                    .map(|(seq, record)| (seq, record.data));
                if whole {
                    assert_eq!(last, Some((head.next(), "new")));
                }
            }
        }
    }
    let epoch = Epoch::from_random(1);
    if let Ok(purged) = purge(head, epoch, 1, head.newest) {
        assert_eq!(stored(&purged), purged);
        assert_eq!((purged.first(), purged.next()), (Seq::FIRST, Seq::FIRST));
    }
}
