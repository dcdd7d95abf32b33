//! The publish token: the one that was given, or one made at random and kept beside the data.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use rand::RngExt as _;
use runnel_host::Manifest;

const VARIABLE: &str = "publish_token";
const FILE: &str = "publish_token";
const LENGTH: usize = 43;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The publish token of this run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// Given by whoever started the server, who knows it; it is not printed.
    Given,
    /// Made here.
    Made(String),
}

impl Token {
    /// Finds the token, or makes and keeps one and adds it to `variables`. Without a variable of
    /// that name in the manifest there is none.
    ///
    /// # Errors
    /// If the file that keeps it cannot be read or written, or is empty. The message names it.
    pub(crate) fn settle(
        manifest: &Manifest,
        variables: &mut BTreeMap<String, String>,
        state_dir: &Path,
    ) -> Result<Option<Self>> {
        let Some(variable) = manifest.variables.get(VARIABLE) else {
            return Ok(None);
        };
        if variables.contains_key(VARIABLE) || variable.default.is_some() {
            return Ok(Some(Self::Given));
        }
        let token = kept(state_dir)?;
        variables.insert(VARIABLE.to_owned(), token.clone());
        Ok(Some(Self::Made(token)))
    }

    /// For the operator to read.
    pub(crate) fn shown(&self) -> &str {
        match self {
            Self::Given => "(as given)",
            Self::Made(token) => token,
        }
    }

    /// For a command line to copy.
    pub(crate) fn in_a_command(&self) -> &str {
        match self {
            Self::Given => "YOUR_TOKEN",
            Self::Made(token) => token,
        }
    }
}

/// The token in the file, which is made if it is not there: readable by its owner alone.
fn kept(state_dir: &Path) -> Result<String> {
    let file = state_dir.join(FILE);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(&file) {
        Ok(mut created) => {
            let token = random();
            writeln!(created, "{token}")
                .with_context(|| format!("cannot write the token to {}", file.display()))?;
            Ok(token)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let text = fs::read_to_string(&file)
                .with_context(|| format!("cannot read the token in {}", file.display()))?;
            let token = text.trim();
            ensure!(
                !token.is_empty(),
                "the token file {} is empty; remove it to have a new one made",
                file.display()
            );
            Ok(token.to_owned())
        }
        Err(error) => {
            Err(error).with_context(|| format!("cannot make the token file {}", file.display()))
        }
    }
}

fn random() -> String {
    let mut random = rand::rng();
    (0..LENGTH)
        .map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(variables: &str) -> Manifest {
        Manifest::parse(&format!(
            "spin_manifest_version = 2\n{variables}\n\
             [[trigger.http]]\nroute = \"/\"\ncomponent = \"web\"\n\
             [component.web]\nsource = \"web.wasm\"\n"
        ))
        .unwrap()
    }

    const REQUIRED: &str = "[variables]\npublish_token = { required = true }";

    #[test]
    fn a_token_is_made_once_and_reused() {
        let folder = tempfile::tempdir().unwrap();
        let settle = || {
            let mut variables = BTreeMap::new();
            let token = Token::settle(&manifest(REQUIRED), &mut variables, folder.path()).unwrap();
            (token, variables)
        };
        let (first, variables) = settle();
        let Some(Token::Made(token)) = &first else {
            panic!("{first:?}");
        };
        assert!(token.len() >= 32);
        assert!(token.bytes().all(|byte| ALPHABET.contains(&byte)));
        assert_eq!(&variables["publish_token"], token);
        assert_eq!(settle().0, first);
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        kept(folder.path()).unwrap();
        let mode = fs::metadata(folder.path().join(FILE))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn two_tokens_differ() {
        assert_ne!(random(), random());
    }

    #[test]
    fn a_token_that_was_given_is_neither_stored_nor_shown() {
        let folder = tempfile::tempdir().unwrap();
        let mut variables = BTreeMap::from([("publish_token".to_owned(), "secret".to_owned())]);
        let token = Token::settle(&manifest(REQUIRED), &mut variables, folder.path())
            .unwrap()
            .unwrap();
        assert_eq!(token, Token::Given);
        assert!(!token.shown().contains("secret") && !token.in_a_command().contains("secret"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_application_without_the_variable_has_no_token() {
        let folder = tempfile::tempdir().unwrap();
        let mut variables = BTreeMap::new();
        let token = Token::settle(&manifest(""), &mut variables, folder.path()).unwrap();
        assert_eq!(token, None);
        assert!(variables.is_empty());
    }

    #[test]
    fn an_empty_token_file_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE), "\n").unwrap();
        let error = kept(folder.path()).unwrap_err().to_string();
        assert!(error.contains("publish_token is empty"), "{error}");
    }
}
