//! Permits for the open streams and waiting long-polls of an instance.

use std::cell::Cell;
use std::rc::Rc;

/// The permits of an instance for open streams and waiting long-polls. Clones are handles to the same count.
#[derive(Clone, Debug, Default)]
pub struct StreamPermits(Rc<Cell<usize>>);

/// A permit for one open stream or waiting long-poll, until it is dropped.
#[derive(Debug)]
pub struct StreamPermit(Rc<Cell<usize>>);

impl StreamPermits {
    /// Returns a permit, unless `max` permits are held already.
    #[must_use]
    pub fn try_acquire(&self, max: usize) -> Option<StreamPermit> {
        let held = self.0.get();
        if held >= max {
            return None;
        }
        self.0.set(held.saturating_add(1));
        Some(StreamPermit(self.0.clone()))
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_permit_can_be_acquired_again() {
        let permits = StreamPermits::default();
        let first = permits.try_acquire(1);
        assert!(first.is_some() && permits.try_acquire(1).is_none());
        drop(first);
        assert!(permits.try_acquire(1).is_some());
    }
}
