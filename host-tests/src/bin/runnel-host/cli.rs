//! The command line, and the variables that come from it and from the environment.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser;
use runnel_host::Manifest;

/// What Spin, too, puts before the upper-case name of a variable.
const ENVIRONMENT_PREFIX: &str = "SPIN_VARIABLE_";

/// Runs Runnel without Spin, for development.
///
/// Builds the component, serves it with the routes and settings of spin.toml, and keeps its data in
/// an SQLite file. In production, Runnel runs on Spin.
#[derive(Debug, Parser)]
#[command(name = "runnel-host", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Where to listen; with port 0, on a free port that is printed
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3000")]
    pub(crate) listen: SocketAddr,

    /// The folder for the data and the publish token, made if it is not there
    #[arg(long, value_name = "FOLDER", default_value = ".runnel")]
    pub(crate) state_dir: PathBuf,

    /// Sets a variable of spin.toml; can be repeated
    ///
    /// The environment variable SPIN_VARIABLE_NAME does the same and yields to this option.
    /// `publish_token`, when given neither way, is made at random once and kept in the state folder.
    #[arg(long = "variable", value_name = "NAME=VALUE", value_parser = assignment)]
    pub(crate) variables: Vec<(String, String)>,

    /// Another application: a folder with a spin.toml, or the file itself
    #[arg(long, value_name = "PATH")]
    pub(crate) from: Option<PathBuf>,

    /// Seconds that a client may take for the head of a request
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) head_timeout: Duration,

    /// Seconds that a client may take or acknowledge nothing of what is sent to it
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = seconds)]
    pub(crate) write_timeout: Duration,

    /// Do not build: use the wasm file as it is
    #[arg(long)]
    pub(crate) no_build: bool,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(seconds @ 1..=3_600) => Ok(Duration::from_secs(seconds)),
        _ => Err("expected 1 to 3600 seconds".to_owned()),
    }
}

/// The values given for the variables of `manifest`, on the command line or in the environment.
///
/// # Errors
/// If the command line names a variable that the manifest does not have.
pub(crate) fn given_variables(
    manifest: &Manifest,
    command_line: &[(String, String)],
    environment: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>> {
    let mut given = BTreeMap::new();
    for name in manifest.variables.keys() {
        let key = format!("{ENVIRONMENT_PREFIX}{}", name.to_ascii_uppercase());
        if let Some(value) = environment(&key) {
            given.insert(name.clone(), value);
        }
    }
    for (name, value) in command_line {
        if !manifest.variables.contains_key(name) {
            let known: Vec<&str> = manifest.variables.keys().map(String::as_str).collect();
            bail!(
                "there is no variable {name:?} to set with --variable; there are: {}",
                known.join(", ")
            );
        }
        given.insert(name.clone(), value.clone());
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from([&["runnel-host"], arguments].concat())
    }

    fn manifest() -> Manifest {
        Manifest::parse(
            "spin_manifest_version = 2\n\
             [variables]\nretry_ms = { default = \"1\" }\npublish_token = { required = true }\n\
             [[trigger.http]]\nroute = \"/\"\ncomponent = \"web\"\n\
             [component.web]\nsource = \"web.wasm\"\n",
        )
        .unwrap()
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_defaults_serve_on_port_3000_of_this_machine() {
        let cli = parse(&[]).unwrap();
        assert_eq!(cli.listen.to_string(), "127.0.0.1:3000");
        assert_eq!(cli.state_dir, PathBuf::from(".runnel"));
        assert!(!cli.no_build && cli.from.is_none() && cli.variables.is_empty());
    }

    #[test]
    fn a_variable_is_a_name_and_any_value() {
        let cli = parse(&[
            "--variable",
            "a=1",
            "--variable",
            "b=x=y",
            "--variable",
            "c=",
        ])
        .unwrap();
        let expected = [("a", "1"), ("b", "x=y"), ("c", "")];
        assert_eq!(
            cli.variables,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        for bad in ["a", "=1"] {
            let error = parse(&["--variable", bad]).unwrap_err().to_string();
            assert!(error.contains("expected NAME=VALUE"), "{error}");
        }
    }

    #[test]
    fn the_command_line_wins_over_the_environment() {
        let environment = |name: &str| match name {
            "SPIN_VARIABLE_RETRY_MS" => Some("2".to_owned()),
            "SPIN_VARIABLE_PUBLISH_TOKEN" => Some("from-environment".to_owned()),
            _ => None,
        };
        let command_line = [("retry_ms".to_owned(), "3".to_owned())];
        let given = given_variables(&manifest(), &command_line, environment).unwrap();
        assert_eq!(given["retry_ms"], "3");
        assert_eq!(given["publish_token"], "from-environment");
    }

    #[test]
    fn an_unknown_variable_is_refused_with_the_known_ones() {
        let command_line = [("retry".to_owned(), "3".to_owned())];
        let error = given_variables(&manifest(), &command_line, |_| None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no variable \"retry\" to set with --variable; there are: publish_token, retry_ms"
        );
    }
}
