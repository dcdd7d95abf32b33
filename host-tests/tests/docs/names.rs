//! The types and functions that docs/architecture.md names exist.

use std::fs;
use std::path::Path;

use crate::markdown::root;
use crate::sources::texts;

/// Returns the text of every source file of the component.
fn sources() -> Vec<String> {
    texts(&root().join("src"))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Returns whether `text` has `keyword name` as whole words.
fn declares(text: &str, keyword: &str, name: &str) -> bool {
    let declaration = format!("{keyword} {name}");
    text.match_indices(&declaration).any(|(at, found)| {
        let before = text[..at].chars().next_back();
        let after = text[at + found.len()..].chars().next();
        let is_outside = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        is_outside(before) && is_outside(after)
    })
}

fn declares_type(text: &str, name: &str) -> bool {
    let keywords = ["struct", "enum", "trait", "type"];
    keywords.iter().any(|keyword| declares(text, keyword, name))
}

/// Returns whether `text` has a function or an enum variant of this name.
fn has_member(text: &str, name: &str) -> bool {
    let mut lines = text.lines().map(str::trim_start);
    declares(text, "fn", name)
        || lines.any(|line| {
            let rest = line.strip_prefix(name);
            rest.is_some_and(|rest| rest.starts_with([',', '(', ' ']))
        })
}

/// Returns whether a name in the page is the name of something in the code.
fn exists(name: &str, sources: &[String]) -> bool {
    let is_type = |name: &str| sources.iter().any(|text| declares_type(text, name));
    match name.split_once("::") {
        Some((owner, member)) => {
            is_type(owner)
                && sources.iter().any(|text| {
                    let mentions_owner = declares_type(text, owner)
                        || text.contains(&format!("impl {owner}"))
                        || text.contains(&format!("> {owner}<"))
                        || text.contains(&format!(" for {owner}"));
                    mentions_owner && has_member(text, member)
                })
        }
        None if name.starts_with(|c: char| c.is_ascii_uppercase()) => is_type(name),
        None => {
            let is_variable = fs::read_to_string(root().join("spin.toml"))
                .unwrap()
                .lines()
                .any(|line| line.starts_with(&format!("{name} = ")));
            is_variable
                || root().join("src").join(name).is_dir()
                || sources.iter().any(|text| declares(text, "fn", name))
        }
    }
}

/// Returns the code spans of a page that look like names of types or functions.
fn names(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let mut names = vec![];
    let mut is_block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
        } else if !is_block {
            let spans = line.split('`').skip(1).step_by(2);
            let is_name = |span: &&str| span.split("::").all(is_word);
            names.extend(spans.filter(is_name).map(str::to_owned));
        }
    }
    names
}

#[test]
fn every_name_in_the_architecture_page_exists_in_the_code() {
    let sources = sources();
    let names = names(&root().join("docs/architecture.md"));
    assert!(names.len() > 60, "{names:?}");
    let missing: Vec<_> = names
        .iter()
        .filter(|name| !exists(name, &sources))
        .collect();
    assert!(missing.is_empty(), "not in src/: {missing:?}");
}

#[test]
fn a_name_that_does_not_exist_is_reported() {
    let sources = sources();
    for name in [
        "NoSuchType",
        "Commit::no_such_method",
        "no_such_function",
        "NoSuchType::step",
    ] {
        assert!(!exists(name, &sources), "{name}");
    }
}
