//! The layers of the component: `core` is pure, only `platform` uses Spin and WASI, `api` knows no engine
//! of the log, and state is not global.

use std::fs;
use std::path::{Path, PathBuf};

/// The crates that only `platform` may name.
const PLATFORM_CRATES: [&str; 5] = ["spin_sdk", "wasi", "wasip2", "wasip3", "wit_bindgen"];

/// A layer, and the paths that it must not name.
struct Layer {
    folder: &'static str,
    forbidden_paths: &'static [&'static str],
}

const CORE: Layer = Layer {
    folder: "core",
    forbidden_paths: &[
        "api",
        "platform",
        "crate::config",
        "super::config",
        "crate::instance",
        "super::instance",
    ],
};

const CONFIG: Layer = Layer {
    folder: "config",
    forbidden_paths: &["api", "platform", "crate::instance", "super::instance"],
};

const INSTANCE: Layer = Layer {
    folder: "instance",
    forbidden_paths: &["api", "platform"],
};

/// What is particular to an engine of the log stays behind the trait.
const API: Layer = Layer {
    folder: "api",
    forbidden_paths: &["log::kv"],
};

impl Layer {
    /// Returns the forbidden paths in `source`, each with its line number. Comments and string
    /// literals may contain any name.
    fn violations(&self, source: &str) -> Vec<(usize, String)> {
        let mut violations = vec![];
        let mut paths = Paths::default();
        for (index, line) in source.lines().enumerate() {
            for token in tokens(&without_comments_and_strings(line)) {
                let path = paths.read(&token);
                let forbidden = path.and_then(|path| self.forbidden_end(path));
                violations.extend(forbidden.map(|name| (index + 1, name.to_owned())));
            }
        }
        violations
    }

    /// Returns the forbidden path that `path` ends with.
    fn forbidden_end(&self, path: &[String]) -> Option<&'static str> {
        let forbidden = PLATFORM_CRATES.iter().chain(self.forbidden_paths);
        let mut forbidden = forbidden.copied();
        forbidden.find(|forbidden| {
            let segments: Vec<_> = forbidden.split("::").collect();
            path.iter()
                .rev()
                .map(String::as_str)
                .take(segments.len())
                .eq(segments.into_iter().rev())
        })
    }
}

/// Follows the paths in code, token by token. `a::{b, c}` are the paths `a`, `a::b` and `a::c`.
#[derive(Default)]
struct Paths {
    path: Vec<String>,
    is_joined: bool,
    /// The length of the path before each open brace; 0 for a block.
    groups: Vec<usize>,
}

impl Paths {
    /// Reads a token. Returns the path that ends with it if it is a name.
    fn read(&mut self, token: &str) -> Option<&[String]> {
        let is_joined = std::mem::take(&mut self.is_joined);
        if token == "::" {
            self.is_joined = true;
            return None;
        }
        if token == "{" {
            self.groups
                .push(if is_joined { self.path.len() } else { 0 });
        } else if token == "}" {
            self.groups.pop();
        }
        let is_name = token.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        if !(is_joined && is_name) {
            self.path.truncate(self.groups.last().copied().unwrap_or(0));
        }
        if !is_name {
            return None;
        }
        self.path.push(token.to_owned());
        Some(&self.path)
    }
}

/// Splits code into names, `::` and other characters.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens: Vec<String> = vec![];
    let mut is_in_name = false;
    for c in code.chars() {
        let is_of_name = c.is_alphanumeric() || c == '_';
        let is_second_colon = c == ':' && tokens.last().is_some_and(|token| token == ":");
        match tokens.last_mut() {
            Some(token) if (is_in_name && is_of_name) || is_second_colon => token.push(c),
            _ if c.is_whitespace() => {}
            _ => tokens.push(c.to_string()),
        }
        is_in_name = is_of_name;
    }
    tokens
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
fn no_layer_names_a_layer_above_it_and_only_platform_names_spin_and_wasi() {
    let root = source_root();
    let mut violations = vec![];
    for (layer, min_files) in [(CORE, 5), (API, 5), (CONFIG, 5), (INSTANCE, 2)] {
        let files = sources(&root.join(layer.folder));
        assert!(
            files.len() >= min_files,
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
    for line in [
        "use crate::config::Config;",
        "use super::super::instance;",
        "use crate::{core::time::Instant, instance::{Instance}};",
        "let config = crate::config::Config::new(variables);",
    ] {
        assert_eq!(CORE.violations(line).len(), 1, "{line}");
    }
    for source in [
        "use crate::core::log::kv::KvLog;",
        "use crate::core::log;\nlet log = log::kv::KvLog::new();",
        "use crate::core::{\n    channel::Channel,\n    log::{\n        Log,\n        kv,\n    },\n};",
    ] {
        assert_eq!(API.violations(source).len(), 1, "{source}");
    }
}

#[test]
fn comments_strings_and_longer_names_are_allowed() {
    for line in [
        "//! [`platform`](crate::platform) carries it out",
        "    // wasi says so",
        "let apiary = 1; // api",
        "let text = \"the platform's wasi\";",
        "use crate::core::log::Head;",
        "let config: StreamConfig = self.config;",
        "let instance = world.instance();",
    ] {
        assert_eq!(CORE.violations(line), [], "{line}");
    }
    for line in [
        "use crate::platform::clock;",
        "use crate::core::{log::Log, access};",
        "let kv = log(kv::get());",
    ] {
        assert_eq!(API.violations(line), [], "{line}");
    }
}

/// Returns the code of the module in `file` and of its submodules, without tests.
fn production_modules(file: &Path) -> Vec<(PathBuf, String)> {
    let code = without_test_items(&fs::read_to_string(file).unwrap());
    let folder = match file.file_stem().and_then(|stem| stem.to_str()) {
        Some("lib" | "mod") => file.parent().unwrap().to_owned(),
        _ => file.with_extension(""),
    };
    let mut modules = vec![];
    for name in code.lines().filter_map(declared_module) {
        let candidates = [
            folder.join(name).with_extension("rs"),
            folder.join(name).join("mod.rs"),
        ];
        let submodule = candidates.iter().find(|file| file.is_file());
        let submodule = submodule.unwrap_or_else(|| panic!("no file of module {name}"));
        modules.extend(production_modules(submodule));
    }
    modules.push((file.to_owned(), code));
    modules
}

/// Returns the module that a line such as `pub(crate) mod name;` declares.
fn declared_module(line: &str) -> Option<&str> {
    let (visibility, name) = line.trim().strip_suffix(';')?.split_once("mod ")?;
    (visibility.is_empty() || visibility.starts_with("pub")).then_some(name)
}

/// Replaces each item behind `#[cfg(test)]` by empty lines. Relies on the layout of rustfmt.
fn without_test_items(source: &str) -> String {
    let mut code = String::new();
    let mut is_test = false;
    let mut depth = 0;
    for line in source.lines() {
        if line.trim() == "#[cfg(test)]" {
            is_test = true;
        } else if is_test {
            let line = without_comments_and_strings(line);
            depth += line.matches(['(', '[', '{']).count();
            depth -= line.matches([')', ']', '}']).count();
            is_test = depth > 0 || !line.trim_end().ends_with([';', ',', '}']);
        } else {
            code.push_str(line);
        }
        code.push('\n');
    }
    code
}

/// Returns the line numbers of the statics in `code`, those of `thread_local!` included.
fn statics(code: &str) -> Vec<usize> {
    let mut lines = vec![];
    for (index, line) in code.lines().enumerate() {
        let line = without_comments_and_strings(line);
        let item = line.trim_start();
        let item = match item.strip_prefix("pub") {
            Some(rest) => rest.split_once(' ').map_or("", |(_, item)| item),
            None => item,
        };
        let is_thread_local = item.starts_with("thread_local!") && item.contains("static ");
        if item.starts_with("static ") || is_thread_local {
            lines.push(index + 1);
        }
    }
    lines
}

#[test]
fn the_component_has_at_most_one_static() {
    let root = source_root();
    let mut found = vec![];
    for (file, code) in production_modules(&root.join("lib.rs")) {
        let name = file.strip_prefix(&root).unwrap().display().to_string();
        let lines = statics(&code).into_iter();
        found.extend(lines.map(|line| format!("{name}:{line}")));
    }
    assert!(found.len() <= 1, "{found:#?}");
}

#[test]
fn statics_are_found_except_in_tests() {
    let source = "\
static A: u8 = 1;
pub(crate) static B: &str = \"static\";
thread_local! {
    // static
    static C: u8 = 1;
}
fn d() -> &'static str {
    static D: u8 = 1;
    \"\"
}
#[cfg(test)]
thread_local! {
    static E: u8 = 1;
}
#[cfg(test)]
mod tests {
    static F: u8 = 1;
}
pub static G: u8 = 1;
";
    let code = without_test_items(source);
    assert_eq!(statics(&code), [1, 2, 5, 8, 19]);
    assert_eq!(declared_module("pub(crate) mod name;"), Some("name"));
    let declaration = "#[cfg(test)]\nmod tests;\nmod name;\n";
    let code = without_test_items(declaration);
    let modules: Vec<_> = code.lines().filter_map(declared_module).collect();
    assert_eq!(modules, ["name"]);
}
