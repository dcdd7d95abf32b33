//! The layers of the component: `core` is pure, and only `platform` uses Spin and WASI.

use std::fs;
use std::path::{Path, PathBuf};

/// The crates that only `platform` may name.
const PLATFORM_CRATES: [&str; 5] = ["spin_sdk", "wasi", "wasip2", "wasip3", "wit_bindgen"];

/// A layer, and the modules of the component that it must not name.
struct Layer {
    folder: &'static str,
    forbidden_modules: &'static [&'static str],
}

const CORE: Layer = Layer {
    folder: "core",
    forbidden_modules: &["api", "platform"],
};

const API: Layer = Layer {
    folder: "api",
    forbidden_modules: &[],
};

impl Layer {
    /// Returns the forbidden names in `source`, each with its line number. Comments and string
    /// literals may contain any name.
    fn violations(&self, source: &str) -> Vec<(usize, String)> {
        let mut violations = vec![];
        for (index, line) in source.lines().enumerate() {
            let code = without_comments_and_strings(line);
            let words = code.split(|c: char| !c.is_alphanumeric() && c != '_');
            for word in words.filter(|word| self.forbids(word)) {
                violations.push((index + 1, word.to_owned()));
            }
        }
        violations
    }

    fn forbids(&self, word: &str) -> bool {
        PLATFORM_CRATES.contains(&word) || self.forbidden_modules.contains(&word)
    }
}

fn without_comments_and_strings(line: &str) -> String {
    let mut code = String::new();
    for (index, part) in line.split('"').enumerate() {
        let is_quoted = index % 2 == 1;
        if is_quoted {
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

/// Returns the Rust files below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn source_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../src")
}

#[test]
fn core_names_neither_api_nor_platform_and_only_platform_names_spin_and_wasi() {
    let root = source_root();
    let mut violations = vec![];
    for layer in [CORE, API] {
        let files = sources(&root.join(layer.folder));
        assert!(
            files.len() >= 5,
            "the layer {} has been moved",
            layer.folder
        );
        for file in files {
            let found = layer.violations(&fs::read_to_string(&file).unwrap());
            let name = file.strip_prefix(&root).unwrap().display().to_string();
            let found = found.iter();
            violations.extend(found.map(|(line, word)| format!("{name}:{line}: {word}")));
        }
    }
    assert_eq!(violations, <[String; 0]>::default());
}

#[test]
fn a_forbidden_name_is_found_anywhere_in_a_line() {
    for line in [
        "use spin_sdk::key_value::Store;",
        "let now = wasi::clocks::monotonic_clock::now();",
        "use crate::platform::clock;",
        "use super::super::platform;",
        "use crate::{api, core};",
        "    api::{",
        "let s = \"//\"; platform::log::error(s, s); // fine",
    ] {
        assert_eq!(CORE.violations(line).len(), 1, "{line}");
    }
    assert_eq!(
        CORE.violations("fn a() {}\nuse wasi as w;"),
        [(2, "wasi".to_owned())]
    );
    assert_eq!(API.violations("use spin_sdk as s;").len(), 1);
}

#[test]
fn comments_strings_and_longer_names_are_allowed() {
    for line in [
        "//! [`platform`](crate::platform) carries it out",
        "    // wasi says so",
        "let apiary = 1; // api",
        "let text = \"the platform's wasi\";",
        "use crate::core::log::Head;",
    ] {
        assert_eq!(CORE.violations(line), [], "{line}");
    }
    assert_eq!(API.violations("use crate::platform::clock;"), []);
}
