//! Lines for the operator, on standard error.

use std::fmt::Display;

/// Reports that something went wrong: what was being done, and why it failed.
pub fn error(doing: impl Display, why: impl Display) {
    eprintln!("runnel: {doing}: {why}");
}
