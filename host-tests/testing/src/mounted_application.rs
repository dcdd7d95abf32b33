//! An application with a component of its own, in which Runnel is mounted as docs/deployment.md shows.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use toml::{Table, Value};

/// The page whose first manifest is that of the application.
const PAGE: &str = include_str!("../../../docs/deployment.md");

/// The manifest that the page tells its readers to copy the rest from.
const RUNNEL_MANIFEST: &str = include_str!("../../../spin.toml");

/// The wasm file, relative to the workspace.
const WASM: &str = "target/wasm32-wasip2/component/runnel.wasm";

/// The folder of an application whose own component, `shop`, serves everything that is not below
/// [`MountedApplication::BASE`]. Runnel's wasm file plays the part of the shop too.
pub struct MountedApplication(TempDir);

impl Default for MountedApplication {
    fn default() -> Self {
        Self::new()
    }
}

impl MountedApplication {
    /// The base path in the manifest.
    pub const BASE: &str = "/realtime";

    /// Writes the application's folder. The component must have been built.
    pub fn new() -> Self {
        let workspace = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let workspace = workspace.canonicalize().unwrap();
        let folder = tempfile::tempdir().unwrap();
        for file in ["shop.wasm", "runnel.wasm"] {
            symlink(workspace.join(WASM), folder.path().join(file)).unwrap();
        }
        // So that the host finds the code that was compiled for other tests.
        symlink(workspace.join("target"), folder.path().join("target")).unwrap();
        fs::write(folder.path().join("spin.toml"), manifest().to_string()).unwrap();
        Self(folder)
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        self.0.path()
    }
}

/// Completes the manifest in the documentation as its readers are told to.
fn manifest() -> Table {
    let (_, block) = PAGE.split_once("```toml\nspin_manifest_version").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let mut manifest: Table = toml::from_str(&format!("spin_manifest_version{block}")).unwrap();
    let runnel: Table = toml::from_str(RUNNEL_MANIFEST).unwrap();
    for (name, variable) in table(&runnel["variables"]) {
        let variables = table_mut(&mut manifest["variables"]);
        variables.entry(name).or_insert(variable.clone());
    }
    let components = table_mut(&mut manifest["component"]);
    for (name, component) in table(&runnel["component"]) {
        let mut component = component.clone();
        table_mut(&mut component).remove("build");
        table_mut(&mut component).insert("source".to_owned(), "runnel.wasm".into());
        assert_eq!(components.insert(name.clone(), component), None);
    }
    let shop = [("base_path", ""), ("log_level", "warn")];
    let shop = shop.map(|(name, value)| (name.to_owned(), value.into()));
    let variables = Value::Table(shop.into_iter().collect());
    table_mut(&mut components["shop"]).insert("variables".to_owned(), variables);
    manifest
}

fn table(value: &Value) -> &Table {
    value.as_table().unwrap()
}

fn table_mut(value: &mut Value) -> &mut Table {
    value.as_table_mut().unwrap()
}
