//! The files, folders and test modules that the pages name exist, and the events of the log are complete.

use std::collections::BTreeSet;
use std::path::Path;

use crate::markdown::{Page, pages, root};
use crate::sources::texts;

/// The folders of the repository that pages refer to.
const FOLDERS: [&str; 6] = ["src/", "docs/", "ops/", "host-tests/", ".ci/", ".cargo/"];

fn code_spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn page(path: &str) -> Page {
    let mut pages = pages().into_iter();
    pages.find(|page| page.path == Path::new(path)).unwrap()
}

/// Returns whether a name of docs/security.md is a test module of the black-box tests, or a path below the
/// tests or below the repository.
fn is_test(name: &str) -> bool {
    let tests = root().join("host-tests/tests");
    let module = tests.join("black_box").join(name);
    module.is_dir()
        || module.with_extension("rs").is_file()
        || tests.join(name).is_file()
        || root().join(name).is_file()
}

#[test]
fn every_path_exists() {
    let mut count = 0;
    for page in pages() {
        for (line, text) in page.prose() {
            let paths = code_spans(text).filter(|span| FOLDERS.iter().any(|f| span.starts_with(f)));
            for path in paths {
                count += 1;
                assert!(
                    root().join(path).exists(),
                    "{}:{line}: {path}",
                    page.path.display()
                );
            }
        }
    }
    assert!(count > 10, "{count}");
}

#[test]
fn every_claim_of_the_security_page_names_existing_tests() {
    let page = page("docs/security.md");
    let mut is_resource = false;
    let mut count = 0;
    for (line, text) in page.prose() {
        is_resource =
            (is_resource || text == "## Resource exhaustion") && !text.starts_with("## L");
        let in_parentheses = text.split("(`").skip(1).map(|rest| {
            let (inside, _) = rest.split_once(')').expect("a closing parenthesis");
            format!("`{inside}")
        });
        let last_cell = text.trim_end_matches('|').rsplit('|').next();
        let last_cell = last_cell.filter(|_| is_resource && text.starts_with('|'));
        for claim in in_parentheses.chain(last_cell.map(str::to_owned)) {
            for name in code_spans(&claim) {
                count += 1;
                assert!(is_test(name), "docs/security.md:{line}: {name}");
            }
        }
    }
    assert!(count > 15, "{count}");
}

fn is_event(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

#[test]
fn the_table_of_log_events_is_complete() {
    let page = page("docs/observability.md");
    let table = page.prose().into_iter().filter_map(|(_, text)| {
        let mut cells = text.split('|').map(str::trim).skip(1);
        let (level, events) = (cells.next()?, cells.next()?);
        ["`error`", "`warn`", "`info`", "`debug`"]
            .contains(&level)
            .then_some(events)
    });
    let listed: BTreeSet<_> = table.flat_map(code_spans).map(str::to_owned).collect();
    let mut logged = BTreeSet::new();
    for text in texts(&root().join("src")) {
        for call in [
            ".error(\"",
            "Level::Info, \"",
            "Level::Warn, \"",
            "log(level, \"",
            "event: \"",
            "log_change(instance, \"",
        ] {
            let names = text.split(call).skip(1);
            let names = names.filter_map(|rest| rest.split_once('"'));
            let names = names.map(|(name, _)| name.to_owned());
            logged.extend(names.filter(|name| is_event(name)));
        }
    }
    let missing: Vec<_> = logged.difference(&listed).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
    let stale: Vec<_> = listed.difference(&logged).collect();
    assert!(stale.is_empty(), "not in the code: {stale:?}");
}
