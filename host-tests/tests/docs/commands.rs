//! The commands that the pages show refer to packages, test targets, tests, environment variables and fuzz
//! targets that exist.

use std::fs;
use std::path::Path;

use runnel_properties::TARGETS;

use crate::markdown::{pages, root};
use crate::sources::{rust_files, texts};

/// Returns the words of every line that a page shows in a block, and of every code span, with the location of
/// the line.
fn commands() -> Vec<(String, Vec<String>)> {
    let mut commands = vec![];
    for page in pages() {
        let location = |line: usize| format!("{}:{line}", page.path.display());
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        for block in page.blocks() {
            for (number, text) in block.text.lines().enumerate() {
                commands.push((location(block.line + number + 1), words(text)));
            }
        }
        for (line, text) in page.prose() {
            for span in text.split('`').skip(1).step_by(2) {
                commands.push((location(line), words(span)));
            }
        }
    }
    commands
}

/// Returns the commands that begin with `start`, perhaps after environment variables, without `start`.
fn commands_of(start: &[&str]) -> Vec<(String, Vec<String>)> {
    let found = commands().into_iter().filter_map(|(location, words)| {
        let at = words
            .windows(start.len())
            .position(|words| words == start)?;
        Some((location, words[at + start.len()..].to_vec()))
    });
    found.collect()
}

/// Returns the values of a repeatable option.
fn values<'a>(words: &'a [String], option: &str) -> Vec<&'a str> {
    let pairs = words.iter().zip(words.iter().skip(1));
    let values = pairs.filter(|(name, _)| *name == option);
    values.map(|(_, value)| value.as_str()).collect()
}

/// Returns the words that are neither options nor their values, up to `--`: the filters of tests.
fn filters(words: &[String]) -> Vec<&str> {
    let mut filters = vec![];
    let mut words = words.iter().take_while(|word| *word != "--");
    while let Some(word) = words.next() {
        match word.as_str() {
            "--package" | "-p" | "--test" | "--bench" => drop(words.next()),
            option if option.starts_with('-') => {}
            comment if comment.starts_with('#') => break,
            filter => filters.push(filter),
        }
    }
    filters
}

/// Returns the folder whose files contain the tests of a package, or of one of its test targets.
fn test_folder(package: &str, target: Option<&str>) -> String {
    match (package, target) {
        ("runnel", None) => "src".to_owned(),
        ("runnel-host", None) => "host-tests".to_owned(),
        ("runnel-host", Some(target)) => format!("host-tests/tests/{target}"),
        (package, target) => panic!("no tests are known of {package}, {target:?}"),
    }
}

/// Returns the paths of all tests in a folder, as cargo prints them.
fn tests_in(folder: &str) -> Vec<String> {
    let folder = root().join(folder);
    let mut tests = vec![];
    for file in rust_files(&folder) {
        let module = module_path(file.strip_prefix(&folder).unwrap());
        let text = fs::read_to_string(&file).unwrap();
        let names = text.lines().filter_map(|line| {
            let line = line.trim_start().trim_start_matches("async ");
            let (name, _) = line.strip_prefix("fn ")?.split_once('(')?;
            Some(format!("{module}::{name}"))
        });
        // A file without tests has functions, but no attribute.
        if text.contains("test]") || text.contains("test(") {
            tests.extend(names);
        }
    }
    tests
}

fn module_path(file: &Path) -> String {
    let path = file.with_extension("");
    let parts = path.iter().map(|part| part.to_str().unwrap());
    let parts: Vec<_> = parts
        .filter(|part| !["mod", "lib", "main"].contains(part))
        .collect();
    parts.join("::")
}

fn assert_filter_matches(location: &str, folder: &str, filter: &str) {
    let tests = tests_in(folder);
    assert!(
        !tests.is_empty(),
        "{location}: there are no tests in {folder}"
    );
    assert!(
        tests.iter().any(|test| test.contains(filter)),
        "{location}: no test in {folder} matches {filter:?}"
    );
}

#[test]
fn every_test_command_names_existing_tests() {
    let commands = commands_of(&["cargo", "test"]);
    assert!(commands.len() > 8, "{commands:?}");
    for (location, words) in commands {
        let targets = values(&words, "--test");
        for package in values(&words, "--package") {
            for filter in filters(&words) {
                let target = targets.first().copied();
                assert_filter_matches(&location, &test_folder(package, target), filter);
            }
            for target in &targets {
                let folder = root().join(test_folder(package, Some(target)));
                assert!(folder.join("main.rs").is_file(), "{location}: {target}");
            }
        }
    }
}

#[test]
fn every_mentioned_filter_of_the_harness_matches_a_test() {
    let mut count = 0;
    for (location, words) in commands() {
        if let [target, filter] = &words[..]
            && target == "harness"
        {
            count += 1;
            assert_filter_matches(&location, "host-tests/tests/harness", filter);
        }
    }
    assert!(count >= 3, "{count}");
}

#[test]
fn every_benchmark_command_names_an_existing_benchmark() {
    let commands = commands_of(&["cargo", "bench"]);
    assert!(commands.len() >= 2, "{commands:?}");
    let manifest = fs::read_to_string(root().join("host-tests/Cargo.toml")).unwrap();
    for (location, words) in commands {
        for bench in values(&words, "--bench") {
            let entry = format!("[[bench]]\nname = \"{bench}\"\n");
            assert!(manifest.contains(&entry), "{location}: {bench}");
        }
    }
}

#[test]
fn the_fuzz_targets_are_listed() {
    let page = fs::read_to_string(root().join("docs/contributing.md")).unwrap();
    let list = page
        .lines()
        .find_map(|line| line.strip_prefix("The targets are "))
        .unwrap();
    let listed: Vec<_> = list.split('`').skip(1).step_by(2).collect();
    assert_eq!(listed, TARGETS.map(|(name, _)| name));
    for (location, words) in commands_of(&["cargo", "fuzz", "run"]) {
        assert!(listed.contains(&words[0].as_str()), "{location}: {words:?}");
    }
}

#[test]
fn every_environment_variable_is_read_somewhere() {
    let sources: Vec<_> = [
        "src",
        "host-tests/src",
        "host-tests/testing",
        "host-tests/tests/clients",
    ]
    .iter()
    .flat_map(|folder| texts(&root().join(folder)))
    .collect();
    let mut count = 0;
    for (location, words) in commands() {
        for word in words {
            let name = word.split('=').next().unwrap();
            let is_name = |b: u8| b.is_ascii_uppercase() || b == b'_';
            if name.starts_with("RUNNEL_") && name.bytes().all(is_name) {
                count += 1;
                let quoted = format!("\"{name}\"");
                let is_read = sources.iter().any(|text| text.contains(&quoted));
                assert!(is_read, "{location}: {name}");
            }
        }
    }
    assert!(count >= 5, "{count}");
}

#[test]
fn filters_are_found_among_the_options() {
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let command = words("--package runnel-host --test clients console -- --nocapture");
    assert_eq!(filters(&command), ["console"]);
    assert_eq!(values(&command, "--test"), ["clients"]);
    assert_eq!(
        filters(&words("# builds everything")),
        <[&str; 0]>::default()
    );
    assert_eq!(module_path(Path::new("core/log/mod.rs")), "core::log");
    let tests = tests_in("host-tests/tests/docs");
    assert!(tests.contains(&"commands::filters_are_found_among_the_options".to_owned()));
}
