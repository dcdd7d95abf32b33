use std::collections::{HashMap, HashSet};

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::core::log::kv::segment::SegmentId;
use crate::core::log::kv::{append, purge};
use crate::core::log::{Batch, NewEvent, Retention};
use crate::core::sse::{Epoch, Seq};

const KEEP_ALL: Retention = Retention {
    events: u64::MAX,
    bytes: u64::MAX,
    max_age: None,
};

/// A directory of sealed segments of these sizes, one record each.
fn directory(sizes: &[u64]) -> Head {
    let mut head = Head::new(Epoch::from_random(1));
    for &bytes in sizes {
        head.segments.push(SegmentMeta {
            first: head.inline.first,
            count: 1,
            bytes,
            newest: Timestamp(head.inline.first.0),
            kind: SegmentKind::Sealed,
        });
        head.inline.first = head.inline.first.plus(1);
    }
    head
}

fn append_events(head: &Head, sizes: &[usize], now: u64, retention: &Retention) -> Change {
    let event = |size: &usize| NewEvent {
        event_type: None,
        data: "x".repeat(*size),
        trace: None,
    };
    let batch = Batch {
        events: sizes.iter().map(event).collect(),
        ..Batch::default()
    };
    let plan = append(head, &[batch], now, Timestamp(now), retention);
    plan.unwrap().change.unwrap()
}

/// A store of segments and a head, whose commits merge whenever they may.
#[derive(Default)]
struct Store {
    segments: HashMap<SegmentId, Bytes>,
    deleted: HashSet<SegmentId>,
    written: usize,
}

impl Store {
    fn commit(
        &mut self,
        head: &Head,
        sizes: &[usize],
        now: u64,
        retention: &Retention,
        merges: bool,
    ) -> Head {
        let mut change = append_events(head, sizes, now, retention);
        if let Some(merge) = change.merge.take().filter(|_| merges) {
            let mut parts = vec![];
            for source in &merge.sources {
                let id = source.id(head.epoch);
                parts.extend(segment::decode("seg!x", id, &self.segments[&id]).unwrap());
            }
            change.merge(&merge, parts, Timestamp(now)).unwrap();
        }
        for (id, value) in change.seal {
            self.written += value.len();
            self.segments.insert(id, value);
        }
        for id in &change.discard {
            self.segments.remove(id);
            self.deleted.insert(*id);
        }
        assert_eq!(change.head.check(), Ok(()));
        change.head
    }
}

proptest! {
    /// Property: a prefix of the directory determines the same groups as all of it, so two writers that
    /// saw different amounts of the log merge the same segments.
    #[test]
    fn the_end_of_a_group_depends_on_the_directory_alone(
        sizes in prop::collection::vec(prop_oneof![1_u64..20_000, 1_u64..70_000], 0..40),
        seen in any::<prop::sample::Index>(),
    ) {
        let all: Vec<_> = directory(&sizes).groups().collect();
        let some: Vec<_> = directory(&sizes[..seen.index(sizes.len() + 1)]).groups().collect();
        prop_assert!(all.starts_with(&some));
        for group in all {
            let bytes: u64 = sizes[group.clone()].iter().sum();
            prop_assert!(bytes <= MERGED_BYTES || group.len() == 1);
            prop_assert!(bytes + sizes[group.end] > MERGED_BYTES);
        }
    }

    /// Property: every key that may be stored is one that every later head knows, whatever retention
    /// drops and however often the channel is purged.
    #[test]
    fn a_merge_that_may_be_stored_stays_known(
        commits in prop::collection::vec((0_usize..40_000, 0_u8..60), 1..200),
        bytes in 10_000_u64..400_000,
    ) {
        let retention = Retention { bytes, ..KEEP_ALL };
        let mut store = Store::default();
        let mut head = Head::new(Epoch::from_random(1));
        let mut stored = HashSet::new();
        for (now, (size, kind)) in (1..).zip(commits) {
            stored.extend(head.due_merge().map(|merge| merge.merged.id(head.epoch)));
            head = if kind == 0 {
                purge(&head, Epoch::from_random(now + 1), now, Timestamp(now)).unwrap()
            } else {
                store.commit(&head, &[size], now, &retention, kind < 30)
            };
            stored.retain(|id| !store.deleted.contains(id));
            prop_assert_eq!(head.check(), Ok(()));
            for id in &stored {
                prop_assert!(head.knows(*id), "{} is an orphan", id);
            }
        }
    }
}

#[test]
fn a_segment_that_fits_no_merge_is_settled() {
    let mut head = directory(&[50_000, 60_000, 70_000, 20_000, 20_000, 90_000]);
    head.settle_single_segments();
    let settled: Vec<_> = head.segments.iter().map(|segment| segment.kind).collect();
    let (single, sealed) = (SegmentKind::Settled, SegmentKind::Sealed);
    assert_eq!(settled, [single, single, sealed, sealed, single, sealed]);
    let merge = head.due_merge().unwrap();
    assert_eq!((merge.merged.first, merge.merged.count), (Seq(3), 2));
    assert_eq!(merge.merged.bytes, 90_000);
}

#[test]
fn a_merge_lists_one_segment_in_place_of_its_sources_and_deletes_those_later() {
    let mut store = Store::default();
    let mut head = Head::new(Epoch::from_random(1));
    for now in 1..=60 {
        head = store.commit(&head, &[2_000; 2], now, &KEEP_ALL, true);
    }
    let merged: Vec<_> = head
        .segments
        .iter()
        .filter(|segment| segment.kind == SegmentKind::Merged)
        .collect();
    assert_eq!(merged.len(), 2);
    for segment in &head.segments {
        let id = segment.id(head.epoch);
        let parts = segment::decode("seg!x", id, &store.segments[&id]).unwrap();
        assert!(segment.describes(&parts));
        let readable = parts
            .iter()
            .flat_map(|part| part.records())
            .filter(Result::is_ok);
        assert_eq!(readable.count() as u64, segment.count);
    }
    let unlisted = store.segments.len() - head.segments.len();
    assert_eq!((unlisted, head.pending_deletes.len()), (12, 12));
}

#[test]
fn a_merge_whose_first_segment_is_dropped_is_deleted_in_case_it_was_stored() {
    let head = directory(&[16_000; 8]);
    let merge = head.due_merge().unwrap().merged.id(head.epoch);
    for drops in [true, false] {
        let retention = Retention {
            events: if drops { 8 } else { 9 },
            ..KEEP_ALL
        };
        let next = append_events(&head, &[1], 5, &retention).head;
        let mut pending = next.pending_deletes.iter();
        assert_eq!(pending.any(|pending| pending.segment == merge), drops);
        assert_eq!(next.due_merge().unwrap().merged.first, next.first());
    }
    let purged = purge(&head, Epoch::from_random(2), 5, Timestamp(5)).unwrap();
    assert_eq!(purged.pending_deletes.last().unwrap().segment, merge);
}

#[test]
fn a_merge_whose_source_cannot_be_read_leaves_it_out() {
    let mut head = directory(&[16_000; 7]);
    head.segments[1].newest = Timestamp(99);
    let merge = head.due_merge().unwrap();
    assert_eq!(merge.sources.len(), 6);
    let unreadable = merge.sources[2];
    let mut change = Change {
        head,
        seal: vec![],
        merge: None,
        discard: vec![],
    };
    change.give_up_merge(&merge, &[unreadable], Timestamp(7));
    let head = change.head;
    assert_eq!(head.segments[2].kind, SegmentKind::Settled);
    assert_eq!(head.pending_deletes[0].segment, merge.merged.id(head.epoch));
    let next = head.due_merge().unwrap();
    assert_eq!((next.merged.first, next.sources.len()), (Seq(1), 2));
    assert_eq!(next.merged.newest, Timestamp(99));
    assert_eq!(head.check(), Ok(()));
}

/// Publishes this many MiB in events of 200 bytes. Returns the bytes of the head without its newest
/// records, and the bytes written to segments for each byte of records.
fn publish_mib(mib: usize, merges: bool) -> (usize, f64) {
    let mut store = Store::default();
    let mut head = Head::new(Epoch::from_random(1));
    let mut now = 1_800_000_000_000;
    while head.bytes() < (mib << 20) as u64 {
        now += 1_000;
        head = store.commit(&head, &[200; 100], now, &KEEP_ALL, merges);
    }
    let records = head.bytes() as f64;
    let bytes = head.encode().unwrap().len() - head.inline.records.len();
    (bytes, store.written as f64 / records)
}

#[test]
fn segments_are_written_at_most_twice_and_the_head_of_64_mib_has_less_than_8_kb() {
    let (unmerged, _) = publish_mib(64, false);
    let (merged, amplification) = publish_mib(64, true);
    println!(
        "{unmerged} bytes without merges, {merged} with; {amplification} bytes written for each"
    );
    assert!(amplification <= 2.0, "{amplification}");
    assert!(
        merged < 8_000 && unmerged > 3 * merged,
        "{merged} {unmerged}"
    );
}
