//! The record of a schedule.

use super::super::Violation;
use super::checker::Checker;
use super::coverage::Coverage;
use crate::core::log::Retention;

/// The record of a schedule, which all actors keep.
pub(super) struct Ledger {
    pub(super) checker: Checker,
    pub(super) coverage: Coverage,
    /// The first law that was broken.
    pub(super) violation: Option<Violation>,
}

impl Ledger {
    pub(super) fn new(retention: Retention) -> Self {
        Self {
            checker: Checker::new(retention),
            coverage: Coverage::default(),
            violation: None,
        }
    }

    /// Notes the result of a check.
    pub(super) fn note(&mut self, checked: Result<(), Violation>) {
        if let Err(violation) = checked {
            self.violation.get_or_insert(violation);
        }
    }
}
