//! The properties of `runnel_properties`, over what fuzzing has found to matter and over inputs near that: the
//! same in every run. To look further, see `fuzz/properties/src/lib.rs`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod mutation;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use mutation::Mutations;
use runnel_properties::TARGETS;

/// So many mutated inputs a target are tried, over all files of its corpus together.
const MUTATIONS: usize = 1_000;

#[test]
fn any_stored_head_is_read_or_refused() {
    holds("head");
}

#[test]
fn any_stored_segment_is_read_or_refused() {
    holds("segment");
}

#[test]
fn any_last_event_id_is_read_back_or_refused() {
    holds("cursor");
}

#[test]
fn any_batch_is_published_as_it_is_or_refused() {
    holds("ndjson");
}

#[test]
fn any_request_is_read_or_refused() {
    holds("request");
}

#[test]
fn any_event_arrives_as_it_was_sent() {
    holds("frame");
}

#[test]
fn any_sequence_of_commits_leaves_what_was_acknowledged() {
    holds("append");
}

#[test]
fn every_target_is_tested_fuzzed_and_has_a_corpus() {
    let here = include_str!("main.rs");
    for (target, _) in TARGETS {
        assert!(here.contains(&format!("holds(\"{target}\");")), "{target}");
        let program = folder()
            .join("fuzz_targets")
            .join(target)
            .with_extension("rs");
        assert!(program.is_file(), "{target}");
        assert!(!corpus(target).is_empty(), "{target}");
    }
}

/// Runs a target over its corpus and over mutations of it.
fn holds(target: &str) {
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

fn run(target: &str, input: &[u8], named: &str) {
    let (_, law) = TARGETS
        .into_iter()
        .find(|(name, _)| *name == target)
        .unwrap();
    let result = catch_unwind(AssertUnwindSafe(|| law(input)));
    assert!(
        result.is_ok(),
        "{target} breaks its law on {named}: b\"{}\"",
        input.escape_ascii()
    );
}

/// The committed files of a target's corpus, by name; those that a run left here have longer names.
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
