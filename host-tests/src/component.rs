//! From `spin.toml` to compiled components: builds the wasm file, loads it, compiles it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use wasmtime::component::Component;
use wasmtime::{Cache, CacheConfig, Config, Engine};
use wasmtime_wasi_http::p3::bindings::ServicePre;

use crate::manifest::Manifest;
use crate::runtime::{State, link};

const TARGET: &str = "wasm32-wasip2";

/// Whether to run the manifest's build commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// Run them, each distinct one once.
    Run,
    /// Use the wasm files as they are.
    Skip,
}

/// A manifest and its compiled components, ready to be served by any number of hosts.
pub struct Application {
    manifest: Manifest,
    /// By the `source` of the manifest.
    services: BTreeMap<PathBuf, ServicePre<State>>,
}

impl Application {
    /// Loads the application of `from`: a folder with a `spin.toml`, or the manifest itself. Without
    /// it, the project this host belongs to.
    ///
    /// # Errors
    /// If the manifest is bad, a build fails, or a wasm file is missing or cannot be compiled.
    pub fn load(from: Option<&Path>, build: Build) -> Result<Arc<Self>> {
        Self::load_into(from, build, Config::new())
    }

    fn load_into(from: Option<&Path>, build: Build, config: Config) -> Result<Arc<Self>> {
        let file = manifest_file(from)?;
        let manifest = Manifest::load(&file)?;
        let root = file.parent().unwrap_or(Path::new("."));
        if build == Build::Run {
            run_builds(root, &manifest)?;
        }
        let engine = engine(config, root)?;
        let mut services = BTreeMap::new();
        for (name, config) in &manifest.component {
            if !services.contains_key(&config.source) {
                let service = compile(&engine, &root.join(&config.source), build)
                    .with_context(|| format!("cannot load the component {name:?}"))?;
                services.insert(config.source.clone(), service);
            }
        }
        Ok(Arc::new(Self { manifest, services }))
    }

    /// The project this host belongs to, built and compiled once in the process.
    ///
    /// # Errors
    /// As [`Application::load`]; every later call repeats the error of the first.
    pub fn load_default() -> Result<Arc<Self>> {
        static LOADED: OnceLock<Result<Arc<Application>, String>> = OnceLock::new();
        LOADED
            .get_or_init(|| Self::load(None, Build::Run).map_err(|error| format!("{error:#}")))
            .clone()
            .map_err(|error| anyhow!(error))
    }

    /// [`Application::load_default`], compiled so that [`Host::instructions`](crate::Host::instructions)
    /// counts.
    ///
    /// # Errors
    /// As [`Application::load`].
    pub fn load_counting() -> Result<Arc<Self>> {
        let mut config = Config::new();
        config.consume_fuel(true);
        Self::load_into(None, Build::Run, config)
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(crate) fn service(&self, source: &Path) -> Option<&ServicePre<State>> {
        self.services.get(source)
    }
}

fn manifest_file(from: Option<&Path>) -> Result<PathBuf> {
    let given = match from {
        Some(path) => path.to_owned(),
        None => default_root(),
    };
    let path = given
        .canonicalize()
        .with_context(|| format!("cannot find {}", given.display()))?;
    Ok(if path.is_dir() {
        path.join("spin.toml")
    } else {
        path
    })
}

/// The workspace this host was compiled in; the current folder when that one is no longer there.
fn default_root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if root.join("spin.toml").is_file() {
        root
    } else {
        PathBuf::from(".")
    }
}

fn run_builds(root: &Path, manifest: &Manifest) -> Result<()> {
    let commands: BTreeSet<&str> = manifest
        .component
        .values()
        .filter_map(|config| Some(config.build.as_ref()?.command.trim()))
        .collect();
    if commands.iter().any(|command| command.contains(TARGET)) {
        ensure_target(root)?;
    }
    for command in commands {
        let status = shell_words(command)?
            .current_dir(root)
            // The manifest names the wasm file below `target`, so that is where it has to go.
            .env_remove("CARGO_TARGET_DIR")
            .env_remove("CARGO_BUILD_TARGET_DIR")
            .stdin(Stdio::null())
            .stdout(std::io::stderr())
            .status()
            .with_context(|| format!("cannot start the build command `{command}`"))?;
        ensure!(
            status.success(),
            "the build command `{command}` failed ({status}); its messages are above"
        );
    }
    Ok(())
}

/// A command without a shell where splitting at blanks is enough, else through one.
fn shell_words(command: &str) -> Result<Command> {
    if command.contains(['"', '\'', '\\', '&', '|', ';', '<', '>', '$', '*', '`', '(']) {
        let mut shell = Command::new("sh");
        shell.args(["-c", command]);
        return Ok(shell);
    }
    let mut words = command.split_whitespace();
    let program = words.next().context("a build command is empty")?;
    let mut direct = Command::new(program);
    direct.args(words);
    Ok(direct)
}

/// Makes sure that rustc can compile to the component's target.
fn ensure_target(root: &Path) -> Result<()> {
    let libraries = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .current_dir(root)
        .stderr(Stdio::null())
        .output()
        .context("cannot start rustc; is Rust installed (https://rustup.rs)?")?;
    let folder = String::from_utf8_lossy(&libraries.stdout);
    if libraries.status.success() && Path::new(folder.trim()).is_dir() {
        return Ok(());
    }
    let added = Command::new("rustup")
        .args(["target", "add", TARGET])
        .current_dir(root)
        .stdout(std::io::stderr())
        .status();
    match added {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => bail!(
            "the Rust target {TARGET} is not installed, and `rustup target add {TARGET}` failed ({status})"
        ),
        Err(error) => bail!(
            "the Rust target {TARGET} is not installed, and rustup, which could add it, cannot be \
             started ({error}); install the target the way Rust was installed"
        ),
    }
}

fn engine(mut config: Config, root: &Path) -> Result<Engine> {
    config
        .wasm_component_model(true)
        .wasm_component_model_async(true);
    let mut cache = CacheConfig::new();
    cache.with_directory(root.join("target").join("compiled-components"));
    // A folder that cannot be written only makes the next start slower.
    if let Ok(cache) = Cache::new(cache) {
        config.cache(Some(cache));
    }
    Engine::new(&config).map_err(|error| anyhow!("cannot set up wasmtime: {error:#}"))
}

fn compile(engine: &Engine, file: &Path, build: Build) -> Result<ServicePre<State>> {
    ensure!(
        file.is_file(),
        "the wasm file {} is missing{}",
        file.display(),
        match build {
            Build::Run => ": the build command left it somewhere else",
            Build::Skip => "; without --no-build it would be built",
        }
    );
    let component = Component::from_file(engine, file)
        .map_err(|error| anyhow!("{error:#}"))
        .with_context(|| format!("cannot compile {}", file.display()))?;
    link(engine, &component).with_context(|| format!("cannot use {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(build: &str, source: &str) -> String {
        format!(
            "spin_manifest_version = 2\n\
             [[trigger.http]]\nroute = \"/...\"\ncomponent = \"web\"\n\
             [component.web]\nsource = {source:?}\n\
             [component.web.build]\ncommand = {build:?}\n"
        )
    }

    fn load(build: &str, wasm: Option<&[u8]>, run: Build) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("spin.toml"), manifest(build, "web.wasm")).unwrap();
        if let Some(wasm) = wasm {
            std::fs::write(folder.path().join("web.wasm"), wasm).unwrap();
        }
        match Application::load(Some(folder.path()), run) {
            Ok(_) => panic!("loaded"),
            Err(error) => format!("{error:#}"),
        }
    }

    #[test]
    fn a_failed_build_is_reported_with_its_command() {
        let error = load("false", None, Build::Run);
        assert!(
            error.contains("the build command `false` failed"),
            "{error}"
        );
        let error = load("no-such-program-here", None, Build::Run);
        assert!(error.contains("no-such-program-here"), "{error}");
    }

    #[test]
    fn a_missing_wasm_file_is_named() {
        let error = load("false", None, Build::Skip);
        assert!(
            error.contains("web.wasm is missing; without --no-build"),
            "{error}"
        );
        let error = load("true", None, Build::Run);
        assert!(error.contains("left it somewhere else"), "{error}");
    }

    #[test]
    fn a_build_runs_in_the_manifests_folder_and_through_a_shell_if_it_must() {
        let error = load("echo junk > web.wasm", None, Build::Run);
        assert!(error.contains("cannot compile"), "{error}");
    }

    #[test]
    fn a_component_that_is_no_http_service_is_refused() {
        let empty = b"\0asm\x0d\0\x01\0";
        let error = load("true", Some(empty), Build::Skip);
        assert!(
            error.contains("does not export wasi:http/handler"),
            "{error}"
        );
    }

    #[test]
    fn a_path_without_a_manifest_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("nowhere")] {
            let Err(error) = Application::load(Some(&path), Build::Skip) else {
                panic!("loaded");
            };
            let error = format!("{error:#}");
            assert!(error.contains(&path.display().to_string()), "{error}");
        }
    }
}
