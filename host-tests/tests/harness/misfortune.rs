//! What befalls a store during one request.

use std::time::Duration;

use runnel_host::store::Fault;
use tokio::time::Instant;

use crate::store::Store;

/// What befalls the n-th call of a request, and perhaps those after it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Misfortune {
    /// The n-th call only.
    Once(Fault),
    /// The n-th call and all that begin within this time after it.
    For(Duration, Fault),
    /// The first fault at the n-th call, the second at all that begin within this time after it.
    Then(Fault, Duration, Fault),
    /// Every call from the n-th on, once each.
    Always(Fault),
}

const SECOND: Duration = Duration::from_secs(1);

/// Longer than a publisher is kept waiting.
const LONG: Duration = Duration::from_secs(20);

/// What a commit must come through.
pub(crate) const OF_A_COMMIT: [Misfortune; 12] = [
    Misfortune::Once(Fault::ErrorBefore),
    Misfortune::Once(Fault::ErrorAfter),
    Misfortune::Once(Fault::LostAfter),
    Misfortune::Once(Fault::Stale),
    Misfortune::Once(Fault::Hang(Duration::from_secs(3))),
    Misfortune::Once(Fault::Hang(Duration::from_secs(8))),
    Misfortune::For(SECOND, Fault::ErrorBefore),
    Misfortune::For(SECOND, Fault::ErrorAfter),
    Misfortune::For(LONG, Fault::ErrorBefore),
    Misfortune::For(LONG, Fault::ErrorAfter),
    Misfortune::Then(Fault::ErrorAfter, SECOND, Fault::ErrorBefore),
    Misfortune::Always(Fault::LostAfter),
];

impl Misfortune {
    /// Lets it begin with the `nth` call from now on.
    pub(crate) fn begin(self, store: &Store, nth: u64) {
        let mut calls = 0;
        let mut began = None;
        store.befall(move |_| {
            calls += 1;
            if calls < nth {
                return Fault::None;
            }
            let first = calls == nth;
            let since = *began.get_or_insert_with(Instant::now);
            match self {
                Self::Once(fault) if first => fault,
                Self::For(time, fault) if since.elapsed() < time => fault,
                Self::Then(fault, ..) if first => fault,
                Self::Then(_, time, fault) if since.elapsed() < time => fault,
                Self::Always(fault) => fault,
                _ => Fault::None,
            }
        });
    }
}
