//! The Spin manifest, `spin.toml`, as far as the embedded host uses it.

mod error;
mod template;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use error::{InvalidManifest, InvalidVariableName, ManifestError};
pub use template::{MissingValue, Template, UnclosedReference};

use crate::route_table::{RouteTable, UnsupportedRoute};

/// A Spin manifest of version 2. Keys that only concern other hosts are ignored.
#[derive(Debug, Clone, Deserialize)]
pub struct Manifest {
    spin_manifest_version: u32,
    /// The description of the application.
    #[serde(default)]
    pub application: ApplicationConfig,
    /// The application's variables by name.
    #[serde(default)]
    pub variables: BTreeMap<String, Variable>,
    #[serde(default)]
    trigger: Triggers,
    /// The components by name.
    #[serde(default)]
    pub component: BTreeMap<String, ComponentConfig>,
}

/// `[application]`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct ApplicationConfig {
    /// The name of the application.
    #[serde(default)]
    pub name: String,
    /// Its version.
    pub version: Option<String>,
}

/// One entry of `[variables]`. Exactly one of `default` and `required` is set.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Variable {
    /// The value that is used when no other is given.
    pub default: Option<String>,
    /// True if a value must be given.
    #[serde(default)]
    pub required: bool,
    /// True if the value must not be shown.
    #[serde(default)]
    pub secret: bool,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Triggers {
    #[serde(default)]
    http: Vec<HttpTrigger>,
}

#[derive(Debug, Clone, Deserialize)]
struct HttpTrigger {
    route: String,
    component: String,
}

/// One `[component.NAME]`.
#[derive(Debug, Clone, Deserialize)]
pub struct ComponentConfig {
    /// The wasm file, relative to the manifest's folder.
    pub source: PathBuf,
    /// The labels of the stores that the component may open.
    #[serde(default)]
    pub key_value_stores: BTreeSet<String>,
    /// The component's variables: templates over those of the application.
    #[serde(default)]
    pub variables: BTreeMap<String, Template>,
    /// The build command, if the component has one.
    pub build: Option<BuildConfig>,
}

/// One `[component.NAME.build]`.
#[derive(Debug, Clone, Deserialize)]
pub struct BuildConfig {
    /// The command, run in the manifest's folder.
    pub command: String,
}

impl Manifest {
    /// Reads and validates the manifest at `path`.
    ///
    /// # Errors
    /// If the file cannot be read, is not a manifest of version 2, or uses a feature that this host
    /// lacks.
    pub fn load(path: &Path) -> Result<Self, ManifestError> {
        let text = std::fs::read_to_string(path).map_err(|source| ManifestError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(&text).map_err(|source| ManifestError::Invalid {
            path: path.to_owned(),
            source,
        })
    }

    /// Parses and validates the text of a manifest.
    ///
    /// # Errors
    /// If the text is not a manifest of version 2, or uses a feature that this host lacks.
    pub fn parse(text: &str) -> Result<Self, InvalidManifest> {
        let manifest: Self = toml::from_str(text)?;
        manifest.validate()?;
        Ok(manifest)
    }

    fn validate(&self) -> Result<(), InvalidManifest> {
        if self.spin_manifest_version != 2 {
            return Err(InvalidManifest::UnsupportedVersion(
                self.spin_manifest_version,
            ));
        }
        self.validate_variables()?;
        self.validate_triggers()?;
        self.validate_components()
    }

    fn validate_variables(&self) -> Result<(), InvalidManifest> {
        for (name, variable) in &self.variables {
            validate_variable_name(name).map_err(|source| InvalidManifest::VariableName {
                key: format!("variables.{name}"),
                source,
            })?;
            if variable.required == variable.default.is_some() {
                return Err(InvalidManifest::DefaultOrRequired(name.clone()));
            }
        }
        Ok(())
    }

    fn validate_triggers(&self) -> Result<(), InvalidManifest> {
        if self.trigger.http.is_empty() {
            return Err(InvalidManifest::NoTrigger);
        }
        for HttpTrigger { route, component } in &self.trigger.http {
            if !self.component.contains_key(component) {
                return Err(InvalidManifest::UnknownComponent {
                    route: route.clone(),
                    component: component.clone(),
                });
            }
        }
        self.route_table()?;
        Ok(())
    }

    fn validate_components(&self) -> Result<(), InvalidManifest> {
        for (component, config) in &self.component {
            for (name, template) in &config.variables {
                let key = || format!("component.{component}.variables.{name}");
                validate_variable_name(name)
                    .map_err(|source| InvalidManifest::VariableName { key: key(), source })?;
                for variable in template.variables() {
                    if !self.variables.contains_key(variable) {
                        return Err(InvalidManifest::UnknownVariable {
                            key: key(),
                            variable: variable.to_owned(),
                        });
                    }
                }
            }
        }
        Ok(())
    }

    pub(crate) fn route_table(&self) -> Result<RouteTable, UnsupportedRoute> {
        RouteTable::new(
            self.trigger
                .http
                .iter()
                .map(|trigger| (trigger.route.as_str(), trigger.component.as_str())),
        )
    }

    /// Returns the names of the variables that have neither a default nor an entry in `values`.
    pub fn missing_variables<'a>(&'a self, values: &BTreeMap<String, String>) -> Vec<&'a str> {
        self.variables
            .iter()
            .filter(|(name, variable)| variable.default.is_none() && !values.contains_key(*name))
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// Renders the variables of a component, with `values` over the defaults of the application's
    /// variables.
    ///
    /// # Errors
    /// If a variable that the component uses has no value.
    pub fn render_variables(
        &self,
        config: &ComponentConfig,
        values: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, MissingValue> {
        let values: BTreeMap<&str, &str> = self
            .variables
            .iter()
            .filter_map(|(name, variable)| {
                let value = values.get(name).or(variable.default.as_ref())?;
                Some((name.as_str(), value.as_str()))
            })
            .collect();
        config
            .variables
            .iter()
            .map(|(name, template)| Ok((name.clone(), template.render(&values)?)))
            .collect()
    }
}

/// Rejects names that Spin does not accept for a variable.
pub(crate) fn validate_variable_name(name: &str) -> Result<(), InvalidVariableName> {
    let is_valid = name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('_')
        && !name.contains("__")
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if is_valid {
        Ok(())
    } else {
        Err(InvalidVariableName(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"
        spin_manifest_version = 2
        [application]
        name = "small"
        [variables]
        token = { required = true, secret = true }
        greeting = { default = "hi" }
        [[trigger.http]]
        route = "/..."
        component = "web"
        [component.web]
        source = "web.wasm"
        key_value_stores = ["default"]
        allowed_outbound_hosts = []
        [component.web.variables]
        both = "<{{ token }}|{{greeting}}>"
        [component.web.build]
        command = "cargo build"
    "#;

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn parse_error(text: &str) -> String {
        format!(
            "{:#}",
            anyhow::Error::from(Manifest::parse(text).unwrap_err())
        )
    }

    fn render(
        manifest: &Manifest,
        values: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, MissingValue> {
        manifest.render_variables(&manifest.component["web"], values)
    }

    #[test]
    fn keys_that_only_concern_other_hosts_are_ignored() {
        let manifest = Manifest::parse(SMALL).unwrap();
        let web = &manifest.component["web"];
        assert_eq!(web.source, PathBuf::from("web.wasm"));
        assert!(web.key_value_stores.contains("default"));
        assert_eq!(web.build.as_ref().unwrap().command, "cargo build");
        assert!(manifest.variables["token"].secret);
    }

    #[test]
    fn the_projects_own_manifest_is_accepted() {
        Manifest::parse(include_str!("../../../spin.toml")).unwrap();
    }

    #[test]
    fn templates_are_rendered_from_given_values_and_defaults() {
        let manifest = Manifest::parse(SMALL).unwrap();
        let rendered = render(&manifest, &values(&[("token", "t0p")])).unwrap();
        assert_eq!(rendered["both"], "<t0p|hi>");
        let rendered = render(&manifest, &values(&[("token", "a"), ("greeting", "b")])).unwrap();
        assert_eq!(rendered["both"], "<a|b>");
    }

    #[test]
    fn required_variables_without_a_value_are_named() {
        let manifest = Manifest::parse(SMALL).unwrap();
        assert_eq!(manifest.missing_variables(&values(&[])), ["token"]);
        assert!(
            manifest
                .missing_variables(&values(&[("token", "")]))
                .is_empty()
        );
        let error = render(&manifest, &values(&[])).unwrap_err();
        assert_eq!(error.to_string(), "the variable \"token\" has no value");
    }

    #[test]
    fn a_parse_error_names_the_key() {
        assert!(parse_error(&SMALL.replace("= 2", "= 1")).contains("spin_manifest_version"));
        assert!(
            parse_error(&SMALL.replace("component = \"web\"", "component = \"other\""))
                .contains("names the component \"other\", which is not declared")
        );
        assert!(
            parse_error(&SMALL.replace("{{greeting}}", "{{ nothing }}"))
                .contains("component.web.variables.both: there is no variable \"nothing\"")
        );
        assert!(
            parse_error(&SMALL.replace("{{greeting}}", "{{greeting")).contains("is not closed")
        );
        assert!(
            parse_error(&SMALL.replace("{ default = \"hi\" }", "{ secret = true }"))
                .contains("variables.greeting")
        );
        assert!(parse_error(&SMALL.replace("source =", "sauce =")).contains("source"));
        assert!(parse_error(&SMALL.replace("greeting = {", "Greeting = {")).contains("Greeting"));
    }
}
