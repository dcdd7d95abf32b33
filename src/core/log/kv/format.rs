//! The common frame of stored values: a kind, a format version, the content, and a checksum.
//!
//! ```text
//! H 2 content checksum     a head
//! S 2 content checksum     a segment
//! ```
//!
//! The kind and the version are a byte each. The checksum is the XXH3 of everything before it, 64 bits,
//! little-endian. Values of version 1 have none.

use std::fmt;

use thiserror::Error;
use xxhash_rust::xxh3::xxh3_64;

/// The format version that this build writes, and the newest it reads.
const VERSION: u8 = 2;

/// The length of the checksum.
const CHECKSUM_BYTES: usize = 8;

/// A stored value that cannot be used. Such a value is never overwritten by an append.
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

/// The format versions that this build reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// The length of the kind and the version.
const PREFIX_BYTES: usize = 2;

/// Begins a value of this kind: its first bytes, with room for `capacity` bytes.
pub(super) fn begin(kind: Kind, capacity: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(capacity);
    bytes.extend_from_slice(&[kind as u8, VERSION]);
    bytes
}

/// Appends the checksum, which completes a value.
pub fn append_checksum(bytes: &mut Vec<u8>) {
    let checksum = xxh3_64(bytes);
    bytes.extend_from_slice(&checksum.to_le_bytes());
}

/// Verifies the frame of a value, and returns its version and content.
pub(super) fn open<'a>(
    kind: Kind,
    key: &str,
    bytes: &'a [u8],
) -> Result<(Version, &'a [u8]), FormatError> {
    match bytes {
        [first, version, content @ ..] if *first == kind as u8 => match *version {
            1 => Ok((Version::One, content)),
            VERSION => {
                let content = content.len().checked_sub(CHECKSUM_BYTES);
                let content = content.filter(|_| has_checksum(bytes));
                let content = content
                    .and_then(|length| bytes.get(PREFIX_BYTES..)?.get(..length))
                    .ok_or_else(|| corrupt(key, "its checksum is wrong"))?;
                Ok((Version::Two, content))
            }
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

/// Returns whether a value that was verified has the version that this build writes.
pub(super) fn is_current(bytes: &[u8]) -> bool {
    bytes.get(1) == Some(&VERSION)
}

fn has_checksum(bytes: &[u8]) -> bool {
    bytes
        .split_last_chunk()
        .is_some_and(|(before, checksum)| xxh3_64(before) == u64::from_le_bytes(*checksum))
}

/// Returns whether `bytes` are the value `stored`, which was verified. Of version 2, their lengths and
/// checksums tell, because the content includes a random number that each commit draws.
pub(super) fn is_unchanged(stored: &[u8], bytes: &[u8]) -> bool {
    match stored.get(1) {
        Some(&VERSION) => {
            let checksum = |bytes: &[u8]| bytes.last_chunk::<CHECKSUM_BYTES>().copied();
            stored.len() == bytes.len() && checksum(stored) == checksum(bytes)
        }
        _ => stored == bytes,
    }
}

pub(super) fn corrupt(key: &str, detail: impl fmt::Display) -> FormatError {
    FormatError::Corrupt {
        key: key.to_owned(),
        detail: detail.to_string(),
    }
}

/// Calls `check` with `bytes` after each possible flip of a bit, and after each possible cut.
#[cfg(test)]
pub(super) fn for_each_damage(bytes: &[u8], mut check: impl FnMut(Vec<u8>)) {
    for bit in 0..bytes.len() * 8 {
        let mut damaged = bytes.to_vec();
        damaged[bit / 8] ^= 1 << (bit % 8);
        check(damaged);
    }
    for length in 0..bytes.len() {
        check(bytes[..length].to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(content: &[u8]) -> Vec<u8> {
        let mut bytes = begin(Kind::Head, 0);
        bytes.extend_from_slice(content);
        append_checksum(&mut bytes);
        bytes
    }

    #[test]
    fn the_checksum_is_the_xxh3_of_all_before_it() {
        // As the reference implementation computes them: a short input and one of several blocks.
        for (content, expected) in [
            (&b"hello"[..], 0x9028_46e6_3845_1a28_u64),
            (&[b'x'; 5_000], 0xfccb_9720_968b_79e5),
        ] {
            assert!(value(content).ends_with(&expected.to_le_bytes()));
        }
    }

    #[test]
    fn a_value_that_differs_in_length_or_checksum_has_changed() {
        let stored = value(b"content");
        assert!(is_unchanged(&stored, &stored.clone()));
        assert!(!is_unchanged(&stored, &value(b"another")));
        assert!(!is_unchanged(&stored, &[&stored[..], b"!"].concat()));
        assert!(!is_unchanged(&stored, &[]));
        let old = b"H\x01 content with no checksum";
        assert!(is_unchanged(old, old.as_ref()));
        assert!(!is_unchanged(old, b"H\x01_content with no checksum"));
    }
}
