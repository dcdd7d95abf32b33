//! Sealed segments: immutable batches of records under a key of their own.
//!
//! Only committed records are sealed, and the end of a segment depends on the records alone. So every
//! writer that seals a segment writes the same bytes under the same key, in whatever order and however
//! often; a writer that was overtaken does no harm.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::format::{self, FormatError, Kind};
use crate::core::log::RecordBatch;
use crate::core::sse::{Epoch, Seq};
use crate::core::time::Timestamp;

/// A segment ends before the record that would take it past this many bytes of records: 16 KiB.
/// A single record that is larger is a segment of its own.
pub const SEGMENT_BYTES: usize = 16 * 1024;

/// A sealed segment, as the directory lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentMeta {
    /// The seq of its first record.
    pub first: Seq,
    /// The number of records, at least 1.
    pub count: u64,
    /// The bytes of its records.
    pub bytes: u64,
    /// The time of its newest record.
    pub newest: Timestamp,
}

impl SegmentMeta {
    /// Returns the seq after that of the last record.
    #[must_use]
    pub const fn next(&self) -> Seq {
        self.first.plus(self.count)
    }

    /// Returns whether `records` have the extent of this segment.
    #[must_use]
    pub fn describes(&self, records: &RecordBatch) -> bool {
        (self.first, self.count) == (records.first, records.count)
            && self.bytes == records.records.len() as u64
    }
}

/// The identity of a segment within a channel: its key without the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SegmentId {
    /// The epoch of its log.
    pub epoch: Epoch,
    /// The seq of its first record.
    pub first: Seq,
}

/// A segment that was dropped from the directory and may still be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingDelete {
    /// The segment.
    pub segment: SegmentId,
    /// The time at which it was dropped.
    pub since: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Header {
    epoch: Epoch,
    first: Seq,
    count: u64,
}

/// Returns the bytes to store for a segment.
///
/// # Errors
/// Never in practice; see [`Record::encode`](crate::core::log::Record::encode).
pub fn encode(epoch: Epoch, batch: &RecordBatch) -> Result<Bytes, postcard::Error> {
    let header = Header {
        epoch,
        first: batch.first,
        count: batch.count,
    };
    let mut bytes = postcard::to_extend(&header, format::prefix(Kind::Segment).to_vec())?;
    bytes.extend_from_slice(&batch.records);
    Ok(bytes.into())
}

/// Decodes a stored segment, which must be the one that was asked for.
///
/// # Errors
/// If the bytes are not a segment, are another segment, or have a newer format.
pub fn decode(key: &str, id: SegmentId, bytes: &Bytes) -> Result<RecordBatch, FormatError> {
    let body = format::strip_prefix(Kind::Segment, key, bytes)?;
    let (header, records): (Header, &[u8]) =
        postcard::take_from_bytes(body).map_err(|error| format::corrupt(key, error))?;
    if header.epoch != id.epoch || header.first != id.first {
        let detail = format!("it is the segment {}-{}", header.epoch, header.first.0);
        return Err(format::corrupt(key, detail));
    }
    Ok(RecordBatch {
        first: header.first,
        count: header.count,
        records: bytes.slice_ref(records),
    })
}

/// Splits off the front of `batch` every segment whose end its records determine. Returns the segments
/// and the rest.
///
/// # Errors
/// If a record cannot be read.
pub fn cut(batch: &RecordBatch) -> Result<(Vec<RecordBatch>, RecordBatch), postcard::Error> {
    let mut rest = batch.clone();
    let mut segments = vec![];
    while rest.records.len() >= SEGMENT_BYTES {
        let Some((count, bytes)) = first_end(&rest)? else {
            break;
        };
        let segment = RecordBatch {
            first: rest.first,
            count,
            records: rest.records.slice(..bytes),
        };
        rest = RecordBatch {
            first: segment.next(),
            count: rest.count.saturating_sub(count),
            records: rest.records.slice(bytes..),
        };
        segments.push(segment);
    }
    Ok((segments, rest))
}

/// Returns the number of records and bytes of the first segment of `batch`; `None` while the next record
/// could still belong to it.
fn first_end(batch: &RecordBatch) -> Result<Option<(u64, usize)>, postcard::Error> {
    let mut records = batch.records();
    let mut end = (0, 0);
    while let Some(record) = records.next() {
        record?;
        let offset = records.offset();
        if offset > SEGMENT_BYTES && end.0 > 0 {
            return Ok(Some(end));
        }
        end = (end.0.saturating_add(1), offset);
        if offset >= SEGMENT_BYTES {
            return Ok(Some(end));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::log::Record;
    use crate::core::time::Timestamp;
    use proptest::prelude::*;

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
        SegmentId {
            epoch: Epoch::from_random(1),
            first: Seq(5),
        }
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

        /// Property: decode(encode(segment)) = segment.
        #[test]
        fn every_segment_round_trips(sizes in prop::collection::vec(0_usize..300, 0..20)) {
            let batch = batch_of(&sizes);
            let bytes = encode(id().epoch, &batch).unwrap();
            prop_assert_eq!(decode("seg!x", id(), &bytes), Ok(batch));
        }

        /// Property: no bytes make decoding a segment panic, nor iterating over its records.
        #[test]
        fn arbitrary_bytes_are_decoded_or_rejected(bytes: Vec<u8>, valid_prefix: bool) {
            let mut value = if valid_prefix { format::prefix(Kind::Segment).to_vec() } else { vec![] };
            value.extend(bytes);
            if let Ok(batch) = decode("seg!x", id(), &value.into()) {
                let _ = batch.records().count();
                let _ = cut(&batch);
            }
        }
    }

    #[test]
    fn another_segment_under_the_key_is_rejected() {
        let bytes = encode(id().epoch, &batch_of(&[1])).unwrap();
        let other = SegmentId {
            first: Seq(6),
            ..id()
        };
        let error = decode("seg!demo!000001!6", other, &bytes).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the value of seg!demo!000001!6 is corrupt: it is the segment 000001-5"
        );
    }

    #[test]
    fn a_newer_format_is_rejected_by_key_and_version() {
        let mut bytes = encode(id().epoch, &batch_of(&[1])).unwrap().to_vec();
        bytes[1] = 2;
        assert_eq!(
            decode("seg!demo", id(), &bytes.into())
                .unwrap_err()
                .to_string(),
            "the value of seg!demo has format version 2; this Runnel reads up to 1"
        );
    }
}
