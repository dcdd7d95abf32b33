//! The machine and the versions behind the figures.

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::servers::{Peer, Server, output};

const CARGO_LOCK: &str = include_str!("../../../Cargo.lock");
const PACKAGE_LOCK: &str = include_str!("../../peers/better-sse/package-lock.json");

/// Describes processor, memory and kernel.
///
/// # Errors
/// If the system is not Linux.
pub(crate) fn describe() -> Result<String> {
    let read = |file| std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"));
    let field = |text: &str, name| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split(':').nth(1)).unwrap_or("?");
        value.trim().to_owned()
    };
    let memory = field(&read("/proc/meminfo")?, "MemTotal");
    let kilobytes: f64 = memory.trim_end_matches(" kB").parse()?;
    Ok(format!(
        "{} cores ({}), {:.0} GB of memory, Linux {}",
        std::thread::available_parallelism()?,
        field(&read("/proc/cpuinfo")?, "model name"),
        kilobytes * 1024.0 / 1e9,
        read("/proc/sys/kernel/osrelease")?.trim()
    ))
}

/// Returns the load average of the last minute.
pub(crate) fn load() -> Result<String> {
    let load = std::fs::read_to_string("/proc/loadavg")?;
    Ok(load.split(' ').next().unwrap_or_default().to_owned())
}

/// Returns the maximum number of open files of this process.
pub(crate) fn max_open_files() -> Result<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let limit = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))
        .and_then(|values| values.split_whitespace().next())
        .context("no limit of open files")?;
    Ok(limit.parse().unwrap_or(u64::MAX))
}

/// Returns the versions of a server and of its runtime.
pub(crate) async fn version(server: &Server) -> Result<String> {
    Ok(match server.peer() {
        Peer::Runnel => format!(
            "{}, SQLite on disk, {}",
            env!("CARGO_PKG_VERSION"),
            wasmtime()
        ),
        Peer::Bare => wasmtime(),
        Peer::Axum => format!("{} on {}", crate_version("axum"), rustc().await?),
        Peer::BetterSse => format!(
            "{} on Node.js {}",
            package_version("better-sse"),
            output(Command::new("node").arg("--version")).await?
        ),
        Peer::Nchan => {
            let nginx = output(Command::new("nginx").arg("-v")).await?;
            let nginx = nginx.rsplit('/').next().unwrap_or_default().to_owned();
            format!(
                "{} on nginx {nginx}, 2 workers",
                nchan_version(server).await?
            )
        }
    })
}

fn wasmtime() -> String {
    format!("embedded host on wasmtime {}", crate_version("wasmtime"))
}

async fn rustc() -> Result<String> {
    let version = output(Command::new("rustc").arg("--version")).await?;
    Ok(version.split(" (").next().unwrap_or_default().to_owned())
}

/// Returns the version of a crate in Cargo.lock.
fn crate_version(name: &str) -> &'static str {
    let start = format!("name = \"{name}\"\nversion = \"");
    let entry = CARGO_LOCK.split_once(&start).map(|(_, rest)| rest);
    entry.and_then(|rest| rest.split('"').next()).unwrap_or("?")
}

/// Returns the version of a package in package-lock.json.
fn package_version(name: &str) -> &'static str {
    let start = format!("node_modules/{name}\": {{\n      \"version\": \"");
    let entry = PACKAGE_LOCK.split_once(&start).map(|(_, rest)| rest);
    entry.and_then(|rest| rest.split('"').next()).unwrap_or("?")
}

/// Asks Nchan for its version.
async fn nchan_version(server: &Server) -> Result<String> {
    let mut socket = TcpStream::connect(server.address()).await?;
    socket
        .write_all(b"GET /version HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await?;
    let mut response = String::new();
    socket.read_to_string(&mut response).await?;
    Ok(response.lines().last().unwrap_or_default().to_owned())
}
