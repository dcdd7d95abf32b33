//! The build commands of a manifest.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use thiserror::Error;

use crate::manifest::Manifest;

const TARGET: &str = "wasm32-wasip2";

/// A component that cannot be built.
#[derive(Debug, Error)]
pub enum BuildError {
    /// The manifest has an empty build command.
    #[error("a build command is empty")]
    Empty,
    /// A build command cannot be started.
    #[error("cannot start the build command `{command}`")]
    Start {
        /// The command.
        command: String,
        /// The cause.
        source: io::Error,
    },
    /// A build command failed.
    #[error("the build command `{command}` failed ({status}); its messages are above")]
    Failed {
        /// The command.
        command: String,
        /// Its exit status.
        status: ExitStatus,
    },
    /// There is no Rust compiler.
    #[error("cannot start rustc; is Rust installed (https://rustup.rs)?")]
    NoRustc(#[source] io::Error),
    /// The component's target is missing, and rustup failed to add it.
    #[error(
        "the Rust target {TARGET} is not installed, and `rustup target add {TARGET}` failed ({0})"
    )]
    AddTarget(ExitStatus),
    /// The component's target is missing, and there is no rustup to add it.
    #[error(
        "the Rust target {TARGET} is not installed, and rustup, which could add it, cannot be \
         started ({0}); install the target the way Rust was installed"
    )]
    NoRustup(io::Error),
}

/// Runs each distinct build command of the manifest in the folder `root`.
pub(super) fn run_all(root: &Path, manifest: &Manifest) -> Result<(), BuildError> {
    let commands: BTreeSet<&str> = manifest
        .component
        .values()
        .filter_map(|config| Some(config.build.as_ref()?.command.trim()))
        .collect();
    if commands.iter().any(|command| command.contains(TARGET)) {
        ensure_target(root)?;
    }
    commands.into_iter().try_for_each(|text| run(root, text))
}

fn run(root: &Path, text: &str) -> Result<(), BuildError> {
    let status = parse(text)?
        .current_dir(root)
        // The manifest expects the wasm file below `target`.
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_BUILD_TARGET_DIR")
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .status()
        .map_err(|source| BuildError::Start {
            command: text.to_owned(),
            source,
        })?;
    if status.success() {
        Ok(())
    } else {
        Err(BuildError::Failed {
            command: text.to_owned(),
            status,
        })
    }
}

/// Splits a command at blanks if that is all its syntax; otherwise leaves it to a shell.
fn parse(text: &str) -> Result<Command, BuildError> {
    if text.contains(['"', '\'', '\\', '&', '|', ';', '<', '>', '$', '*', '`', '(']) {
        let mut shell = Command::new("sh");
        shell.args(["-c", text]);
        return Ok(shell);
    }
    let mut words = text.split_whitespace();
    let mut command = Command::new(words.next().ok_or(BuildError::Empty)?);
    command.args(words);
    Ok(command)
}

/// Installs the component's target unless rustc has it already.
fn ensure_target(root: &Path) -> Result<(), BuildError> {
    let libraries = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(root)
        .stderr(Stdio::null())
        .output()
        .map_err(BuildError::NoRustc)?;
    let folder = String::from_utf8_lossy(&libraries.stdout);
    if libraries.status.success() && Path::new(folder.trim()).is_dir() {
        return Ok(());
    }
    let status = Command::new("rustup")
        .args(["target", "add", TARGET])
        .current_dir(root)
        .stdout(io::stderr())
        .status()
        .map_err(BuildError::NoRustup)?;
    if status.success() {
        Ok(())
    } else {
        Err(BuildError::AddTarget(status))
    }
}
