//! The README is short, and nothing is written twice.

use std::collections::BTreeMap;
use std::path::Path;

use crate::markdown::{Page, pages};

/// The maximum length of the README.
const README_LINES: usize = 150;

/// The length from which a sentence must not be repeated.
const MIN_WORDS: usize = 6;

/// Returns the sentences of a page: of paragraphs, list items and cells of tables.
fn sentences(page: &Page) -> Vec<String> {
    let mut text = String::new();
    for (_, line) in page.prose() {
        let is_start = line.is_empty() || line.starts_with(['|', '#', '-', '*']);
        text.push(if is_start { '\n' } else { ' ' });
        text.push_str(line);
    }
    let parts = text.split(['\n', '|']).flat_map(|part| part.split(". "));
    let sentences = parts.map(|part| {
        let words: Vec<_> = part.split_whitespace().collect();
        words
            .join(" ")
            .trim_matches(['.', '-', '*', ' '])
            .to_owned()
    });
    sentences
        .filter(|sentence| sentence.split(' ').count() >= MIN_WORDS)
        .collect()
}

#[test]
fn the_readme_has_at_most_150_lines() {
    let pages = pages();
    let readme = pages
        .iter()
        .find(|page| page.path == Path::new("README.md"));
    let lines = readme.unwrap().text.lines().count();
    assert!(lines <= README_LINES, "{lines} lines");
}

#[test]
fn no_sentence_appears_twice() {
    let mut seen = BTreeMap::new();
    let mut repeated = vec![];
    for page in pages() {
        for sentence in sentences(&page) {
            let here = page.path.display().to_string();
            if let Some(there) = seen.insert(sentence.clone(), here.clone()) {
                repeated.push(format!("{there} and {here}: {sentence}"));
            }
        }
    }
    assert!(repeated.is_empty(), "{}", repeated.join("\n"));
}
