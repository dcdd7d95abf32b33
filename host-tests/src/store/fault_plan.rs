//! Faults of a store, and plans of which call meets which.

use std::time::Duration;

use tokio::time::Instant;

/// An operation of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named after the methods of `KeyValue`")]
pub enum Operation {
    Get,
    /// The read of a compare-and-swap.
    Current,
    Set,
    Delete,
    Exists,
    GetKeys,
    Increment,
    Swap,
    GetMany,
    SetMany,
    DeleteMany,
}

/// One call, as a [`FaultPlan`] sees it.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The operation that is called.
    pub operation: Operation,
    /// Its key: the first one of a batch, empty for [`Operation::GetKeys`].
    pub key: &'a str,
    /// Counts the calls of this operation on this key, from 1.
    pub ordinal: u64,
}

/// A fault of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call succeeds.
    None,
    /// The call fails and has no effect.
    ErrorBefore,
    /// The call takes effect and fails nevertheless.
    ErrorAfter,
    /// The call takes effect after this time by tokio's clock.
    Delay(Duration),
    /// A read returns the value from before the last write to the key. Writes are not affected.
    StaleRead,
    /// A swap takes effect and reports a lost race, as Spin's Redis backend does. Other operations
    /// are not affected.
    LostAfter,
}

/// Decides which fault each call meets.
pub struct FaultPlan(Box<dyn FnMut(&Call<'_>) -> Fault + Send>);

impl FaultPlan {
    /// Asks `decide` before each call.
    pub fn new(decide: impl FnMut(&Call<'_>) -> Fault + Send + 'static) -> Self {
        Self(Box::new(decide))
    }

    /// Lets every call succeed.
    pub fn none() -> Self {
        Self::always(Fault::None)
    }

    /// Gives every call the same fault.
    pub fn always(fault: Fault) -> Self {
        Self::new(move |_| fault)
    }

    /// Gives a fault to the calls that satisfy `condition`.
    pub fn when(
        mut condition: impl FnMut(&Call<'_>) -> bool + Send + 'static,
        fault: Fault,
    ) -> Self {
        Self::new(
            move |call| {
                if condition(call) { fault } else { Fault::None }
            },
        )
    }

    pub(super) fn decide(&mut self, call: &Call<'_>) -> Fault {
        (self.0)(call)
    }
}

/// Faults that begin with a certain call. A value, so that tests can list and print it.
#[derive(Debug, Clone, Copy)]
pub enum FaultPattern {
    /// Only the first call.
    Once(Fault),
    /// The first call and all that begin within this time after it.
    During(Duration, Fault),
    /// One fault at the first call, another at all that begin within this time after it.
    OnceThenDuring(Fault, Duration, Fault),
    /// The first call and all that follow.
    Always(Fault),
}

impl FaultPattern {
    /// Returns the plan that begins with the `nth` call, counted from 1.
    pub fn from_call(self, nth: u64) -> FaultPlan {
        let mut calls = 0;
        let mut began = None;
        FaultPlan::new(move |_| {
            calls += 1;
            if calls < nth {
                return Fault::None;
            }
            let is_first = calls == nth;
            let elapsed = began.get_or_insert_with(Instant::now).elapsed();
            match self {
                Self::Once(fault) if is_first => fault,
                Self::During(time, fault) if elapsed < time => fault,
                Self::OnceThenDuring(fault, ..) if is_first => fault,
                Self::OnceThenDuring(_, time, fault) if elapsed < time => fault,
                Self::Always(fault) => fault,
                _ => Fault::None,
            }
        })
    }
}
