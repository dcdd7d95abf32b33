//! Which channels a right is about.

use std::str::FromStr;

use serde::Deserialize;

use crate::core::channel::{Channel, ChannelError};

/// Some channels: `*` is all of them, `orders/*` those whose name begins with `orders/`, and
/// anything else is the one of that name.
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
    /// All channels.
    All,
    /// Those whose name begins with this one and a slash.
    Below(Channel),
    /// This one.
    One(Channel),
}

impl Pattern {
    /// Whether the channel is one of them.
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
        match (text, text.strip_suffix("/*")) {
            ("*", _) => Ok(Self::All),
            (_, Some(parent)) => Ok(Self::Below(parent.parse()?)),
            (_, None) => Ok(Self::One(text.parse()?)),
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
    fn a_pattern_is_all_channels_or_those_below_one_or_one() {
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
    fn a_star_stands_alone_or_for_all_that_follows_a_slash() {
        for text in [
            "", "**", "a*", "*/a", "a/*/b", "/*", "a//*", "a/**", "a/*/*", "*/*", "../*", "a/./*",
            " *", "a b", "a/",
        ] {
            assert!(text.parse::<Pattern>().is_err(), "{text:?}");
        }
    }

    proptest! {
        /// Law: a pattern includes a channel if and only if it is a star, the channel's name, or the
        /// name of one of the channel's parents and `/*`.
        #[test]
        fn a_channel_is_included_by_its_name_its_parents_and_the_star_alone(
            pattern in "([ab]{1,2}/){0,2}([ab]{1,2}|\\*)",
            channel in "([ab]{1,2}/){0,3}[ab]{1,2}",
        ) {
            let parents = channel.match_indices('/').map(|(at, _)| format!("{}/*", &channel[..at]));
            let mut by: Vec<String> = parents.collect();
            by.extend(["*".to_owned(), channel.clone()]);
            prop_assert_eq!(includes(&pattern, &channel), by.contains(&pattern));
        }
    }
}
