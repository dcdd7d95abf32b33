//! The properties of `runnel_properties` hold for the committed fuzzing corpus and for fixed mutations of it.
//! See `properties/src/lib.rs` for fuzzing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod mutation;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use mutation::Mutations;
use runnel_properties::TARGETS;

/// The number of mutated inputs for each target, over all files of its corpus together.
const MUTATIONS: usize = 1_000;

#[test]
fn any_stored_head_is_decoded_or_rejected() {
    assert_holds("head");
}

#[test]
fn any_stored_segment_is_decoded_or_rejected() {
    assert_holds("segment");
}

#[test]
fn any_last_event_id_is_parsed_or_rejected() {
    assert_holds("cursor");
}

#[test]
fn any_batch_is_published_unchanged_or_rejected() {
    assert_holds("ndjson");
}

#[test]
fn any_request_is_parsed_or_rejected() {
    assert_holds("request");
}

#[test]
fn any_event_is_received_as_it_was_sent() {
    assert_holds("frame");
}

#[test]
fn any_sequence_of_commits_keeps_the_acknowledged_events() {
    assert_holds("append");
}

#[test]
fn every_target_has_a_test_a_fuzz_program_and_a_corpus() {
    let here = include_str!("main.rs");
    for (target, _) in TARGETS {
        assert!(
            here.contains(&format!("assert_holds(\"{target}\");")),
            "{target}"
        );
        let program = folder()
            .join("fuzz_targets")
            .join(target)
            .with_extension("rs");
        assert!(program.is_file(), "{target}");
        assert!(!corpus(target).is_empty(), "{target}");
    }
}

/// Runs a target with its corpus and with mutations of it.
fn assert_holds(target: &str) {
    let corpus = corpus(target);
    let others: Vec<_> = corpus.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    for (file, bytes) in &corpus {
        run(target, bytes, file);
    }
    for number in 0..MUTATIONS {
        let (file, bytes) = &corpus[number % corpus.len()];
        let mutated = Mutations::new(number as u64, &others).of(bytes);
        run(target, &mutated, &format!("mutation {number}, of {file}"));
    }
}

fn run(target: &str, input: &[u8], name: &str) {
    let (_, property) = TARGETS
        .into_iter()
        .find(|(other, _)| *other == target)
        .unwrap();
    let result = catch_unwind(AssertUnwindSafe(|| property(input)));
    assert!(
        result.is_ok(),
        "the property of {target} does not hold for {name}: b\"{}\"",
        input.escape_ascii()
    );
}

/// Returns the committed files of a target's corpus, with their names. Files that a fuzzing run has left
/// have longer names.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    const SHA_1_DIGITS: usize = 40;
    let files = fs::read_dir(folder().join("corpus").join(target)).unwrap();
    let files = files.map(|file| file.unwrap());
    let mut files: Vec<_> = files
        .map(|file| (file.file_name().into_string().unwrap(), file.path()))
        .filter(|(name, _)| name.len() < SHA_1_DIGITS)
        .map(|(name, path)| (name, fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}
