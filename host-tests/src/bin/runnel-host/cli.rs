//! The command line, and the variables set on it or in the environment.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr as _;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Parser;
use runnel_host::Manifest;
use thiserror::Error;

use crate::variable_source::VariableSource;

/// The prefix of the environment variable for a variable, as in Spin. The name follows in upper case.
const ENVIRONMENT_PREFIX: &str = "SPIN_VARIABLE_";

/// Runs Runnel without Spin, for development.
///
/// Builds the component, serves it with the routes and settings of spin.toml, and keeps its data in
/// an SQLite file. In production, Runnel runs on Spin.
#[derive(Debug, Parser)]
#[command(name = "runnel-host", version, max_term_width = 100)]
pub(crate) struct Cli {
    /// Address to listen on; port 0 selects a free port, which is printed
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3000")]
    pub(crate) listen: SocketAddr,

    /// Folder for the data and the publish token; created if missing
    #[arg(long, value_name = "FOLDER", default_value = ".runnel")]
    pub(crate) state_dir: PathBuf,

    /// Sets a variable of spin.toml; can be repeated, and the last value of a variable counts
    ///
    /// NAME=@FILE reads the value from a file; @FILE.json and @FILE.toml read several variables.
    ///
    /// The environment variable SPIN_VARIABLE_NAME does the same; this option takes precedence.
    /// Unless set either way, `publish_token` is generated once and kept in the state folder.
    #[arg(long = "variable", value_name = "NAME=VALUE|NAME=@FILE|@FILE", value_parser = VariableSource::from_str)]
    pub(crate) variables: Vec<VariableSource>,

    /// Runs another application: a folder with a spin.toml, or the file itself
    #[arg(long, value_name = "PATH")]
    pub(crate) from: Option<PathBuf>,

    /// Seconds that a client may take to send the head of a request
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) head_timeout: Duration,

    /// Seconds for which a connection is kept without a request; longer than a proxy in front keeps it
    #[arg(long, value_name = "SECONDS", default_value = "620", value_parser = idle_seconds)]
    pub(crate) idle_timeout: Duration,

    /// Open connections at most; others wait [default: as many as the limit of open files allows]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_connections: Option<u32>,

    /// Serves requests of HTTP/1.0 without a host header, which Spin does not answer
    #[arg(long)]
    pub(crate) serve_without_host: bool,

    /// Seconds for which a client may accept or acknowledge nothing of what is sent to it
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = seconds)]
    pub(crate) write_timeout: Duration,

    /// Seconds that open connections may take to end after Ctrl-C or SIGTERM
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub(crate) grace_period: Duration,

    /// Does not build; uses the wasm file as it is
    #[arg(long)]
    pub(crate) no_build: bool,
}

/// An option value that cannot be parsed.
#[derive(Debug, Error)]
enum InvalidValue {
    #[error("expected 1 to {0} seconds")]
    Seconds(u64),
}

fn seconds(text: &str) -> Result<Duration, InvalidValue> {
    seconds_up_to(3_600, text)
}

fn idle_seconds(text: &str) -> Result<Duration, InvalidValue> {
    seconds_up_to(86_400, text)
}

fn seconds_up_to(max: u64, text: &str) -> Result<Duration, InvalidValue> {
    match text.parse() {
        Ok(seconds) if (1..=max).contains(&seconds) => Ok(Duration::from_secs(seconds)),
        _ => Err(InvalidValue::Seconds(max)),
    }
}

/// Merges the values set on the command line over those set in the environment.
///
/// # Errors
/// If the command line sets a variable that the manifest lacks, or names a file that cannot be used.
pub(crate) fn merge_variables(
    manifest: &Manifest,
    command_line: &[VariableSource],
    environment: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    for name in manifest.variables.keys() {
        let key = format!("{ENVIRONMENT_PREFIX}{}", name.to_ascii_uppercase());
        if let Some(value) = environment(&key) {
            values.insert(name.clone(), value);
        }
    }
    let mut given = BTreeMap::new();
    for source in command_line {
        given.extend(source.read()?);
    }
    for (name, value) in given {
        if !manifest.variables.contains_key(&name) {
            let known: Vec<&str> = manifest.variables.keys().map(String::as_str).collect();
            bail!(
                "there is no variable {name:?} to set with --variable; there are: {}",
                known.join(", ")
            );
        }
        values.insert(name, value);
    }
    Ok(values)
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
    fn the_definition_of_the_command_line_is_valid() {
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
    fn an_invalid_variable_is_reported_with_the_forms_that_are_accepted() {
        let cli = parse(&["--variable", "a=1", "--variable", "b=@file"]).unwrap();
        assert_eq!(cli.variables.len(), 2);
        let error = parse(&["--variable", "a"]).unwrap_err().to_string();
        assert!(error.contains("expected NAME=VALUE, NAME=@FILE"), "{error}");
    }

    fn sources(texts: &[&str]) -> Vec<VariableSource> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_command_line_takes_precedence_over_the_environment() {
        let environment = |name: &str| match name {
            "SPIN_VARIABLE_RETRY_MS" => Some("2".to_owned()),
            "SPIN_VARIABLE_PUBLISH_TOKEN" => Some("from-environment".to_owned()),
            _ => None,
        };
        let command_line = sources(&["retry_ms=3", "retry_ms=4"]);
        let values = merge_variables(&manifest(), &command_line, environment).unwrap();
        assert_eq!(values["retry_ms"], "4");
        assert_eq!(values["publish_token"], "from-environment");
    }

    #[test]
    fn an_unknown_variable_is_rejected_and_the_known_ones_are_listed() {
        let command_line = sources(&["retry=3"]);
        let error = merge_variables(&manifest(), &command_line, |_| None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no variable \"retry\" to set with --variable; there are: publish_token, retry_ms"
        );
    }
}
