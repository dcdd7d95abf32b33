//! The stored form of segments.
//!
//! Both versions have a header and then the records. Since version 2 the header lists the parts of the
//! segment: one of a sealed segment, and of a merged one the segments that it was merged from. So a
//! reader gets the same batches of records before and after a merge.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::SegmentId;
use crate::core::log::RecordBatch;
use crate::core::log::kv::format::{self, FormatError, Kind, Version};
use crate::core::sse::{Epoch, Seq};

/// The most bytes of a header in practice.
const HEADER_BYTES: usize = 64;

#[derive(Serialize, Deserialize)]
struct HeaderOne {
    epoch: Epoch,
    first: Seq,
    count: u64,
}

#[derive(Serialize, Deserialize)]
struct Header {
    epoch: Epoch,
    first: Seq,
    parts: Vec<Part>,
}

/// The numbers of records and bytes of a part.
#[derive(Serialize, Deserialize)]
struct Part {
    count: u64,
    bytes: u64,
}

/// Returns the bytes to store for a segment of these parts, which follow each other.
///
/// # Errors
/// Never in practice; see [`Record::encode`](crate::core::log::Record::encode).
pub fn encode(epoch: Epoch, parts: &[RecordBatch]) -> Result<Bytes, postcard::Error> {
    let header = Header {
        epoch,
        first: parts.first().map_or(Seq::FIRST, |part| part.first),
        parts: parts.iter().map(Part::of).collect(),
    };
    let records = parts.iter().map(|part| part.records.len());
    let capacity = records.fold(HEADER_BYTES, usize::saturating_add);
    let mut bytes = postcard::to_extend(&header, format::begin(Kind::Segment, capacity))?;
    for part in parts {
        bytes.extend_from_slice(&part.records);
    }
    format::append_checksum(&mut bytes);
    Ok(bytes.into())
}

/// Decodes a stored segment, which must be the one that was asked for, and returns its parts. Records
/// share memory with `bytes` and are not decoded.
///
/// # Errors
/// If the bytes are not a segment, are another segment, or have a newer format.
pub fn decode(key: &str, id: SegmentId, bytes: &Bytes) -> Result<Vec<RecordBatch>, FormatError> {
    let (version, content) = format::open(Kind::Segment, key, bytes)?;
    let (header, records) = match version {
        Version::One => decode_header_one(content),
        Version::Two => postcard::take_from_bytes(content),
    }
    .map_err(|error| format::corrupt(key, error))?;
    let parts = split(&header, bytes.slice_ref(records))
        .ok_or_else(|| format::corrupt(key, "its parts are not its records"))?;
    let found = SegmentId {
        epoch: header.epoch,
        first: header.first,
        merged: id.merged.map(|_| count(&parts)),
    };
    if found == id {
        Ok(parts)
    } else {
        Err(format::corrupt(key, format!("it is the segment {found}")))
    }
}

/// Decodes a header of version 1, whose only part has all records.
fn decode_header_one(content: &[u8]) -> Result<(Header, &[u8]), postcard::Error> {
    let (header, records) = postcard::take_from_bytes::<HeaderOne>(content)?;
    let HeaderOne {
        epoch,
        first,
        count,
    } = header;
    let bytes = records.len() as u64;
    let parts = vec![Part { count, bytes }];
    let header = Header {
        epoch,
        first,
        parts,
    };
    Ok((header, records))
}

/// Splits records into parts; `None` if the header does not fit them.
fn split(header: &Header, mut records: Bytes) -> Option<Vec<RecordBatch>> {
    let mut parts = Vec::with_capacity(header.parts.len());
    let mut first = header.first;
    for Part { count, bytes } in &header.parts {
        let bytes = usize::try_from(*bytes).ok()?;
        let part = RecordBatch {
            first,
            count: *count,
            records: (bytes <= records.len()).then(|| records.split_to(bytes))?,
        };
        first = Seq(first.0.checked_add(*count)?);
        parts.push(part);
    }
    records.is_empty().then_some(parts)
}

fn count(parts: &[RecordBatch]) -> u64 {
    let counts = parts.iter().map(|part| part.count);
    counts.fold(0, u64::saturating_add)
}

impl Part {
    fn of(batch: &RecordBatch) -> Self {
        Self {
            count: batch.count,
            bytes: batch.records.len() as u64,
        }
    }
}
