//! A shared handle to the counts of an instance.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::{Call, CallOutcome, Counter, Histogram, Recorder};

/// The counts of one instance. Clones are handles to the same counts.
#[derive(Clone, Debug)]
pub struct Metrics(Rc<RefCell<Recorder>>);

impl Metrics {
    /// Starts to count for the instance that has drawn the random number `id`, which is not 0.
    #[must_use]
    pub fn new(id: u64) -> Self {
        Self(Rc::new(RefCell::new(Recorder::new(id))))
    }

    /// Adds `count` to a counter.
    pub fn add(&self, counter: Counter, count: u64) {
        if count > 0 {
            self.0.borrow_mut().add(counter, count);
        }
    }

    /// Adds a number to a histogram that does not count durations.
    pub fn observe(&self, histogram: Histogram, value: u64) {
        self.0.borrow_mut().observe(histogram, value);
    }

    /// Adds a duration to a histogram of durations.
    pub fn observe_duration(&self, histogram: Histogram, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.observe(histogram, micros);
    }

    /// Counts a call of the store and the time it took.
    pub fn store_call(&self, call: Call, outcome: CallOutcome, took: Duration) {
        self.add(Counter::StoreCalls(call, outcome), 1);
        self.observe_duration(Histogram::Store(call), took);
    }

    /// Runs `action` on the recorder.
    pub fn with<T>(&self, action: impl FnOnce(&mut Recorder) -> T) -> T {
        action(&mut self.0.borrow_mut())
    }
}
