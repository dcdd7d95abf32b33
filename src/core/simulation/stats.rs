//! What happened in a schedule, so that it can be seen that something did.

use super::store::Model;

/// How often each of these happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stats {
    pub(super) events: u64,
    pub(super) read: u64,
    pub(super) streams: u64,
    pub(super) gaps: u64,
    pub(super) ends: u64,
    pub(super) purges: u64,
    pub(super) repeated: u64,
    pub(super) failures: u64,
    /// Of publishers.
    pub(super) crashes: u64,
    /// Of subscribers.
    pub(super) disconnects: u64,
    pub(super) calls: u64,
    pub(super) faults: u64,
    pub(super) late: u64,
}

impl Stats {
    pub(super) fn add(&mut self, other: &Self) {
        let Self {
            events,
            read,
            streams,
            gaps,
            ends,
            purges,
            repeated,
            failures,
            crashes,
            disconnects,
            calls,
            faults,
            late,
        } = other;
        let sums = [
            (&mut self.events, events),
            (&mut self.read, read),
            (&mut self.streams, streams),
            (&mut self.gaps, gaps),
            (&mut self.ends, ends),
            (&mut self.purges, purges),
            (&mut self.repeated, repeated),
            (&mut self.failures, failures),
            (&mut self.crashes, crashes),
            (&mut self.disconnects, disconnects),
            (&mut self.calls, calls),
            (&mut self.faults, faults),
            (&mut self.late, late),
        ];
        for (sum, value) in sums {
            *sum += value;
        }
    }

    pub(super) fn everything_happened(&self, model: Model) -> bool {
        let Self {
            events,
            read,
            streams,
            gaps,
            ends,
            purges,
            repeated,
            failures,
            crashes,
            disconnects,
            calls,
            faults,
            late,
        } = *self;
        let always = [
            events,
            read,
            streams,
            gaps,
            ends,
            purges,
            repeated,
            failures,
            crashes,
            disconnects,
            calls,
            faults,
        ];
        always.iter().all(|&count| count > 0) && (late > 0) == model.is_remote()
    }
}
