//! Records, and batches of them.

use bytes::{Buf, Bytes};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::core::sse::{EventType, Seq};
use crate::core::time::Timestamp;

/// The attribute that carries the trace context of an event's publisher.
pub const TRACE: &str = "traceparent";

/// One event as it is stored. Its id is not part of it: that follows from its position in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<'a> {
    /// The time of the append.
    pub time: Timestamp,
    /// The type; `None` means `message`.
    #[serde(borrow)]
    pub event_type: Option<EventType<'a>>,
    /// The data, as published.
    #[serde(borrow)]
    pub data: &'a str,
    /// Names and values that travel with the event: [`TRACE`], or none.
    #[serde(borrow)]
    pub attributes: Vec<(&'a str, &'a str)>,
}

impl Serialize for EventType<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for EventType<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        EventType::parse(<&str>::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl Record<'_> {
    /// Returns the `traceparent` of the publisher, if subscribers are to see it. It has no line ends.
    #[must_use]
    pub fn trace(&self) -> Option<&str> {
        let trace = self.attributes.iter().find(|(name, _)| *name == TRACE);
        let (_, trace) = trace?;
        trace
            .bytes()
            .all(|byte| byte.is_ascii_graphic())
            .then_some(trace)
    }

    /// Appends the encoded record to `out`.
    ///
    /// # Errors
    /// Never for a vector with room to grow; the codec's signature allows for other sinks.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), postcard::Error> {
        *out = postcard::to_extend(self, std::mem::take(out))?;
        Ok(())
    }
}

/// Encoded records that follow each other: the newest ones in a head, a segment, or a part of these.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordBatch {
    /// The seq of the first record; of the one that would be first if there is none.
    pub first: Seq,
    /// The number of records.
    pub count: u64,
    /// The encoded records, one after another.
    pub records: Bytes,
}

impl RecordBatch {
    /// Returns the seq of the record that would follow.
    #[must_use]
    pub const fn next(&self) -> Seq {
        self.first.plus(self.count)
    }

    /// Drops the first `count` records, which take `bytes` bytes.
    pub fn drop_first(&mut self, count: u64, bytes: usize) {
        self.first = self.first.plus(count);
        self.count = self.count.saturating_sub(count);
        self.records.advance(bytes.min(self.records.len()));
    }

    /// Iterates over the records and their seqs.
    #[must_use]
    pub fn records(&self) -> Records<'_> {
        Records {
            seq: self.first,
            left: self.count,
            rest: &self.records,
            total: self.records.len(),
        }
    }
}

/// An iterator over a [`RecordBatch`]. It ends after the first record that cannot be decoded.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    seq: Seq,
    left: u64,
    rest: &'a [u8],
    total: usize,
}

impl Records<'_> {
    /// Returns the number of bytes that the iterator has consumed.
    #[must_use]
    pub const fn offset(&self) -> usize {
        self.total.saturating_sub(self.rest.len())
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<(Seq, Record<'a>), postcard::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let left = self.left.checked_sub(1)?;
        match postcard::take_from_bytes(self.rest) {
            Ok((record, rest)) => {
                let seq = self.seq;
                self.seq = seq.plus(1);
                self.left = left;
                self.rest = rest;
                Some(Ok((seq, record)))
            }
            Err(error) => {
                self.left = 0;
                Some(Err(error))
            }
        }
    }
}
