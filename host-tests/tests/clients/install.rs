//! The clients that come from npm and PyPI: installed once, below the target directory.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use crate::say;

/// How long one command may take.
const PATIENCE: Duration = Duration::from_secs(100);

const PACKAGE: &str = include_str!("package.json");
const LOCK: &str = include_str!("package-lock.json");
const REQUIREMENTS: &str = include_str!("requirements.txt");

/// A folder, or why there is none.
type Installed = Result<PathBuf, String>;

/// The folder with the `node_modules` of package.json. Without it, says that the test is skipped.
pub(crate) async fn node_modules(test: &str) -> Option<PathBuf> {
    static INSTALLED: OnceCell<Installed> = OnceCell::const_new();
    let install = || async {
        let version = run("node", &["--version"], None).await;
        let version = version.map_err(|_| "node is not installed".to_owned())?;
        let major = version.trim_start_matches('v').split('.').next();
        if major.and_then(|major| major.parse().ok()) < Some(20) {
            return Err(format!("node {} is older than 20", version.trim()));
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
            installed.map_err(|why| format!("npm could not install the clients: {why}"))
        })
        .await
    };
    or_skipped(test, INSTALLED.get_or_init(install).await)
}

/// A Python that has what requirements.txt names. Without it, says that the test is skipped.
pub(crate) async fn python(test: &str) -> Option<PathBuf> {
    static INSTALLED: OnceCell<Installed> = OnceCell::const_new();
    let install = || async {
        let version = run("python3", &["--version"], None).await;
        version.map_err(|_| "python3 is not installed".to_owned())?;
        let folder = install_once("pypi", &[REQUIREMENTS], async |folder| {
            std::fs::write(folder.join("requirements.txt"), REQUIREMENTS).unwrap();
            let made = run("python3", &["-m", "venv", "."], Some(folder)).await;
            made.map_err(|why| format!("python3 could not make a virtual environment: {why}"))?;
            let arguments = ["-m", "pip", "install", "--quiet", "--require-hashes"];
            let arguments = [&arguments[..], &["--requirement", "requirements.txt"]].concat();
            let installed = run(folder.join("bin/python"), &arguments, Some(folder)).await;
            installed.map_err(|why| format!("pip could not install the clients: {why}"))
        });
        Ok(folder.await?.join("bin/python"))
    };
    or_skipped(test, INSTALLED.get_or_init(install).await)
}

/// The version of curl. Without it, says that the test is skipped.
pub(crate) async fn curl(test: &str) -> Option<String> {
    let version = run("curl", &["--version"], None).await;
    let found = version.map_err(|_| "curl is not installed".to_owned());
    let found = or_skipped(test, &found)?;
    found.split(' ').nth(1).map(str::to_owned)
}

/// Whether there is promtool. Without it, says that the test is skipped.
pub(crate) async fn promtool(test: &str) -> bool {
    let version = run("promtool", &["--version"], None).await;
    let found = version.map_err(|_| "promtool is not installed".to_owned());
    or_skipped(test, &found).is_some()
}

/// The Chromium to run. Without it, says that the test is skipped.
pub(crate) fn chromium(test: &str) -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let file = named.unwrap_or_else(|| PathBuf::from("/usr/bin/chromium"));
    let missing = format!("there is no Chromium at {}", file.display());
    or_skipped(test, &file.is_file().then_some(file).ok_or(missing))
}

fn or_skipped<T: Clone>(test: &str, found: &Result<T, String>) -> Option<T> {
    let told = found
        .as_ref()
        .map_err(|why| say(&format!("skipped: {why} ({test})")));
    told.ok().cloned()
}

/// A folder that `fill` has filled by this recipe, now or earlier.
async fn install_once(
    name: &str,
    recipe: &[&str],
    fill: impl AsyncFnOnce(&Path) -> Result<String, String>,
) -> Installed {
    let mut hasher = DefaultHasher::new();
    recipe.hash(&mut hasher);
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients");
    let folder = root.join(format!("{name}-{:016x}", hasher.finish()));
    if !folder.is_dir() {
        std::fs::create_dir_all(&root).unwrap();
        let unfinished = tempfile::tempdir_in(&root).unwrap();
        fill(unfinished.path()).await?;
        // It is complete or not there. If another process was faster, its folder is as good.
        let renamed = std::fs::rename(unfinished.path(), &folder);
        assert!(renamed.is_ok() || folder.is_dir(), "{renamed:?}");
    }
    Ok(folder)
}

/// What a command writes, or the first error it complains of.
pub(crate) async fn run(
    program: impl AsRef<std::ffi::OsStr>,
    arguments: &[&str],
    folder: Option<&Path>,
) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(arguments).kill_on_drop(true);
    if let Some(folder) = folder {
        command.current_dir(folder);
    }
    let output = timeout(PATIENCE, command.output()).await;
    let output = output.map_err(|_| format!("no end after {} s", PATIENCE.as_secs()))?;
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaints = String::from_utf8_lossy(&output.stderr);
    let is_error = |line: &&str| line.starts_with("ERROR") || line.starts_with("npm error");
    let why = complaints
        .lines()
        .find(is_error)
        .or(complaints.lines().last());
    Err(why.unwrap_or("no reason given").to_owned())
}
