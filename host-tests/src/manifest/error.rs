//! The reasons for which a manifest is rejected.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::route_table::UnsupportedRoute;

/// A manifest that cannot be loaded.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// The file cannot be read.
    #[error("cannot read the manifest {path}")]
    Read {
        /// The manifest.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not a manifest that this host can serve.
    #[error("in the manifest {path}")]
    Invalid {
        /// The manifest.
        path: PathBuf,
        /// The cause.
        source: InvalidManifest,
    },
}

/// The text of a manifest that this host cannot serve. Each message names the key at fault.
#[derive(Debug, Error)]
pub enum InvalidManifest {
    /// The text is not TOML, or lacks a key, or has one of another type.
    #[error(transparent)]
    Syntax(#[from] toml::de::Error),
    /// The manifest is of another version than 2.
    #[error("spin_manifest_version: this host reads version 2, not {0}")]
    UnsupportedVersion(u32),
    /// A variable has a name that Spin rejects.
    #[error("{key}")]
    VariableName {
        /// The key of the variable.
        key: String,
        /// The cause.
        source: InvalidVariableName,
    },
    /// A variable has both a default and `required = true`, or neither.
    #[error("variables.{0}: give either `default` or `required = true`")]
    DefaultOrRequired(String),
    /// There is no HTTP trigger.
    #[error("trigger.http: there is no trigger, so nothing could be served")]
    NoTrigger,
    /// A route names a component that the manifest lacks.
    #[error(
        "trigger.http: the route {route:?} names the component {component:?}, which is not declared"
    )]
    UnknownComponent {
        /// The pattern of the route.
        route: String,
        /// The component.
        component: String,
    },
    /// A route has a form that this host does not support.
    #[error(transparent)]
    Route(#[from] UnsupportedRoute),
    /// A component's variable refers to a variable that the application lacks.
    #[error("{key}: there is no variable {variable:?}")]
    UnknownVariable {
        /// The key of the component's variable.
        key: String,
        /// The variable that it refers to.
        variable: String,
    },
}

/// A name that Spin accepts for no variable.
#[derive(Debug, Error)]
#[error(
    "{0:?} is not a variable name: a name has lower-case letters, digits and single underscores \
     between them, and begins with a letter"
)]
pub struct InvalidVariableName(pub(super) String);
