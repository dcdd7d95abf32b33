//! The common frame of stored values: a kind, a format version, and rejection of everything else.

use std::fmt;

use thiserror::Error;

/// The format version that this build writes, and the newest it reads.
const VERSION: u8 = 1;

/// A stored value that cannot be used. Such a value is never overwritten.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FormatError {
    /// The value was written by a newer Runnel.
    #[error("the value of {key} has format version {version}; this Runnel reads up to {VERSION}")]
    Newer {
        /// The key of the value.
        key: String,
        /// The format version of the value.
        version: u8,
    },
    /// The value is not what its key promises.
    #[error("the value of {key} is corrupt: {detail}")]
    Corrupt {
        /// The key of the value.
        key: String,
        /// The contradiction.
        detail: String,
    },
}

/// The kinds of stored values. The letter is the first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Head = b'H' as isize,
    Segment = b'S' as isize,
}

/// The length of [`prefix`], in bytes.
pub(super) const PREFIX_BYTES: usize = 2;

/// Returns the first bytes of a value of this kind.
pub(super) const fn prefix(kind: Kind) -> [u8; PREFIX_BYTES] {
    [kind as u8, VERSION]
}

/// Checks the prefix and returns the bytes after it.
pub(super) fn strip_prefix<'a>(
    kind: Kind,
    key: &str,
    bytes: &'a [u8],
) -> Result<&'a [u8], FormatError> {
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
