//! Patterns of channel names.

use std::str::FromStr;

use serde::Deserialize;

use crate::core::channel::{Channel, ChannelError};

/// A pattern of channel names: `*` includes every channel, `orders/*` every channel whose name
/// begins with `orders/`, and any other pattern the channel of that name.
///
/// ```
/// # use runnel::core::access::Pattern;
/// let pattern: Pattern = "orders/*".parse().unwrap();
/// assert!(pattern.includes(&"orders/eu/1".parse().unwrap()));
/// assert!(!pattern.includes(&"orders".parse().unwrap()));
/// assert!("orders*".parse::<Pattern>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Pattern {
    /// Includes every channel.
    All,
    /// Includes the channels whose name begins with this name and a slash.
    Below(Channel),
    /// Includes this channel.
    One(Channel),
}

impl Pattern {
    /// Returns whether the pattern includes `channel`.
    #[must_use]
    pub fn includes(&self, channel: &Channel) -> bool {
        match self {
            Self::All => true,
            Self::Below(parent) => channel
                .as_str()
                .strip_prefix(parent.as_str())
                .is_some_and(|rest| rest.starts_with('/')),
            Self::One(one) => one == channel,
        }
    }
}

impl FromStr for Pattern {
    type Err = ChannelError;

    fn from_str(text: &str) -> Result<Self, ChannelError> {
        if text == "*" {
            return Ok(Self::All);
        }
        match text.strip_suffix("/*") {
            Some(parent) => Ok(Self::Below(parent.parse()?)),
            None => Ok(Self::One(text.parse()?)),
        }
    }
}

impl TryFrom<String> for Pattern {
    type Error = ChannelError;

    fn try_from(text: String) -> Result<Self, ChannelError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn includes(pattern: &str, channel: &str) -> bool {
        let pattern: Pattern = pattern.parse().unwrap();
        pattern.includes(&channel.parse().unwrap())
    }

    #[test]
    fn a_pattern_includes_all_channels_or_those_below_a_name_or_one() {
        for channel in ["a", "orders", "orders/1", "orders/eu/1"] {
            assert!(includes("*", channel));
        }
        for (channel, included) in [
            ("orders/1", true),
            ("orders/eu/1", true),
            ("orders", false),
            ("orders2", false),
            ("orders-1/1", false),
            ("Orders/1", false),
            ("a/orders/1", false),
        ] {
            assert_eq!(includes("orders/*", channel), included, "{channel}");
        }
        assert!(includes("orders", "orders"));
        assert!(!includes("orders", "orders/1"));
        assert!(!includes("orders", "order"));
    }

    #[test]
    fn a_star_is_accepted_only_alone_or_after_the_last_slash() {
        for text in [
            "", "**", "a*", "*/a", "a/*/b", "/*", "a//*", "a/**", "a/*/*", "*/*", "../*", "a/./*",
            " *", "a b", "a/",
        ] {
            assert!(text.parse::<Pattern>().is_err(), "{text:?}");
        }
    }

    proptest! {
        /// Property: a pattern includes a channel if and only if it is `*`, the channel's name, or the
        /// name of one of the channel's parents followed by `/*`.
        #[test]
        fn a_channel_is_included_by_its_name_its_parents_and_the_star_only(
            pattern in "([ab]{1,2}/){0,2}([ab]{1,2}|\\*)",
            channel in "([ab]{1,2}/){0,3}[ab]{1,2}",
        ) {
            let parents = channel.match_indices('/').map(|(at, _)| format!("{}/*", &channel[..at]));
            let mut including: Vec<String> = parents.collect();
            including.extend(["*".to_owned(), channel.clone()]);
            prop_assert_eq!(includes(&pattern, &channel), including.contains(&pattern));
        }
    }
}
