//! A log for tests.

use super::kv::{Head, append};
use super::{Batch, NewEvent, Retention};
use crate::core::sse::Epoch;
use crate::core::time::Timestamp;

/// Returns a log of events appended at these times, in a commit each. Each has 6 000 bytes, so that two
/// make a segment. The newest `events` are kept.
pub(in crate::core::log) fn log(times: &[u64], events: u64) -> Head {
    let retention = Retention {
        events,
        bytes: u64::MAX,
        max_age: None,
    };
    let mut head = Head::new(Epoch::from_random(7));
    for &time in times {
        let event = NewEvent {
            event_type: None,
            data: "x".repeat(6_000),
            trace: None,
        };
        let batch = Batch {
            events: vec![event],
            ..Batch::default()
        };
        head = append(&head, &[batch], time, Timestamp(time), &retention)
            .unwrap()
            .change
            .unwrap()
            .head;
    }
    head
}
