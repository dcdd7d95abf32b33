//! The source files of the repository.

use std::fs;
use std::path::{Path, PathBuf};

/// Returns the Rust files below `folder`.
pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut folders = vec![folder.to_owned()];
    let mut files = vec![];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// Returns the text of every Rust file below `folder`.
pub(crate) fn texts(folder: &Path) -> Vec<String> {
    let files = rust_files(folder).into_iter();
    files
        .map(|file| fs::read_to_string(file).unwrap())
        .collect()
}
