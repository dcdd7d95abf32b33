//! A table of store calls.

use runnel_host::store::Operation;

/// A store call: its operation and its first key.
pub(super) type Call = (Operation, String);

/// The lines of the table. All are printed before a mismatch fails the test.
#[derive(Default)]
pub(super) struct Table {
    lines: String,
    mismatches: Vec<String>,
}

impl Table {
    /// Adds the calls of a request, which should be `expected` in the notation of [`summary`].
    pub(super) fn line(&mut self, request: &str, calls: &[Call], expected: &str) {
        let made = summary(calls);
        self.lines += &format!("| {request} | {} | {made} |\n", calls.len());
        if made != expected {
            self.mismatches
                .push(format!("{request}: {made}, not {expected}"));
        }
    }

    /// Prints the table, and fails the test on a mismatch.
    pub(super) fn finish(self) {
        println!(
            "\n| request | calls | which |\n|---|---|---|\n{}",
            self.lines
        );
        assert!(self.mismatches.is_empty(), "{:#?}", self.mismatches);
    }
}

/// Lists the calls in order, each with the kind of its key. Repeated calls are listed once, with their
/// number.
fn summary(calls: &[Call]) -> String {
    let kinds: Vec<_> = calls
        .iter()
        .map(|(operation, key)| (operation, key.split('!').next().unwrap_or_default()))
        .collect();
    let runs = kinds.chunk_by(|one, other| one == other);
    let entries = runs.map(|run| {
        let (operation, kind) = run[0];
        match run.len() {
            1 => format!("{operation:?} {kind}"),
            times => format!("{times} × {operation:?} {kind}"),
        }
    });
    entries.collect::<Vec<_>>().join(", ")
}
