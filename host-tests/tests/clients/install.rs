//! Clients from npm and PyPI, installed once below the target directory.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::print_uncaptured;

/// Bounds one command.
const TIMEOUT: Duration = Duration::from_secs(100);

const PACKAGE: &str = include_str!("package.json");
const LOCK: &str = include_str!("package-lock.json");
const REQUIREMENTS: &str = include_str!("requirements.txt");

/// A client or tool that a test cannot use, and the reason.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unavailable(String);

type Installed = Result<PathBuf, Unavailable>;

/// Returns the folder with the `node_modules` of package.json. Without it, prints that the test is
/// skipped.
pub(crate) async fn node_modules(test: &str) -> Option<PathBuf> {
    static INSTALLED: OnceCell<Installed> = OnceCell::const_new();
    let install = || async {
        let version = run("node", &["--version"], None).await;
        let version = version.map_err(|_| Unavailable("node is not installed".to_owned()))?;
        let major = version.trim_start_matches('v').split('.').next();
        if major.and_then(|major| major.parse().ok()) < Some(20) {
            let reason = format!("node {} is older than 20", version.trim());
            return Err(Unavailable(reason));
        }
        install_once("npm", &[PACKAGE, LOCK], async |folder| {
            std::fs::write(folder.join("package.json"), PACKAGE).unwrap();
            std::fs::write(folder.join("package-lock.json"), LOCK).unwrap();
            let arguments = [
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--fetch-retries=1",
            ];
            let installed = run("npm", &arguments, Some(folder)).await;
            installed
                .map_err(|error| Unavailable(format!("npm cannot install the clients: {error}")))
        })
        .await
    };
    or_skipped(test, INSTALLED.get_or_init(install).await)
}

/// Returns a Python with the packages of requirements.txt. Without it, prints that the test is skipped.
pub(crate) async fn python(test: &str) -> Option<PathBuf> {
    static INSTALLED: OnceCell<Installed> = OnceCell::const_new();
    let install = || async {
        let version = run("python3", &["--version"], None).await;
        version.map_err(|_| Unavailable("python3 is not installed".to_owned()))?;
        let folder = install_once("pypi", &[REQUIREMENTS], async |folder| {
            std::fs::write(folder.join("requirements.txt"), REQUIREMENTS).unwrap();
            let made = run("python3", &["-m", "venv", "."], Some(folder)).await;
            made.map_err(|error| {
                Unavailable(format!(
                    "python3 cannot make a virtual environment: {error}"
                ))
            })?;
            let arguments = ["-m", "pip", "install", "--quiet", "--require-hashes"];
            let arguments = [&arguments[..], &["--requirement", "requirements.txt"]].concat();
            let installed = run(folder.join("bin/python"), &arguments, Some(folder)).await;
            installed
                .map_err(|error| Unavailable(format!("pip cannot install the clients: {error}")))
        });
        Ok(folder.await?.join("bin/python"))
    };
    or_skipped(test, INSTALLED.get_or_init(install).await)
}

/// Returns the version of curl. Without it, prints that the test is skipped.
pub(crate) async fn curl(test: &str) -> Option<String> {
    let version = run("curl", &["--version"], None).await;
    let found = version.map_err(|_| Unavailable("curl is not installed".to_owned()));
    let found = or_skipped(test, &found)?;
    found.split(' ').nth(1).map(str::to_owned)
}

/// Returns `true` if promtool is installed. Otherwise prints that the test is skipped.
pub(crate) async fn promtool(test: &str) -> bool {
    let version = run("promtool", &["--version"], None).await;
    let found = version.map_err(|_| Unavailable("promtool is not installed".to_owned()));
    or_skipped(test, &found).is_some()
}

/// Returns the path of Chromium. Without it, prints that the test is skipped.
pub(crate) fn chromium(test: &str) -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let file = named.unwrap_or_else(|| PathBuf::from("/usr/bin/chromium"));
    let missing = Unavailable(format!("there is no Chromium at {}", file.display()));
    or_skipped(test, &file.is_file().then_some(file).ok_or(missing))
}

/// Prints that the test is skipped if `found` is an error.
fn or_skipped<T: Clone>(test: &str, found: &Result<T, Unavailable>) -> Option<T> {
    let found = found.as_ref();
    let found = found.map_err(|reason| print_uncaptured(&format!("skipped: {reason} ({test})")));
    found.ok().cloned()
}

/// Returns the folder for this recipe, which `fill` has filled now or in an earlier run.
async fn install_once(
    name: &str,
    recipe: &[&str],
    fill: impl AsyncFnOnce(&Path) -> Result<String, Unavailable>,
) -> Installed {
    let mut hasher = DefaultHasher::new();
    recipe.hash(&mut hasher);
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    let folder = root.join(format!("{name}-{:016x}", hasher.finish()));
    if !folder.is_dir() {
        std::fs::create_dir_all(&root).unwrap();
        let unfinished = tempfile::tempdir_in(&root).unwrap();
        fill(unfinished.path()).await?;
        // The folder is complete or does not exist. Another process may have been faster.
        let renamed = std::fs::rename(unfinished.path(), &folder);
        assert!(renamed.is_ok() || folder.is_dir(), "{renamed:?}");
    }
    Ok(folder)
}

/// Runs a command. Returns its standard output, or its first error.
pub(crate) async fn run(
    program: impl AsRef<std::ffi::OsStr>,
    arguments: &[&str],
    folder: Option<&Path>,
) -> Result<String, Unavailable> {
    let mut command = Command::new(program);
    command.args(arguments).kill_on_drop(true);
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    let output = timeout(TIMEOUT, command.output()).await;
    let output =
        output.map_err(|_| Unavailable(format!("no end after {} s", TIMEOUT.as_secs())))?;
    let output = output.map_err(|error| Unavailable(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let is_error = |line: &&str| line.starts_with("ERROR") || line.starts_with("npm error");
    let error = stderr.lines().find(is_error).or(stderr.lines().last());
    Err(Unavailable(error.unwrap_or("no reason given").to_owned()))
}
