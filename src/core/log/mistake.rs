//! Known mistakes that a test can switch on, to show that the simulation catches them.

/// A mistake in the protocol of [`super::Commit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mistake {
    /// Takes every failed swap for one that did not happen.
    ForgetsItsNonce,
    /// Creates a missing head without asking for a ticket.
    CreatesUnasked,
    /// Deletes segments that the head still refers to.
    TrimsBeforeTheSwap,
}

#[cfg(test)]
thread_local! {
    pub(crate) static MADE: std::cell::Cell<Option<Mistake>> = const { std::cell::Cell::new(None) };
}

/// Whether the mistake is to be made: never outside tests.
#[cfg(test)]
pub(super) fn is_made(mistake: Mistake) -> bool {
    MADE.get() == Some(mistake)
}

/// Whether the mistake is to be made: never outside tests.
#[cfg(not(test))]
pub(super) const fn is_made(_: Mistake) -> bool {
    false
}
