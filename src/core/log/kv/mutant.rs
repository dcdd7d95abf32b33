//! Known mistakes that a test can switch on, to show that the simulation catches them.

/// A mistake in the protocol of [`super::Commit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Treats every failed swap as one that had no effect.
    ForgetsItsNonce,
    /// Creates a missing head without a lease.
    CreatesUnasked,
    /// Deletes segments that the head still refers to.
    TrimsBeforeTheSwap,
    /// Merges segments without their last record.
    MergeDropsARecord,
    /// Lists merged segments that it has not stored.
    ListsUnstoredMerges,
    /// Deletes merged segments' sources before the swap.
    DeletesBeforeTheMerge,
    /// Does not delete merged segments that were stored and never listed.
    ForgetsMerges,
}

#[cfg(test)]
thread_local! {
    pub(crate) static ACTIVE: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Returns whether the mistake is switched on: never outside tests.
#[cfg(test)]
pub(super) fn is_active(mutant: Mutant) -> bool {
    ACTIVE.get() == Some(mutant)
}

/// Returns whether the mistake is switched on: never outside tests.
#[cfg(not(test))]
pub(super) const fn is_active(_: Mutant) -> bool {
    false
}
