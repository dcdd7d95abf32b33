//! A Spin application: its manifest and its compiled components.

mod build_command;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use thiserror::Error;
use wasmtime::component::Component;
use wasmtime::{Cache, CacheConfig, Config, Engine};
use wasmtime_wasi_http::p3::bindings::ServicePre;

pub use build_command::BuildError;

use crate::manifest::{ComponentConfig, Manifest, ManifestError};
use crate::runtime::{InstanceState, LinkError, link};

/// The treatment of the manifest's build commands by [`Application::load`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildMode {
    /// Runs each distinct build command once.
    Build,
    /// Uses the wasm files as they are.
    Skip,
}

/// A manifest and its compiled components. Any number of hosts can serve it.
pub struct Application {
    manifest: Manifest,
    /// One per component of the manifest, in its order.
    services: Vec<ServicePre<InstanceState>>,
}

/// An application that cannot be loaded.
#[derive(Debug, Error)]
pub enum LoadError {
    /// There is nothing at the path.
    #[error("cannot find {path}")]
    NotFound {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The manifest is invalid.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A component cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The engine rejects its configuration.
    #[error("cannot set up wasmtime")]
    Engine(#[source] wasmtime::Error),
    /// A component cannot be loaded.
    #[error("cannot load the component {name:?}")]
    Component {
        /// The name of the component.
        name: String,
        /// The cause.
        source: ComponentError,
    },
}

/// A component that cannot be loaded.
#[derive(Debug, Error)]
pub enum ComponentError {
    /// The build command succeeded, but did not write the wasm file.
    #[error("the wasm file {0} is missing: the build command left it somewhere else")]
    NotBuilt(PathBuf),
    /// The wasm file is missing and was not to be built.
    #[error("the wasm file {0} is missing; without --no-build it would be built")]
    Missing(PathBuf),
    /// The wasm file is not a component that wasmtime can compile.
    #[error("cannot compile {file}")]
    Compile {
        /// The wasm file.
        file: PathBuf,
        /// The cause.
        source: wasmtime::Error,
    },
    /// The component does not fit this host.
    #[error("cannot use {file}")]
    Link {
        /// The wasm file.
        file: PathBuf,
        /// The cause.
        source: LinkError,
    },
}

impl Application {
    /// Loads the application at `path`: a folder with a `spin.toml`, or the manifest itself. Without
    /// a path, loads the project that this host belongs to.
    ///
    /// # Errors
    /// If the manifest is invalid, a build fails, or a wasm file is missing or cannot be compiled.
    pub fn load(path: Option<&Path>, build_mode: BuildMode) -> Result<Arc<Self>, LoadError> {
        Self::load_with_config(path, build_mode, Config::new())
    }

    fn load_with_config(
        path: Option<&Path>,
        build_mode: BuildMode,
        config: Config,
    ) -> Result<Arc<Self>, LoadError> {
        let file = manifest_file(path)?;
        let manifest = Manifest::load(&file)?;
        let root = file.parent().unwrap_or(Path::new("."));
        if build_mode == BuildMode::Build {
            build_command::run_all(root, &manifest)?;
        }
        let engine = engine(config, root)?;
        let mut compiled: BTreeMap<&Path, ServicePre<InstanceState>> = BTreeMap::new();
        let mut services = Vec::with_capacity(manifest.component.len());
        for (name, config) in &manifest.component {
            let service =
                match compiled.get(config.source.as_path()) {
                    Some(service) => service.clone(),
                    None => compile(&engine, root.join(&config.source), build_mode).map_err(
                        |source| LoadError::Component {
                            name: name.clone(),
                            source,
                        },
                    )?,
                };
            compiled.insert(&config.source, service.clone());
            services.push(service);
        }
        Ok(Arc::new(Self { manifest, services }))
    }

    /// Builds and compiles the project that this host belongs to, once in the process.
    ///
    /// # Errors
    /// As [`Application::load`]. Every later call returns the error of the first.
    pub fn load_default() -> Result<Arc<Self>, Arc<LoadError>> {
        static LOADED: OnceLock<Result<Arc<Application>, Arc<LoadError>>> = OnceLock::new();
        LOADED
            .get_or_init(|| Self::load(None, BuildMode::Build).map_err(Arc::new))
            .clone()
    }

    /// Loads the project that this host belongs to with fuel metering, so that
    /// [`Host::instructions`](crate::Host::instructions) counts.
    ///
    /// # Errors
    /// As [`Application::load`].
    pub fn load_metered() -> Result<Arc<Self>, LoadError> {
        let mut config = Config::new();
        config.consume_fuel(true);
        Self::load_with_config(None, BuildMode::Build, config)
    }

    /// Returns the manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    pub(crate) fn components(
        &self,
    ) -> impl Iterator<Item = (&str, &ComponentConfig, &ServicePre<InstanceState>)> {
        self.manifest
            .component
            .iter()
            .zip(&self.services)
            .map(|((name, config), service)| (name.as_str(), config, service))
    }
}

fn manifest_file(path: Option<&Path>) -> Result<PathBuf, LoadError> {
    let path = path.map_or_else(default_root, Path::to_owned);
    match path.canonicalize() {
        Ok(folder) if folder.is_dir() => Ok(folder.join("spin.toml")),
        Ok(file) => Ok(file),
        Err(source) => Err(LoadError::NotFound { path, source }),
    }
}

/// Returns the workspace that this host was compiled in, or the current folder if that is gone.
fn default_root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    if root.join("spin.toml").is_file() {
        root
    } else {
        PathBuf::from(".")
    }
}

fn engine(mut config: Config, root: &Path) -> Result<Engine, LoadError> {
    config
        .wasm_component_model(true)
        .wasm_component_model_async(true);
    let mut cache = CacheConfig::new();
    cache.with_directory(root.join("target").join("compiled-components"));
    // Without a writable cache the next start is slower, nothing more.
    if let Ok(cache) = Cache::new(cache) {
        config.cache(Some(cache));
    }
    Engine::new(&config).map_err(LoadError::Engine)
}

fn compile(
    engine: &Engine,
    file: PathBuf,
    build_mode: BuildMode,
) -> Result<ServicePre<InstanceState>, ComponentError> {
    if !file.is_file() {
        return Err(match build_mode {
            BuildMode::Build => ComponentError::NotBuilt(file),
            BuildMode::Skip => ComponentError::Missing(file),
        });
    }
    let component = match Component::from_file(engine, &file) {
        Ok(component) => component,
        Err(source) => return Err(ComponentError::Compile { file, source }),
    };
    link(engine, &component).map_err(|source| ComponentError::Link { file, source })
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

    fn message(error: LoadError) -> String {
        format!("{:#}", anyhow::Error::from(error))
    }

    fn load_error(build: &str, wasm: Option<&[u8]>, build_mode: BuildMode) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("spin.toml"), manifest(build, "web.wasm")).unwrap();
        if let Some(wasm) = wasm {
            std::fs::write(folder.path().join("web.wasm"), wasm).unwrap();
        }
        match Application::load(Some(folder.path()), build_mode) {
            Ok(_) => panic!("loaded"),
            Err(error) => message(error),
        }
    }

    #[test]
    fn a_failed_build_is_reported_with_its_command() {
        let error = load_error("false", None, BuildMode::Build);
        assert!(
            error.contains("the build command `false` failed"),
            "{error}"
        );
        let error = load_error("no-such-program-here", None, BuildMode::Build);
        assert!(error.contains("no-such-program-here"), "{error}");
    }

    #[test]
    fn a_missing_wasm_file_is_named() {
        let error = load_error("false", None, BuildMode::Skip);
        assert!(
            error.contains("web.wasm is missing; without --no-build"),
            "{error}"
        );
        let error = load_error("true", None, BuildMode::Build);
        assert!(error.contains("left it somewhere else"), "{error}");
    }

    #[test]
    fn a_build_command_runs_in_the_manifests_folder_and_in_a_shell_if_it_needs_one() {
        let error = load_error("echo junk > web.wasm", None, BuildMode::Build);
        assert!(error.contains("cannot compile"), "{error}");
    }

    #[test]
    fn a_component_that_is_not_an_http_service_is_rejected() {
        let empty = b"\0asm\x0d\0\x01\0";
        let error = load_error("true", Some(empty), BuildMode::Skip);
        assert!(
            error.contains("does not export wasi:http/handler"),
            "{error}"
        );
    }

    #[test]
    fn a_path_without_a_manifest_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("nowhere")] {
            let Err(error) = Application::load(Some(&path), BuildMode::Skip) else {
                panic!("loaded");
            };
            let error = message(error);
            assert!(error.contains(&path.display().to_string()), "{error}");
        }
    }
}
