//! better-sse on Node.js, installed once below the target directory.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tokio::process::Command;

use super::TEMPORARY_FOLDER;
use super::process::{Process, output};

const FILES: [(&str, &str); 3] = [
    (
        "package.json",
        include_str!("../../../peers/better-sse/package.json"),
    ),
    (
        "package-lock.json",
        include_str!("../../../peers/better-sse/package-lock.json"),
    ),
    (
        "server.js",
        include_str!("../../../peers/better-sse/server.js"),
    ),
];

/// Installs the server and its packages, and returns their folder.
///
/// # Errors
/// If there is no Node.js, or npm cannot install the packages.
pub(super) async fn install() -> Result<PathBuf> {
    output(Command::new("node").arg("--version")).await?;
    let folder = Path::new(TEMPORARY_FOLDER).join("peers-better-sse");
    std::fs::create_dir_all(&folder)?;
    let mut is_up_to_date = folder.join("node_modules/better-sse").is_dir();
    for (name, text) in FILES {
        let file = folder.join(name);
        let is_unchanged = std::fs::read_to_string(&file).is_ok_and(|current| current == text);
        is_up_to_date &= is_unchanged || name == "server.js";
        std::fs::write(file, text)?;
    }
    if !is_up_to_date {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        output(npm.current_dir(&folder))
            .await
            .context("npm cannot install better-sse")?;
    }
    Ok(folder)
}

/// Returns the command that starts the server.
pub(super) async fn command() -> Result<Command> {
    let mut command = Process::command("node");
    command.arg(install().await?.join("server.js"));
    Ok(command)
}
