//! A store in memory that a test can break and mend while it is in use.

use std::sync::Arc;

use runnel_host::store::{FaultInjector, FaultPlan, Memory, Operation};

/// A store in memory behind a [`FaultInjector`]. Clones share both.
#[derive(Clone)]
pub struct TestStore {
    /// The content, without faults.
    pub memory: Arc<Memory>,
    /// The store that hosts use.
    pub injector: Arc<FaultInjector>,
}

impl Default for TestStore {
    fn default() -> Self {
        Self::with(Arc::default())
    }
}

impl TestStore {
    /// Returns a store with this content.
    pub fn with(memory: Arc<Memory>) -> Self {
        let injector = Arc::new(FaultInjector::new(memory.clone()));
        Self { memory, injector }
    }

    /// Replaces the fault plan for the calls from now on.
    pub fn inject(&self, plan: FaultPlan) {
        self.injector.inject(plan);
    }

    /// Lets all calls from now on succeed.
    pub fn heal(&self) {
        self.injector.heal();
    }

    /// Takes the calls since they were last taken, in order.
    pub fn take_calls(&self) -> Vec<(Operation, String)> {
        self.injector.take_calls()
    }

    /// Counts the reads so far of keys that begin with `prefix`.
    pub fn reads(&self, prefix: &str) -> u64 {
        self.injector.count(Operation::Get, prefix)
    }

    /// Returns the stored keys that begin with `prefix`.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let all = self.memory.snapshot().into_keys();
        all.filter(|key| key.starts_with(prefix)).collect()
    }

    /// Returns the segments that a replay of the only channel reads, in the order of their events: the seq
    /// of the first event, and the key. Segments that were merged into others are stored for a while, but
    /// not read any more.
    pub fn segments_in_use(&self) -> Vec<(u64, String)> {
        let number = |key: &str, part| key.split('!').nth(part)?.parse::<u64>().ok();
        let keys = self.keys("seg!");
        let merged = keys.iter().filter_map(|key| {
            let first = number(key, 3)?;
            Some(first..first + number(key, 4)?)
        });
        let merged: Vec<_> = merged.collect();
        let in_use = keys.iter().filter_map(|key| {
            let first = number(key, 3)?;
            let is_merged = merged.iter().any(|range| range.contains(&first));
            (number(key, 4).is_some() || !is_merged).then(|| (first, key.clone()))
        });
        let mut in_use: Vec<_> = in_use.collect();
        in_use.sort_unstable();
        in_use
    }
}
