//! The values of `--variable`, with the forms and the meaning that they have for `spin up`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

/// The value of one option `--variable`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum VariableSource {
    /// `NAME=VALUE`.
    Literal(String, String),
    /// `NAME=@FILE`: the value is the content of the file as it is, with its final line feed if it has
    /// one.
    File(String, PathBuf),
    /// `@FILE.json`: an object of names and strings.
    Json(PathBuf),
    /// `@FILE.toml`: a table of names and strings.
    Toml(PathBuf),
}

/// An option in none of these forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum InvalidSource {
    #[error("expected NAME=VALUE, NAME=@FILE, @FILE.json or @FILE.toml")]
    Form,
    #[error("a file with several variables ends in .json or .toml")]
    Extension,
}

/// A file that cannot be used.
#[derive(Debug, Error)]
pub(crate) enum UnusableFile {
    #[error("cannot read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path}, line {line}: expected names with strings as values")]
    Content { path: PathBuf, line: usize },
}

impl FromStr for VariableSource {
    type Err = InvalidSource;

    fn from_str(text: &str) -> Result<Self, InvalidSource> {
        if let Some(file) = text.strip_prefix('@') {
            let path = PathBuf::from(file);
            return match path.extension().and_then(|extension| extension.to_str()) {
                Some("json") => Ok(Self::Json(path)),
                Some("toml") => Ok(Self::Toml(path)),
                _ => Err(InvalidSource::Extension),
            };
        }
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(match value.strip_prefix('@') {
                Some(file) => Self::File(name.to_owned(), file.into()),
                None => Self::Literal(name.to_owned(), value.to_owned()),
            }),
            _ => Err(InvalidSource::Form),
        }
    }
}

impl VariableSource {
    /// Returns the values by name.
    ///
    /// # Errors
    /// If the file cannot be read or is not of the expected form. The message shows nothing of its
    /// content, which may be secret.
    pub(crate) fn read(&self) -> Result<BTreeMap<String, String>, UnusableFile> {
        match self {
            Self::Literal(name, value) => Ok(BTreeMap::from([(name.clone(), value.clone())])),
            Self::File(name, path) => Ok(BTreeMap::from([(name.clone(), read(path)?)])),
            Self::Json(path) => {
                let text = read(path)?;
                serde_json::from_str(&text).map_err(|error| content_error(path, error.line()))
            }
            Self::Toml(path) => {
                let text = read(path)?;
                toml::from_str(&text).map_err(|error| {
                    let offset = error.span().map_or(0, |span| span.start);
                    let before = text.bytes().take(offset);
                    content_error(path, 1 + before.filter(|byte| *byte == b'\n').count())
                })
            }
        }
    }
}

/// Describes the error by its line only: the messages of the parsers show values.
fn content_error(path: &Path, line: usize) -> UnusableFile {
    UnusableFile::Content {
        path: path.to_owned(),
        line,
    }
}

fn read(path: &Path) -> Result<String, UnusableFile> {
    fs::read_to_string(path).map_err(|source| UnusableFile::Read {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_file(name: &str, content: &str, prefix: &str) -> Result<Vec<(String, String)>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        let source: VariableSource = format!("{prefix}@{}", path.display()).parse().unwrap();
        match source.read() {
            Ok(values) => Ok(values.into_iter().collect()),
            Err(error) => Err(format!("{:#}", anyhow::Error::from(error))),
        }
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn a_value_is_any_text_that_does_not_begin_with_an_at_sign() {
        for (text, name, value) in [
            ("a=1", "a", "1"),
            ("b=x=y@z", "b", "x=y@z"),
            ("c=", "c", ""),
        ] {
            let source: VariableSource = text.parse().unwrap();
            assert_eq!(source.read().unwrap(), BTreeMap::from([pair(name, value)]));
        }
        for text in ["", "a", "=1", "=@file"] {
            assert_eq!(text.parse::<VariableSource>(), Err(InvalidSource::Form));
        }
        for text in ["@", "@file", "@file.yaml", "@json"] {
            let parsed = text.parse::<VariableSource>();
            assert_eq!(parsed, Err(InvalidSource::Extension), "{text}");
        }
    }

    #[test]
    fn a_value_from_a_file_is_its_content_as_it_is() {
        let values = read_file("token", "s3cret\n", "publish_token=");
        assert_eq!(values, Ok(vec![pair("publish_token", "s3cret\n")]));
    }

    #[test]
    fn a_json_or_toml_file_gives_several_values() {
        let expected = Ok(vec![pair("a", "1"), pair("b", "x y")]);
        assert_eq!(read_file("v.json", r#"{"b":"x y","a":"1"}"#, ""), expected);
        assert_eq!(read_file("v.toml", "b = \"x y\"\na = '1'\n", ""), expected);
    }

    #[test]
    fn an_unusable_file_is_reported_by_name() {
        let missing = VariableSource::File("a".to_owned(), "no/such/file".into());
        let error = missing.read().unwrap_err().to_string();
        assert_eq!(error, "cannot read no/such/file");
        for (name, content) in [
            ("v.json", "{\"a\":\"s3cret\",\n\"b\":77}"),
            ("v.json", "{\"a\":\"\",\ns3cret"),
            ("v.toml", "a = 's3cret'\nb = 77"),
            ("v.toml", "a = ''\ns3cret"),
        ] {
            let error = read_file(name, content, "").unwrap_err();
            let expected = format!("{name}, line 2: expected names with strings as values");
            assert!(error.ends_with(&expected), "{error}");
        }
    }
}
