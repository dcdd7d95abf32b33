//! Lines for the operator, on standard error.

use std::fmt::Display;
use std::io::Write as _;

/// Reports that something went wrong: what was being done, and why it failed.
pub fn error(doing: impl Display, why: impl Display) {
    // `eprintln` would panic where the host cannot take the line, as on a full disk.
    _ = writeln!(std::io::stderr(), "runnel: {doing}: {why}");
}
