//! The head: the one value whose swap commits an append.

use std::collections::VecDeque;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::RecordBatch;
use super::format::{self, FormatError, Kind};
use crate::core::sse::{Epoch, EventId, Seq};
use crate::core::time::Timestamp;

/// How many commits a head remembers, to settle a swap whose outcome was lost.
pub const RECENT_COMMITS: u64 = 64;

/// How many idempotency keys a head remembers.
pub const IDEMPOTENCY_KEYS: usize = 128;

/// A channel's log at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Which log of the channel this is.
    pub epoch: Epoch,
    /// Whether nothing may be appended any more.
    pub closed: bool,
    /// The directory: sealed segments, oldest first, without holes up to `inline`.
    pub segments: Vec<SegmentMeta>,
    /// The newest records.
    pub inline: RecordBatch,
    /// When the newest record was appended; 0 if there was none.
    pub newest: Timestamp,
    /// Segments that nothing refers to any more and that may still be stored.
    pub trash: Vec<PendingDelete>,
    /// How many commits there have been, over all epochs.
    pub commits: u64,
    /// The last of them, oldest first; at most [`RECENT_COMMITS`].
    pub recent: VecDeque<CommitRecord>,
    /// Answers to repeat, oldest first; at most [`IDEMPOTENCY_KEYS`].
    pub remembered: VecDeque<IdempotencyEntry>,
}

/// A sealed segment in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentMeta {
    /// The seq of its first record.
    pub first: Seq,
    /// How many records it has, at least 1.
    pub count: u64,
    /// How many bytes of records it has.
    pub bytes: u64,
    /// When its newest record was appended.
    pub newest: Timestamp,
}

impl SegmentMeta {
    /// The seq of the record after its last.
    #[must_use]
    pub const fn next(&self) -> Seq {
        self.first.plus(self.count)
    }
}

/// Which segment: its key without the channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SegmentId {
    /// The log it belongs to.
    pub epoch: Epoch,
    /// The seq of its first record.
    pub first: Seq,
}

/// A segment that was dropped from the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingDelete {
    /// Which one.
    pub segment: SegmentId,
    /// When it was dropped.
    pub since: Timestamp,
}

/// A commit that took place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRecord {
    /// The random number its writer drew.
    pub nonce: u64,
    /// The log it went to.
    pub epoch: Epoch,
    /// The seq of the first event it appended (or would have).
    pub first: Seq,
}

/// A publish with an idempotency key, and what it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyEntry {
    /// A digest of the key.
    pub key: [u8; 16],
    /// A digest of what was published.
    pub content: [u8; 16],
    /// The seq of its first event.
    pub first: Seq,
    /// How many events it had.
    pub count: u64,
    /// When it was appended.
    pub time: Timestamp,
}

/// More events, or bytes, than a log can come to have: with fewer no sum over a head wraps.
const BEYOND_ANY_LOG: u64 = 1 << 63;

/// The head as it is stored, before the bytes of the inline records. Every field is as small as
/// its value: integers take one byte for each seven bits.
#[derive(Serialize, Deserialize)]
struct Stored {
    epoch: Epoch,
    closed: bool,
    first: Seq,
    segments: Vec<StoredSegment>,
    inline_count: u64,
    newest: Timestamp,
    trash: Vec<PendingDelete>,
    commits: u64,
    recent: VecDeque<CommitRecord>,
    remembered: VecDeque<IdempotencyEntry>,
}

/// A directory entry: `first` follows from the entries before it, the time is stored as a step.
#[derive(Serialize, Deserialize)]
struct StoredSegment {
    count: u64,
    bytes: u64,
    newest_step: i64,
}

impl Head {
    /// The head of a log that has no events yet.
    #[must_use]
    pub fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            closed: false,
            segments: vec![],
            inline: RecordBatch {
                first: Seq::FIRST,
                ..RecordBatch::default()
            },
            newest: Timestamp(0),
            trash: vec![],
            commits: 0,
            recent: VecDeque::new(),
            remembered: VecDeque::new(),
        }
    }

    /// The seq of the oldest event kept (where it would be, if there is none).
    #[must_use]
    pub fn first(&self) -> Seq {
        self.segments
            .first()
            .map_or(self.inline.first, |segment| segment.first)
    }

    /// The seq that the next event gets.
    #[must_use]
    pub const fn next(&self) -> Seq {
        self.inline.next()
    }

    /// The cursor that stands just before `seq`.
    #[must_use]
    pub const fn before(&self, seq: Seq) -> EventId {
        EventId {
            epoch: self.epoch,
            seq: seq.minus(1),
        }
    }

    /// How many bytes of records are kept.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let sealed = self.segments.iter().map(|segment| segment.bytes);
        sealed.fold(self.inline.records.len() as u64, u64::saturating_add)
    }

    /// The commit with this nonce, if it is among the recent ones.
    #[must_use]
    pub fn committed(&self, nonce: u64) -> Option<&CommitRecord> {
        self.recent.iter().find(|commit| commit.nonce == nonce)
    }

    /// The name of a segment of this log.
    #[must_use]
    pub const fn segment(&self, first: Seq) -> SegmentId {
        SegmentId {
            epoch: self.epoch,
            first,
        }
    }

    /// The bytes to store.
    ///
    /// # Errors
    /// Never in practice; see [`super::Record::encode`].
    pub fn encode(&self) -> Result<Vec<u8>, postcard::Error> {
        let mut before = 0;
        let segments = self.segments.iter().map(|segment| StoredSegment {
            count: segment.count,
            bytes: segment.bytes,
            newest_step: step(&mut before, segment.newest),
        });
        let stored = Stored {
            epoch: self.epoch,
            closed: self.closed,
            first: self.first(),
            segments: segments.collect(),
            inline_count: self.inline.count,
            newest: self.newest,
            trash: self.trash.clone(),
            commits: self.commits,
            recent: self.recent.clone(),
            remembered: self.remembered.clone(),
        };
        let mut bytes = postcard::to_extend(&stored, format::prefix(Kind::Head).to_vec())?;
        bytes.extend_from_slice(&self.inline.records);
        Ok(bytes)
    }

    /// Whether `bytes` are this head, which was stored as `stored`. The inline records are not looked
    /// into: each commit draws a number that stands before them.
    #[must_use]
    pub fn is_stored_as(&self, stored: &[u8], bytes: &[u8]) -> bool {
        let before_records = stored.len().checked_sub(self.inline.records.len());
        stored.len() == bytes.len()
            && before_records.is_some_and(|end| stored.get(..end) == bytes.get(..end))
    }

    /// Reads a stored head. The inline records are shared with `bytes`, not copied, and not looked
    /// into.
    ///
    /// # Errors
    /// When the bytes are not a head, contradict themselves, or are of a newer format.
    pub fn decode(key: &str, bytes: &Bytes) -> Result<Self, FormatError> {
        let body = format::checked(Kind::Head, key, bytes)?;
        let (stored, records): (Stored, &[u8]) =
            postcard::take_from_bytes(body).map_err(|error| format::corrupt(key, error))?;
        let mut next = stored.first;
        let mut total = records.len() as u64;
        let mut time = 0_i64;
        let mut segments = Vec::with_capacity(stored.segments.len());
        for StoredSegment {
            count,
            bytes,
            newest_step,
        } in stored.segments
        {
            time = time.wrapping_add(newest_step);
            let first = next;
            next = after(key, first, count)?;
            if count == 0 {
                return Err(format::corrupt(
                    key,
                    format!("segment {} is empty", first.0),
                ));
            }
            total = total
                .checked_add(bytes)
                .filter(|total| *total < BEYOND_ANY_LOG)
                .ok_or_else(|| format::corrupt(key, "its sizes are beyond any log's"))?;
            segments.push(SegmentMeta {
                first,
                count,
                bytes,
                newest: Timestamp(time.cast_unsigned()),
            });
        }
        after(key, next, stored.inline_count)?;
        Ok(Self {
            epoch: stored.epoch,
            closed: stored.closed,
            segments,
            inline: RecordBatch {
                first: next,
                count: stored.inline_count,
                records: bytes.slice_ref(records),
            },
            newest: stored.newest,
            trash: stored.trash,
            commits: stored.commits,
            recent: stored.recent,
            remembered: stored.remembered,
        })
    }
}

/// The step from the time before to this one, which becomes the time before.
fn step(before: &mut i64, time: Timestamp) -> i64 {
    let time = time.0.cast_signed();
    let step = time.wrapping_sub(*before);
    *before = time;
    step
}

fn after(key: &str, first: Seq, count: u64) -> Result<Seq, FormatError> {
    let next = first.0.checked_add(count);
    next.filter(|next| *next < BEYOND_ANY_LOG)
        .map(Seq)
        .ok_or_else(|| format::corrupt(key, "its seqs are beyond any log's"))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::core::log::Record;
    use proptest::prelude::*;

    prop_compose! {
        fn runs()(
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

    prop_compose! {
        /// Any head that can exist.
        pub(in crate::core::log) fn heads()(
            (epoch, closed, newest, commits) in any::<(u64, bool, u64, u64)>(),
            entries in prop::collection::vec((1_u64..2_000, any::<u32>(), any::<u64>()), 0..9),
            inline in runs(),
            trash in prop::collection::vec(any::<(u64, u64, u64)>(), 0..9),
            recent in prop::collection::vec(any::<(u64, u64, u64)>(), 0..=RECENT_COMMITS as usize),
            remembered in prop::collection::vec(any::<([u8; 16], [u8; 16], u64, u64, u64)>(), 0..9),
        ) -> Head {
            let epoch = Epoch::from_random(epoch);
            let total: u64 = entries.iter().map(|entry| entry.0).sum();
            let inline = RecordBatch { first: inline.first.plus(total), ..inline };
            let mut first = inline.first.minus(total);
            let segments = entries.into_iter().map(|(count, bytes, newest)| {
                let sealed = SegmentMeta { first, count, bytes: bytes.into(), newest: Timestamp(newest) };
                first = sealed.next();
                sealed
            }).collect();
            Head {
                epoch, closed, segments, inline, newest: Timestamp(newest), commits,
                trash: trash.into_iter()
                    .map(|(epoch, first, since)| PendingDelete {
                        segment: SegmentId { epoch: Epoch::from_random(epoch), first: Seq(first) },
                        since: Timestamp(since),
                    })
                    .collect(),
                recent: recent.into_iter()
                    .map(|(nonce, epoch, first)| CommitRecord { nonce, epoch: Epoch::from_random(epoch), first: Seq(first) })
                    .collect(),
                remembered: remembered.into_iter()
                    .map(|(key, content, first, count, time)| IdempotencyEntry {
                        key, content, first: Seq(first), count, time: Timestamp(time),
                    })
                    .collect(),
            }
        }
    }

    proptest! {
        /// Law: decode(encode(head)) = head.
        #[test]
        fn every_head_is_read_back(head in heads()) {
            let bytes = head.encode().unwrap().into();
            prop_assert_eq!(Head::decode("head!x", &bytes), Ok(head));
        }

        /// Law: a head is told from every other by what stands before its records.
        #[test]
        fn a_head_is_known_by_its_bytes(head in heads(), other in heads()) {
            let (stored, other) = (head.encode().unwrap(), other.encode().unwrap());
            prop_assert!(head.is_stored_as(&stored, &stored.clone()));
            prop_assert_eq!(head.is_stored_as(&stored, &other), stored == other);
        }

        /// Law: no bytes make reading a head panic, nor do the records it claims.
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, valid_prefix: bool) {
            let mut value = if valid_prefix { format::prefix(Kind::Head).to_vec() } else { vec![] };
            value.extend(bytes);
            if let Ok(head) = Head::decode("head!x", &value.into()) {
                let _ = head.inline.records().count();
            }
        }

        /// Law: a head with any one byte changed or cut off is read or refused, never a panic.
        #[test]
        fn damaged_heads_are_read_or_refused(head in heads(), at in any::<prop::sample::Index>(), byte: u8) {
            let mut bytes = head.encode().unwrap();
            let at = at.index(bytes.len());
            let _ = Head::decode("head!x", &Bytes::copy_from_slice(&bytes[..at]));
            bytes[at] = byte;
            if let Ok(head) = Head::decode("head!x", &bytes.into()) {
                let _ = head.inline.records().count();
            }
        }
    }

    #[test]
    fn refusals_name_the_key() {
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
            refused(b"H\x02whatever"),
            "the value of head!demo has format version 2; this Runnel reads up to 1"
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
}
