use proptest::prelude::*;

use super::*;
use crate::core::log::Record;
use crate::core::log::kv::format::{self, Kind};

fn batch_of(sizes: &[usize]) -> RecordBatch {
    let mut records = vec![];
    for &size in sizes {
        let data = "x".repeat(size);
        Record {
            time: Timestamp(1),
            event_type: None,
            data: &data,
            attributes: vec![],
        }
        .encode(&mut records)
        .unwrap();
    }
    RecordBatch {
        first: Seq(5),
        count: sizes.len() as u64,
        records: records.into(),
    }
}

fn id() -> SegmentId {
    SegmentId::sealed(Epoch::from_random(1), Seq(5))
}

/// Encodes a segment of one part.
fn sealed(batch: RecordBatch) -> Vec<u8> {
    encode(id().epoch, &[batch]).unwrap().to_vec()
}

fn error(id: SegmentId, bytes: Vec<u8>) -> String {
    decode("seg!demo", id, &bytes.into())
        .unwrap_err()
        .to_string()
}

proptest! {
    /// Property: a prefix of the records determines the same ends as all of them, so two writers
    /// that saw different amounts of the log seal the same segments.
    #[test]
    fn the_end_of_a_segment_depends_on_its_records_alone(
        sizes in prop::collection::vec(prop_oneof![0_usize..400, 0_usize..9_000, 0_usize..40_000], 0..40),
        seen in any::<prop::sample::Index>(),
    ) {
        let all = cut(&batch_of(&sizes)).unwrap().0;
        let some = cut(&batch_of(&sizes[..seen.index(sizes.len() + 1)])).unwrap().0;
        prop_assert!(all.starts_with(&some));
    }

    /// Property: cutting loses no record, and a segment holds as much as fits, or one large record.
    #[test]
    fn cutting_keeps_every_record_in_order(
        sizes in prop::collection::vec(prop_oneof![0_usize..400, 0_usize..40_000], 0..40),
    ) {
        let batch = batch_of(&sizes);
        let (segments, rest) = cut(&batch).unwrap();
        let mut joined = vec![];
        let mut next = batch.first;
        for part in segments.iter().chain([&rest]) {
            prop_assert_eq!(part.first, next);
            next = part.next();
            joined.extend_from_slice(&part.records);
        }
        prop_assert_eq!(next, batch.next());
        prop_assert_eq!(&joined[..], &batch.records[..]);
        for segment in &segments {
            prop_assert!(segment.records.len() <= SEGMENT_BYTES || segment.count == 1);
        }
        prop_assert!(rest.records.len() < SEGMENT_BYTES);
    }

    /// Property: decode(encode(segment)) = segment, whether it has one part or several.
    #[test]
    fn every_segment_round_trips(
        sizes in prop::collection::vec(prop_oneof![0_usize..300, 0_usize..40_000], 0..20),
    ) {
        let batch = batch_of(&sizes);
        let bytes = sealed(batch.clone());
        prop_assert_eq!(decode("seg!x", id(), &bytes.into()), Ok(vec![batch.clone()]));
        let parts = cut(&batch).unwrap().0;
        if let Some(last) = parts.last() {
            let count = last.next().since(id().first);
            let id = SegmentId { merged: Some(count), ..id() };
            let bytes = encode(id.epoch, &parts).unwrap();
            prop_assert_eq!(decode("seg!x", id, &bytes), Ok(parts));
        }
    }

    /// Property: no bytes make decoding a segment panic, nor iterating over its records.
    #[test]
    fn arbitrary_bytes_are_decoded_or_rejected(bytes: Vec<u8>, version in 0_u8..4, is_complete: bool) {
        let mut value = format::begin(Kind::Segment, 0);
        value[1] = version;
        value.extend(bytes);
        if is_complete {
            format::append_checksum(&mut value);
        }
        if let Ok(parts) = decode("seg!x", id(), &value.into()) {
            for part in parts {
                let _ = part.records().count();
                let _ = cut(&part);
            }
        }
    }
}

#[test]
fn another_segment_under_the_key_is_rejected() {
    let bytes = sealed(batch_of(&[1, 2]));
    let other = SegmentId {
        first: Seq(6),
        ..id()
    };
    assert_eq!(
        error(other, bytes.clone()),
        "the value of seg!demo is corrupt: it is the segment 000001!5"
    );
    let longer = SegmentId {
        merged: Some(3),
        ..id()
    };
    assert_eq!(
        error(longer, bytes),
        "the value of seg!demo is corrupt: it is the segment 000001!5!2"
    );
}

#[test]
fn a_newer_format_is_rejected_by_key_and_version() {
    let mut bytes = sealed(batch_of(&[1]));
    bytes[1] = 3;
    assert_eq!(
        error(id(), bytes),
        "the value of seg!demo has format version 3; this Runnel reads up to 2"
    );
}

#[test]
fn a_segment_with_any_bit_flipped_or_cut_off_anywhere_is_rejected() {
    let parts = cut(&batch_of(&[9_000; 6])).unwrap().0;
    let id = SegmentId {
        merged: Some(parts.iter().map(|part| part.count).sum()),
        ..id()
    };
    let values = [
        (self::id(), sealed(batch_of(&[0, 1, 300]))),
        (id, encode(id.epoch, &parts).unwrap().to_vec()),
    ];
    for (id, bytes) in values {
        format::for_each_damage(&bytes, |damaged| {
            assert!(decode("seg!x", id, &damaged.into()).is_err());
        });
    }
}
