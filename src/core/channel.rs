//! Channel names.

use std::fmt;
use std::rc::Rc;
use std::str::FromStr;

use thiserror::Error;

/// The longest channel name, in bytes.
pub const MAX_CHANNEL_BYTES: usize = 160;

/// The name of a channel: 1 to 160 bytes, in segments separated by `/`. A segment is one or more of
/// `A-Z a-z 0-9 . _ ~ : -`, but not `.` or `..`. Clones share the name.
///
/// ```
/// # use runnel::core::channel::Channel;
/// let channel: Channel = "orders/eu-1".parse().unwrap();
/// assert_eq!(channel.as_str(), "orders/eu-1");
/// assert!("orders//eu".parse::<Channel>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel(Rc<str>);

impl Channel {
    /// Returns the name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reasons to reject a channel name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChannelError {
    /// The name is empty.
    #[error("the channel name is empty")]
    Empty,
    /// The name has this many bytes, more than [`MAX_CHANNEL_BYTES`].
    #[error("the channel name has {0} bytes; at most {MAX_CHANNEL_BYTES} are accepted")]
    TooLong(usize),
    /// The name begins or ends with a slash, or has two in a row.
    #[error("the channel name has an empty segment; `/` is accepted only between segments")]
    EmptySegment,
    /// A segment is `.` or `..`, which clients and proxies remove.
    #[error("a segment of the channel name is `.` or `..`, which is not accepted")]
    DotSegment,
    /// The name has this character, which is not in the alphabet.
    #[error(
        "the channel name contains {0:?}; expected A-Z a-z 0-9 . _ ~ : - and `/` between segments"
    )]
    Character(char),
}

impl FromStr for Channel {
    type Err = ChannelError;

    fn from_str(text: &str) -> Result<Self, ChannelError> {
        if text.is_empty() {
            return Err(ChannelError::Empty);
        }
        if text.len() > MAX_CHANNEL_BYTES {
            return Err(ChannelError::TooLong(text.len()));
        }
        let accepted = |c: char| c.is_ascii_alphanumeric() || "._~:-/".contains(c);
        if let Some(found) = text.chars().find(|&c| !accepted(c)) {
            return Err(ChannelError::Character(found));
        }
        for segment in text.split('/') {
            match segment {
                "" => return Err(ChannelError::EmptySegment),
                "." | ".." => return Err(ChannelError::DotSegment),
                _ => {}
            }
        }
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> ChannelError {
        text.parse::<Channel>().unwrap_err()
    }

    #[test]
    fn names_consist_of_the_alphabet_with_slashes_between_segments() {
        for name in ["a", "A.b_c~d:e-9", "tenants/42/orders", &"x".repeat(160)] {
            assert_eq!(name.parse::<Channel>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn other_names_are_rejected_with_the_reason() {
        assert_eq!(error(""), ChannelError::Empty);
        assert_eq!(error(&"x".repeat(161)), ChannelError::TooLong(161));
        for name in ["/a", "a/", "a//b", "/"] {
            assert_eq!(error(name), ChannelError::EmptySegment, "{name}");
        }
        for name in ["..", "a/../b", "./a"] {
            assert_eq!(error(name), ChannelError::DotSegment, "{name}");
        }
        for name in ["a b", "a\nb", "a\0", "a%2f", "a!b", "a\\b", "ä", "a?b"] {
            assert!(matches!(error(name), ChannelError::Character(_)), "{name}");
        }
    }
}
