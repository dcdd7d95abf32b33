//! Counters that clones share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A number that rises and falls, as that of live instances.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gauge(Arc<AtomicUsize>);

impl Gauge {
    /// Returns the current value.
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// Raises the gauge by `amount`.
    pub(crate) fn add(&self, amount: usize) {
        self.0.fetch_add(amount, Ordering::SeqCst);
    }

    /// Lowers the gauge by `amount`.
    pub(crate) fn subtract(&self, amount: usize) {
        self.0.fetch_sub(amount, Ordering::SeqCst);
    }

    /// Raises the gauge by one until the guard is dropped.
    pub(crate) fn raise(&self) -> GaugeGuard {
        self.add(1);
        GaugeGuard(self.clone())
    }
}

/// One unit of a [`Gauge`]; dropping it lowers the gauge.
#[derive(Debug)]
pub(crate) struct GaugeGuard(Gauge);

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.subtract(1);
    }
}

/// A number that only rises.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Returns the current value.
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    /// Raises the counter by `amount` and returns its previous value.
    pub(crate) fn add(&self, amount: u64) -> u64 {
        self.0.fetch_add(amount, Ordering::SeqCst)
    }
}
