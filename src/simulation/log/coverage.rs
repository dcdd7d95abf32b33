//! Counts of what happened in a schedule, to show that the schedules leave nothing out.

use super::super::Model;

macro_rules! coverage {
    ($($(#[$doc:meta])* $name:ident,)+) => {
        /// The number of times that each of these happened.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub(super) struct Coverage {
            $($(#[$doc])* pub(super) $name: u64,)+
        }

        impl Coverage {
            pub(super) fn add(&mut self, other: &Self) {
                $(self.$name += other.$name;)+
            }

            fn counts(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name),)+]
            }
        }
    };
}

coverage! {
    /// Events in all logs together.
    events,
    /// Events that subscribers read.
    read,
    streams,
    /// Streams that were answered 204 because they had everything.
    finished,
    gaps,
    ends,
    purges,
    /// Heads that list a merged segment which the head before did not.
    merges,
    /// Batches that were acknowledged as repeats.
    repeated,
    /// Appends and purges that failed.
    failures,
    /// Crashes of instances.
    crashes,
    /// Connections of subscribers that broke.
    disconnects,
    calls,
    faults,
    late,
}

impl Coverage {
    /// Returns whether everything happened that can happen on this store.
    pub(super) fn is_complete(&self, model: Model) -> bool {
        self.counts().iter().all(|(name, count)| match *name {
            "late" => (*count > 0) == model.is_remote(),
            _ => *count > 0,
        })
    }
}
