//! Segments that were read lately, shared by all streams of the instance.

use std::cell::RefCell;
use std::collections::HashSet;

use bytes::Bytes;
use futures::future::join_all;

use crate::core::cache::BoundedCache;
use crate::core::channel::Channel;
use crate::core::log::{SegmentId, segment_key};
use crate::platform::{store, tail};

/// How many bytes of segments are kept at most: 1 MiB.
const KEPT_BYTES: usize = 1024 * 1024;

/// What each of some segments was read as, in their order; `None` is a segment that is not there.
pub type SegmentsRead = Vec<Result<Option<Bytes>, String>>;

/// What is known of some segments.
pub enum Look {
    /// All of them are.
    Read(SegmentsRead),
    /// The first that is not known is being read.
    Reading,
    /// They have to be read.
    Unknown,
}

thread_local! {
    static KEPT: RefCell<BoundedCache<String, Bytes>> = RefCell::new(BoundedCache::new(KEPT_BYTES));
    /// The keys of those that are being read.
    static READING: RefCell<HashSet<String>> = RefCell::default();
}

/// What is known of segments of `channel`. A segment never changes, so when it was read does not
/// matter.
pub fn look(channel: &Channel, names: &[SegmentId]) -> Look {
    KEPT.with_borrow(|kept| {
        let mut values = Vec::with_capacity(names.len());
        for name in names {
            let key = segment_key(channel, *name);
            match kept.get(&key) {
                Some(bytes) => values.push(Ok(Some(bytes.clone()))),
                None if READING.with_borrow(|reading| reading.contains(&key)) => {
                    return Look::Reading;
                }
                None => return Look::Unknown,
            }
        }
        Look::Read(values)
    })
}

/// Reads those segments of `channel` that are not known, all at once.
pub async fn read(channel: &Channel, names: &[SegmentId]) -> SegmentsRead {
    let keys: Vec<_> = names
        .iter()
        .map(|name| segment_key(channel, *name))
        .collect();
    let reading = Reading::begin(keys);
    let values = join_all(reading.keys.iter().map(async |key| {
        match KEPT.with_borrow(|kept| kept.get(key).cloned()) {
            Some(bytes) => Ok(Some(bytes)),
            None => store::get(key).await,
        }
    }));
    let values = values.await;
    KEPT.with_borrow_mut(|kept| {
        for (key, value) in reading.keys.iter().zip(&values) {
            if let Ok(Some(bytes)) = value {
                kept.keep(key.clone(), bytes.clone(), bytes.len());
            }
        }
    });
    values
}

/// A read under way. Whoever drops it leaves the segments for others to read.
struct Reading {
    keys: Vec<String>,
}

impl Reading {
    fn begin(keys: Vec<String>) -> Self {
        READING.with_borrow_mut(|reading| reading.extend(keys.iter().cloned()));
        Self { keys }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        READING.with_borrow_mut(|reading| {
            for key in &self.keys {
                reading.remove(key);
            }
        });
        tail::tell();
    }
}
