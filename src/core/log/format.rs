//! What head and segment have in common as bytes: a kind, a version, and refusal of anything else.

use std::fmt;

/// The version of the stored format that this build writes, and the newest it reads.
const VERSION: u8 = 1;

/// Why stored bytes cannot be used. Such a value is never overwritten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// The value was written by a newer Runnel.
    Newer {
        /// The key of the value.
        key: String,
        /// Its version.
        version: u8,
    },
    /// The value is not what its key promises.
    Corrupt {
        /// The key of the value.
        key: String,
        /// What does not fit.
        detail: String,
    },
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer { key, version } => write!(
                f,
                "the value of {key} has format version {version}; this Runnel reads up to {VERSION}"
            ),
            Self::Corrupt { key, detail } => write!(f, "the value of {key} is corrupt: {detail}"),
        }
    }
}

impl std::error::Error for FormatError {}

/// The kinds of stored values; the letter is the first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Head = b'H' as isize,
    Segment = b'S' as isize,
}

/// How many bytes [`prefix`] takes.
pub(super) const PREFIX_BYTES: usize = 2;

/// The first bytes of a value of this kind.
pub(super) const fn prefix(kind: Kind) -> [u8; PREFIX_BYTES] {
    [kind as u8, VERSION]
}

/// The bytes after the prefix.
pub(super) fn checked<'a>(kind: Kind, key: &str, bytes: &'a [u8]) -> Result<&'a [u8], FormatError> {
    match bytes {
        [first, version, rest @ ..] if *first == kind as u8 => match *version {
            VERSION => Ok(rest),
            newer if newer > VERSION => Err(FormatError::Newer {
                key: key.to_owned(),
                version: newer,
            }),
            _ => Err(corrupt(key, format!("no format version {version} exists"))),
        },
        _ => Err(corrupt(
            key,
            format!("it does not begin as a {kind:?} does"),
        )),
    }
}

pub(super) fn corrupt(key: &str, detail: impl fmt::Display) -> FormatError {
    FormatError::Corrupt {
        key: key.to_owned(),
        detail: detail.to_string(),
    }
}
