//! Known mistakes that a test can switch on, to show that the simulation catches them.

/// A mutant in the protocol of [`super::Commit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutant {
    /// Takes every failed swap for one that did not happen.
    ForgetsItsNonce,
    /// Creates a missing head without asking for a ticket.
    CreatesUnasked,
    /// Deletes segments that the head still refers to.
    TrimsBeforeTheSwap,
}

#[cfg(test)]
thread_local! {
    pub(crate) static ACTIVE: std::cell::Cell<Option<Mutant>> = const { std::cell::Cell::new(None) };
}

/// Whether the mutant is to be made: never outside tests.
#[cfg(test)]
pub(super) fn is_active(mutant: Mutant) -> bool {
    ACTIVE.get() == Some(mutant)
}

/// Whether the mutant is to be made: never outside tests.
#[cfg(not(test))]
pub(super) const fn is_active(_: Mutant) -> bool {
    false
}
