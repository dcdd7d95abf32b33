//! SegmentMeta segments: immutable runs of records under a key of their own.
//!
//! Only records that are already committed are sealed, and where a segment ends depends on the
//! records alone. So whoever seals a segment writes the same bytes under the same key, in whatever
//! order and however often; a writer that was overtaken does no harm.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::format::{self, FormatError, Kind};
use super::{RecordBatch, SegmentId};
use crate::core::sse::{Epoch, Seq};

/// A segment ends before the record that would take it past this many bytes of records: 16 KiB.
/// A single record that is larger is a segment by itself.
pub const SEGMENT_BYTES: usize = 16 * 1024;

#[derive(Serialize, Deserialize)]
struct Header {
    epoch: Epoch,
    first: Seq,
    count: u64,
}

/// The bytes to store for a segment.
///
/// # Errors
/// Never in practice; see [`super::Record::encode`].
pub fn encode(epoch: Epoch, run: &RecordBatch) -> Result<Bytes, postcard::Error> {
    let header = Header {
        epoch,
        first: run.first,
        count: run.count,
    };
    let mut bytes = postcard::to_extend(&header, format::prefix(Kind::Segment).to_vec())?;
    bytes.extend_from_slice(&run.records);
    Ok(bytes.into())
}

/// Reads a stored segment, which must be the one that was asked for.
///
/// # Errors
/// When the bytes are not a segment, not that one, or of a newer format.
pub fn decode(key: &str, asked: SegmentId, bytes: &Bytes) -> Result<RecordBatch, FormatError> {
    let body = format::checked(Kind::Segment, key, bytes)?;
    let (header, records): (Header, &[u8]) =
        postcard::take_from_bytes(body).map_err(|error| format::corrupt(key, error))?;
    if header.epoch != asked.epoch || header.first != asked.first {
        let detail = format!("it is the segment {}-{}", header.epoch, header.first.0);
        return Err(format::corrupt(key, detail));
    }
    Ok(RecordBatch {
        first: header.first,
        count: header.count,
        records: bytes.slice_ref(records),
    })
}

/// Cuts off the front of `run` every segment whose end its records determine, and returns them
/// with what is left.
///
/// # Errors
/// When a record cannot be read.
pub fn cut(run: &RecordBatch) -> Result<(Vec<RecordBatch>, RecordBatch), postcard::Error> {
    let mut rest = run.clone();
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

/// Where the first segment of `run` ends: how many records and bytes it has. `None` while the next
/// record could still belong to it.
fn first_end(run: &RecordBatch) -> Result<Option<(u64, usize)>, postcard::Error> {
    let mut records = run.records();
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

    fn run_of(sizes: &[usize]) -> RecordBatch {
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

    fn asked() -> SegmentId {
        SegmentId {
            epoch: Epoch::from_random(1),
            first: Seq(5),
        }
    }

    proptest! {
        /// Law: a prefix of the records never moves an end that it determines, so two writers who
        /// saw different amounts of the log seal the same segments.
        #[test]
        fn where_a_segment_ends_depends_on_its_records_alone(
            sizes in prop::collection::vec(prop_oneof![0_usize..400, 0_usize..9_000, 0_usize..40_000], 0..40),
            seen in any::<prop::sample::Index>(),
        ) {
            let all = cut(&run_of(&sizes)).unwrap().0;
            let some = cut(&run_of(&sizes[..seen.index(sizes.len() + 1)])).unwrap().0;
            prop_assert!(all.starts_with(&some));
        }

        /// Law: cutting loses no record, and a segment holds as much as fits, or one large record.
        #[test]
        fn cutting_keeps_every_record_in_order(
            sizes in prop::collection::vec(prop_oneof![0_usize..400, 0_usize..40_000], 0..40),
        ) {
            let run = run_of(&sizes);
            let (segments, rest) = cut(&run).unwrap();
            let mut joined = vec![];
            let mut next = run.first;
            for part in segments.iter().chain([&rest]) {
                prop_assert_eq!(part.first, next);
                next = part.next();
                joined.extend_from_slice(&part.records);
            }
            prop_assert_eq!(next, run.next());
            prop_assert_eq!(&joined[..], &run.records[..]);
            for segment in &segments {
                prop_assert!(segment.records.len() <= SEGMENT_BYTES || segment.count == 1);
            }
            prop_assert!(rest.records.len() < SEGMENT_BYTES);
        }

        /// Law: decode(encode(segment)) = segment.
        #[test]
        fn every_segment_is_read_back(sizes in prop::collection::vec(0_usize..300, 0..20)) {
            let run = run_of(&sizes);
            let bytes = encode(asked().epoch, &run).unwrap();
            prop_assert_eq!(decode("seg!x", asked(), &bytes), Ok(run));
        }

        /// Law: no bytes make reading a segment, or its records, panic.
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, valid_prefix: bool) {
            let mut value = if valid_prefix { format::prefix(Kind::Segment).to_vec() } else { vec![] };
            value.extend(bytes);
            if let Ok(run) = decode("seg!x", asked(), &value.into()) {
                let _ = run.records().count();
                let _ = cut(&run);
            }
        }
    }

    #[test]
    fn a_segment_that_is_not_the_one_asked_for_is_refused_by_key() {
        let bytes = encode(asked().epoch, &run_of(&[1])).unwrap();
        let other = SegmentId {
            first: Seq(6),
            ..asked()
        };
        let error = decode("seg!demo!000001!6", other, &bytes).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the value of seg!demo!000001!6 is corrupt: it is the segment 000001-5"
        );
    }

    #[test]
    fn a_newer_format_is_refused_by_key_and_version() {
        let mut bytes = encode(asked().epoch, &run_of(&[1])).unwrap().to_vec();
        bytes[1] = 2;
        assert_eq!(
            decode("seg!demo", asked(), &bytes.into())
                .unwrap_err()
                .to_string(),
            "the value of seg!demo has format version 2; this Runnel reads up to 1"
        );
    }
}
