//! Merging: neighbouring sealed segments become one larger segment.
//!
//! The sealed segments of a directory form groups, each as large as a merged segment may be. The end of a
//! group depends on the directory alone: it is known once the next segment does not fit. So every writer
//! that merges a group writes the same bytes under the same key, and does so before the swap of the head
//! that lists them. A group of one is settled: it stays as it is.
//!
//! A writer that loses its swap, or crashes, may leave a merged segment that nothing lists. So the merge
//! that a head calls for counts as stored, and if a later head neither lists it nor calls for it any more,
//! because retention or a purge dropped its first segments, it is listed for deletion.

use std::ops::Range;

use super::append::Change;
use super::head::Head;
use super::mutant::{Mutant, is_active};
use super::segment::{self, SegmentKind, SegmentMeta};
use crate::core::log::RecordBatch;
use crate::core::time::Timestamp;

/// The most bytes of records in a merged segment, so that its value is below 100 KB: 96 KiB.
pub const MERGED_BYTES: u64 = 96 * 1024;

/// A merge that a head calls for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The segment that takes the place of the sources.
    pub merged: SegmentMeta,
    /// The sealed segments, at least two.
    pub sources: Vec<SegmentMeta>,
}

impl Merge {
    fn of(sources: &[SegmentMeta]) -> Option<Self> {
        let [first, _, ..] = sources else {
            return None;
        };
        let sum = |number: fn(&SegmentMeta) -> u64| {
            sources.iter().map(number).fold(0, u64::saturating_add)
        };
        let newest = sources.iter().map(|source| source.newest).max();
        Some(Self {
            merged: SegmentMeta {
                first: first.first,
                count: sum(|source| source.count),
                bytes: sum(|source| source.bytes),
                newest: newest.unwrap_or(first.newest),
                kind: SegmentKind::Merged,
            },
            sources: sources.to_vec(),
        })
    }
}

impl Head {
    /// Returns the groups of sealed segments whose ends are known, as ranges of the directory.
    fn groups(&self) -> impl Iterator<Item = Range<usize>> {
        let mut from = 0;
        std::iter::from_fn(move || {
            let group = next_group(&self.segments, from)?;
            from = group.end;
            Some(group)
        })
    }

    /// Returns the merge that the head calls for: of its first group of several segments.
    #[must_use]
    pub fn due_merge(&self) -> Option<Merge> {
        self.groups()
            .find_map(|group| Merge::of(self.segments.get(group)?))
    }

    /// Settles the groups of one segment.
    pub(super) fn settle_single_segments(&mut self) {
        let single = self.groups().filter(|group| group.len() == 1);
        for index in single.map(|group| group.start).collect::<Vec<_>>() {
            if let Some(segment) = self.segments.get_mut(index) {
                segment.kind = SegmentKind::Settled;
            }
        }
    }
}

/// Returns the first group from the index `from` on; `None` if there is none whose end is known.
fn next_group(segments: &[SegmentMeta], from: usize) -> Option<Range<usize>> {
    let is_sealed = |segment: &SegmentMeta| segment.kind == SegmentKind::Sealed;
    let rest = segments.get(from..)?;
    let start = from.saturating_add(rest.iter().position(is_sealed)?);
    let mut end = start;
    let mut bytes: u64 = 0;
    for segment in segments.get(start..)? {
        bytes = bytes.saturating_add(segment.bytes);
        if end > start && (bytes > MERGED_BYTES || !is_sealed(segment)) {
            return Some(start..end);
        }
        end = end.saturating_add(1);
    }
    None
}

/// Lists the merge that `before` calls for as a pending delete, unless `after` lists the merged segment or
/// calls for the same merge: a writer may have stored it.
pub(super) fn forget_merge(before: &Head, after: &mut Head, now: Timestamp) {
    if is_active(Mutant::ForgetsMerges) {
        return;
    }
    let Some(merge) = before.due_merge() else {
        return;
    };
    let segment = merge.merged.id(before.epoch);
    if !after.lists(segment) && !after.may_list(segment) {
        after.delete_later([segment], now);
    }
}

impl Change {
    /// Carries out a merge that the change allows; `parts` are those of the sources.
    ///
    /// # Errors
    /// Never in practice; see [`Record::encode`](crate::core::log::Record::encode).
    pub fn merge(
        &mut self,
        merge: &Merge,
        mut parts: Vec<RecordBatch>,
        now: Timestamp,
    ) -> Result<(), postcard::Error> {
        if is_active(Mutant::MergeDropsARecord) {
            drop_last_record(&mut parts);
        }
        let epoch = self.head.epoch;
        let value = segment::encode(epoch, &parts)?;
        if !is_active(Mutant::ListsUnstoredMerges) {
            self.seal.push((merge.merged.id(epoch), value));
        }
        self.list_merged(merge, now);
        Ok(())
    }

    /// Lists the merged segment, which is stored, in place of its sources.
    pub(super) fn list_merged(&mut self, merge: &Merge, now: Timestamp) {
        let epoch = self.head.epoch;
        let Some(range) = self.range_of(merge) else {
            return;
        };
        self.head.segments.splice(range, [merge.merged]);
        let sources = merge.sources.iter().map(|source| source.id(epoch));
        if is_active(Mutant::DeletesBeforeTheMerge) {
            return self.discard.extend(sources);
        }
        self.head.delete_later(sources, now);
    }

    /// Gives up a merge whose sources cannot all be read: those that cannot are settled, so that the others
    /// can be merged. Another writer may have been able to read them, so the merged segment counts as
    /// stored.
    pub(super) fn give_up_merge(
        &mut self,
        merge: &Merge,
        unreadable: &[SegmentMeta],
        now: Timestamp,
    ) {
        if let Some(range) = self.range_of(merge) {
            let listed = self.head.segments.get_mut(range).unwrap_or_default();
            for segment in listed
                .iter_mut()
                .filter(|segment| unreadable.contains(segment))
            {
                segment.kind = SegmentKind::Settled;
            }
            let segment = merge.merged.id(self.head.epoch);
            self.head.delete_later([segment], now);
        }
    }

    /// Returns the place of a merge's sources in the directory.
    fn range_of(&self, merge: &Merge) -> Option<Range<usize>> {
        let segments = &self.head.segments;
        let first = merge.merged.first;
        let start = segments.binary_search_by_key(&first, |segment| segment.first);
        let start = start.ok()?;
        let range = start..start.checked_add(merge.sources.len())?;
        let is_there = segments.get(range.clone())? == merge.sources;
        debug_assert!(is_there, "{merge:?}");
        is_there.then_some(range)
    }
}

/// Makes the mistake of [`Mutant::MergeDropsARecord`].
fn drop_last_record(parts: &mut [RecordBatch]) {
    if let Some(last) = parts.last_mut() {
        last.count = last.count.saturating_sub(1);
        let mut records = last.records();
        let kept = records.by_ref().count();
        debug_assert_eq!(kept as u64, last.count);
        let end = records.offset();
        last.records = last.records.slice(..end);
    }
}

#[cfg(test)]
mod tests;
