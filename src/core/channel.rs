//! Channel names.

use std::fmt;
use std::str::FromStr;

/// The longest channel name, in bytes.
pub const MAX_CHANNEL_BYTES: usize = 160;

/// The name of a channel: 1 to 160 bytes of `A-Z a-z 0-9 . _ ~ : -`, with `/` between segments
/// that are not empty and not `.` or `..`.
///
/// ```
/// # use runnel::core::channel::Channel;
/// let channel: Channel = "orders/eu-1".parse().unwrap();
/// assert_eq!(channel.as_str(), "orders/eu-1");
/// assert!("orders//eu".parse::<Channel>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel(String);

impl Channel {
    /// The name as it was given.
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

/// Why a text is not a channel name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelError {
    /// Nothing was given.
    Empty,
    /// The name has this many bytes, more than [`MAX_CHANNEL_BYTES`].
    TooLong(usize),
    /// Two slashes follow each other, or the name begins or ends with one.
    EmptySegment,
    /// A segment is `.` or `..`, which clients and proxies resolve away.
    DotSegment,
    /// This character is not in the alphabet.
    Character(char),
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the channel name is empty"),
            Self::TooLong(bytes) => write!(
                f,
                "the channel name has {bytes} bytes; at most {MAX_CHANNEL_BYTES} are accepted"
            ),
            Self::EmptySegment => write!(
                f,
                "the channel name has an empty segment: `/` stands only between segments"
            ),
            Self::DotSegment => write!(f, "a segment of a channel name cannot be `.` or `..`"),
            Self::Character(found) => write!(
                f,
                "the channel name contains {found:?}; accepted are A-Z a-z 0-9 . _ ~ : - and `/` between segments"
            ),
        }
    }
}

impl std::error::Error for ChannelError {}

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
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> ChannelError {
        text.parse::<Channel>().unwrap_err()
    }

    #[test]
    fn accepts_the_whole_alphabet_and_slashes_between_segments() {
        for name in ["a", "A.b_c~d:e-9", "tenants/42/orders", &"x".repeat(160)] {
            assert_eq!(name.parse::<Channel>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn refuses_everything_else_and_says_why() {
        assert_eq!(refused(""), ChannelError::Empty);
        assert_eq!(refused(&"x".repeat(161)), ChannelError::TooLong(161));
        for name in ["/a", "a/", "a//b", "/"] {
            assert_eq!(refused(name), ChannelError::EmptySegment, "{name}");
        }
        for name in ["..", "a/../b", "./a"] {
            assert_eq!(refused(name), ChannelError::DotSegment, "{name}");
        }
        for name in ["a b", "a\nb", "a\0", "a%2f", "a!b", "a\\b", "ä", "a?b"] {
            assert!(
                matches!(refused(name), ChannelError::Character(_)),
                "{name}"
            );
        }
    }
}
