//! A table of what was asked of the store, for what.

use runnel_host::store::Operation;

/// A call of the store: which, and of which key (of several, the first).
pub(super) type Call = (Operation, String);

/// Lines that are printed all together, right or wrong, before the wrong ones fail the test.
#[derive(Default)]
pub(super) struct Table {
    lines: String,
    wrong: Vec<String>,
}

impl Table {
    /// These calls were made for `what`; they must be `expected`, in the words of [`in_words`].
    pub(super) fn line(&mut self, what: &str, calls: &[Call], expected: &str) {
        let made = in_words(calls);
        self.lines += &format!("| {what} | {} | {made} |\n", calls.len());
        if made != expected {
            self.wrong.push(format!("{what}: {made}, not {expected}"));
        }
    }

    /// Prints the table.
    pub(super) fn end(self) {
        println!("\n| what | calls | which |\n|---|---|---|\n{}", self.lines);
        assert!(self.wrong.is_empty(), "{:#?}", self.wrong);
    }
}

/// The calls in their order, each with the kind of its key; how often if several times in a row.
fn in_words(calls: &[Call]) -> String {
    let kinds: Vec<_> = calls
        .iter()
        .map(|(operation, key)| (operation, key.split('!').next().unwrap_or_default()))
        .collect();
    let runs = kinds.chunk_by(|one, other| one == other);
    let words = runs.map(|run| {
        let (operation, kind) = run[0];
        match run.len() {
            1 => format!("{operation:?} {kind}"),
            times => format!("{times} × {operation:?} {kind}"),
        }
    });
    words.collect::<Vec<_>>().join(", ")
}
