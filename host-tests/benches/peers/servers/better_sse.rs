//! better-sse on Node.js: installed once, below the target directory.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use tokio::process::Command;

use super::TEMPORARY;
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

/// The folder with the server and the packages it needs.
///
/// # Errors
/// If there is no Node.js, or npm cannot install them.
pub(super) async fn install() -> Result<PathBuf> {
    output(Command::new("node").arg("--version")).await?;
    let folder = Path::new(TEMPORARY).join("peers-better-sse");
    std::fs::create_dir_all(&folder)?;
    let mut fresh = folder.join("node_modules/better-sse").is_dir();
    for (name, text) in FILES {
        let file = folder.join(name);
        let same = std::fs::read_to_string(&file).is_ok_and(|there| there == text);
        fresh &= same || name == "server.js";
        std::fs::write(file, text)?;
    }
    if !fresh {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        output(npm.current_dir(&folder))
            .await
            .context("npm cannot install better-sse")?;
    }
    Ok(folder)
}

/// The command that starts the server.
pub(super) async fn command() -> Result<Command> {
    let mut command = Process::leashed("node");
    command.arg(install().await?.join("server.js"));
    Ok(command)
}
