//! The walls between the component's parts: the core is pure, and only the platform knows Spin.

use std::fs;
use std::path::{Path, PathBuf};

/// What one part of the source must not name.
struct Wall {
    folder: &'static str,
    forbidden: &'static [&'static str],
}

const WALLS: [Wall; 2] = [
    Wall {
        folder: "core",
        forbidden: &["spin_sdk", "wasi", "wasip2", "wasip3", "api", "platform"],
    },
    Wall {
        folder: "api",
        forbidden: &["spin_sdk", "wasi", "wasip2", "wasip3"],
    },
];

impl Wall {
    /// The forbidden words in `source`, each with the number of its line. Comments and text in
    /// quotes may say what they like.
    fn breaches(&self, source: &str) -> Vec<(usize, String)> {
        let mut breaches = vec![];
        for (index, line) in source.lines().enumerate() {
            let code = without_comment_and_text(line);
            let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            for word in words.filter(|word| self.forbidden.contains(word)) {
                breaches.push((index + 1, word.to_owned()));
            }
        }
        breaches
    }
}

fn without_comment_and_text(line: &str) -> String {
    let mut code = String::new();
    for (index, part) in line.split('"').enumerate() {
        let quoted = index % 2 == 1;
        if quoted {
            code.push(' ');
        } else if let Some((before, _)) = part.split_once("//") {
            code.push_str(before);
            break;
        } else {
            code.push_str(part);
        }
    }
    code
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn the_core_knows_neither_api_nor_platform_and_only_the_platform_knows_spin() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let mut breaches = vec![];
    for wall in &WALLS {
        let mut files = vec![];
        sources(&src.join(wall.folder), &mut files);
        assert!(
            files.len() >= 5,
            "the wall around {} is elsewhere",
            wall.folder
        );
        for file in files {
            let found = wall.breaches(&fs::read_to_string(&file).unwrap());
            let name = file.strip_prefix(&src).unwrap().display().to_string();
            breaches.extend(
                found
                    .iter()
                    .map(|(line, word)| format!("{name}:{line}: {word}")),
            );
        }
    }
    assert_eq!(breaches, <[String; 0]>::default());
}

#[test]
fn a_breach_is_found_wherever_it_stands() {
    let [core, api] = &WALLS;
    for line in [
        "use spin_sdk::key_value::Store;",
        "let now = wasi::clocks::monotonic_clock::now();",
        "use crate::platform::clock;",
        "use super::super::platform;",
        "use crate::{api, core};",
        "    api::{",
        "let s = \"//\"; platform::log::error(s, s); // fine",
    ] {
        assert_eq!(core.breaches(line).len(), 1, "{line}");
    }
    assert_eq!(
        core.breaches("fn a() {}\nuse wasi as w;"),
        [(2, "wasi".to_owned())]
    );
    assert_eq!(api.breaches("use spin_sdk as s;").len(), 1);
}

#[test]
fn what_is_no_breach_is_let_pass() {
    let [core, api] = &WALLS;
    for line in [
        "//! [`platform`](crate::platform) carries it out",
        "    // wasi says so",
        "let apiary = 1; // api",
        "let text = \"the platform's wasi\";",
        "use crate::core::log::Head;",
    ] {
        assert_eq!(core.breaches(line), [], "{line}");
    }
    assert_eq!(api.breaches("use crate::platform::clock;"), []);
}
