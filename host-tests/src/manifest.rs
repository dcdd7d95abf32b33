//! `spin.toml`: what the embedded host needs of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::route::Routes;

/// A Spin manifest of version 2. Keys that only concern other hosts are ignored.
#[derive(Debug, Clone, Deserialize)]
pub struct Manifest {
    spin_manifest_version: u32,
    /// The application's variables by name.
    #[serde(default)]
    pub variables: BTreeMap<String, Variable>,
    #[serde(default)]
    trigger: Triggers,
    /// The components by name.
    #[serde(default)]
    pub component: BTreeMap<String, ComponentConfig>,
}

/// One entry of `[variables]`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Variable {
    /// The value when none is given.
    pub default: Option<String>,
    /// Whether a value must be given. Exactly one of `default` and `required` is set.
    #[serde(default)]
    pub required: bool,
    /// Whether the value must not be shown.
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
    /// The labels of the stores it may open.
    #[serde(default)]
    pub key_value_stores: BTreeSet<String>,
    /// Its variables: templates over the application's, as in `"{{ name }}"`.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// How to build it.
    pub build: Option<BuildConfig>,
}

/// One `[component.NAME.build]`.
#[derive(Debug, Clone, Deserialize)]
pub struct BuildConfig {
    /// The command, run in the manifest's folder.
    pub command: String,
}

impl Manifest {
    /// Reads and checks the manifest at `path`.
    ///
    /// # Errors
    /// If the file cannot be read, is no manifest of version 2, or uses what this host lacks. The
    /// message names the file and the key.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the manifest {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("in the manifest {}", path.display()))
    }

    /// Parses and checks the text of a manifest.
    ///
    /// # Errors
    /// As [`Manifest::load`].
    pub fn parse(text: &str) -> Result<Self> {
        let manifest: Self = toml::from_str(text)?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<()> {
        ensure!(
            self.spin_manifest_version == 2,
            "spin_manifest_version: this host reads version 2, not {}",
            self.spin_manifest_version
        );
        for (name, variable) in &self.variables {
            check_name(name).with_context(|| format!("variables.{name}"))?;
            ensure!(
                variable.required != variable.default.is_some(),
                "variables.{name}: give either `default` or `required = true`"
            );
        }
        ensure!(
            !self.trigger.http.is_empty(),
            "trigger.http: there is none, so nothing could be served"
        );
        for trigger in &self.trigger.http {
            ensure!(
                self.component.contains_key(&trigger.component),
                "trigger.http: the route {:?} names the component {:?}, which is not declared",
                trigger.route,
                trigger.component
            );
        }
        self.routes()?;
        for (component, config) in &self.component {
            for (name, template) in &config.variables {
                let key = || format!("component.{component}.variables.{name}");
                check_name(name).with_context(key)?;
                for part in template_parts(template).with_context(key)? {
                    if let Part::Variable(used) = part {
                        ensure!(
                            self.variables.contains_key(used),
                            "{}: there is no variable {used:?}",
                            key()
                        );
                    }
                }
            }
        }
        Ok(())
    }

    /// The route table.
    pub(crate) fn routes(&self) -> Result<Routes> {
        Routes::new(
            self.trigger
                .http
                .iter()
                .map(|trigger| (trigger.route.as_str(), trigger.component.as_str())),
        )
    }

    /// The variables that have neither a default nor a value in `given`.
    pub fn missing_variables<'a>(&'a self, given: &BTreeMap<String, String>) -> Vec<&'a str> {
        self.variables
            .iter()
            .filter(|(name, variable)| variable.default.is_none() && !given.contains_key(*name))
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// What `component` sees of the variables, once those `given` are set.
    ///
    /// # Errors
    /// If a variable it uses has no value.
    pub fn component_variables(
        &self,
        component: &str,
        given: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>> {
        let config = self
            .component
            .get(component)
            .with_context(|| format!("there is no component {component:?}"))?;
        let mut rendered = BTreeMap::new();
        for (name, template) in &config.variables {
            let mut value = String::new();
            for part in template_parts(template)? {
                match part {
                    Part::Literal(text) => value.push_str(text),
                    Part::Variable(used) => value.push_str(
                        given
                            .get(used)
                            .or(self.variables.get(used).and_then(|v| v.default.as_ref()))
                            .with_context(|| format!("the variable {used:?} has no value"))?,
                    ),
                }
            }
            rendered.insert(name.clone(), value);
        }
        Ok(rendered)
    }
}

/// Whether `name` is one Spin accepts: lower-case letters, digits and single underscores between
/// them, a letter first.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let well_formed = name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('_')
        && !name.contains("__")
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    ensure!(
        well_formed,
        "{name:?} is no variable name: lower-case letters, digits and single underscores, a letter first"
    );
    Ok(())
}

#[derive(Debug, PartialEq)]
enum Part<'a> {
    Literal(&'a str),
    Variable(&'a str),
}

fn template_parts(template: &str) -> Result<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some((literal, opened)) = rest.split_once("{{") {
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        let Some((name, after)) = opened.split_once("}}") else {
            bail!("in the template {template:?} a `{{{{` is not closed");
        };
        parts.push(Part::Variable(name.trim()));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Literal(rest));
    }
    Ok(parts)
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

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn refusal(text: &str) -> String {
        format!("{:#}", Manifest::parse(text).unwrap_err())
    }

    #[test]
    fn reads_what_the_host_needs_and_ignores_the_rest() {
        let manifest = Manifest::parse(SMALL).unwrap();
        let web = &manifest.component["web"];
        assert_eq!(web.source, PathBuf::from("web.wasm"));
        assert!(web.key_value_stores.contains("default"));
        assert_eq!(web.build.as_ref().unwrap().command, "cargo build");
        assert!(manifest.variables["token"].secret);
    }

    #[test]
    fn the_projects_own_manifest_is_accepted() {
        Manifest::parse(include_str!("../../spin.toml")).unwrap();
    }

    #[test]
    fn renders_templates_from_given_values_and_defaults() {
        let manifest = Manifest::parse(SMALL).unwrap();
        let seen = manifest
            .component_variables("web", &given(&[("token", "t0p")]))
            .unwrap();
        assert_eq!(seen["both"], "<t0p|hi>");
        let seen = manifest
            .component_variables("web", &given(&[("token", "a"), ("greeting", "b")]))
            .unwrap();
        assert_eq!(seen["both"], "<a|b>");
    }

    #[test]
    fn names_the_required_variables_without_a_value() {
        let manifest = Manifest::parse(SMALL).unwrap();
        assert_eq!(manifest.missing_variables(&given(&[])), ["token"]);
        assert!(
            manifest
                .missing_variables(&given(&[("token", "")]))
                .is_empty()
        );
        let error = manifest
            .component_variables("web", &given(&[]))
            .unwrap_err();
        assert_eq!(error.to_string(), "the variable \"token\" has no value");
    }

    #[test]
    fn a_refusal_names_the_key() {
        assert!(refusal(&SMALL.replace("= 2", "= 1")).contains("spin_manifest_version"));
        assert!(
            refusal(&SMALL.replace("component = \"web\"", "component = \"other\""))
                .contains("names the component \"other\", which is not declared")
        );
        assert!(
            refusal(&SMALL.replace("{{greeting}}", "{{ nothing }}"))
                .contains("component.web.variables.both: there is no variable \"nothing\"")
        );
        assert!(refusal(&SMALL.replace("{{greeting}}", "{{greeting")).contains("is not closed"));
        assert!(
            refusal(&SMALL.replace("{ default = \"hi\" }", "{ secret = true }"))
                .contains("variables.greeting")
        );
        assert!(refusal(&SMALL.replace("source =", "sauce =")).contains("source"));
        assert!(refusal(&SMALL.replace("greeting = {", "Greeting = {")).contains("Greeting"));
    }
}
