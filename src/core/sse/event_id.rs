//! Event ids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

const EPOCH_DIGITS: usize = 6;
/// How many epochs there are.
pub(super) const EPOCH_COUNT: u32 = 36_u32.pow(6);

/// Which log of a channel an id belongs to: drawn at random when the log is created or purged, so
/// that ids of a log that is gone are not taken for ids of its successor. Six digits of base 36.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32")]
pub struct Epoch(u32);

impl TryFrom<u32> for Epoch {
    type Error = EventIdError;

    fn try_from(number: u32) -> Result<Self, EventIdError> {
        match number < EPOCH_COUNT {
            true => Ok(Self(number)),
            false => Err(EventIdError),
        }
    }
}

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

impl Epoch {
    /// An epoch from a random number; every epoch is equally likely.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // the remainder is below 36^6, which is below 2^32
    pub const fn from_random(random: u64) -> Self {
        const EPOCHS: u64 = EPOCH_COUNT as u64;
        Self((random % EPOCHS) as u32)
    }

    /// The number that the digits stand for, below [`EPOCH_COUNT`].
    pub(super) const fn number(self) -> u32 {
        self.0
    }

    /// The digits as they are displayed.
    pub(super) fn digits(self) -> [u8; EPOCH_DIGITS] {
        let mut digits = [b'0'; EPOCH_DIGITS];
        let mut rest = self.0;
        for digit in digits.iter_mut().rev() {
            if let Some(of_rest) = DIGITS.get((rest % 36) as usize) {
                *digit = *of_rest;
            }
            rest /= 36;
        }
        digits
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

impl FromStr for Epoch {
    type Err = EventIdError;

    fn from_str(text: &str) -> Result<Self, EventIdError> {
        if text.len() != EPOCH_DIGITS
            || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'z'))
        {
            return Err(EventIdError);
        }
        u32::from_str_radix(text, 36)
            .map(Self)
            .map_err(|_| EventIdError)
    }
}

/// The place of an event in its log: 1, 2, 3 … without holes. 0 is the place before the first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Seq(pub u64);

impl Seq {
    /// The place of the first event of a log.
    pub const FIRST: Self = Self(1);

    /// The place `count` further on.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// The place `count` back, not before 0.
    #[must_use]
    pub const fn minus(self, count: u64) -> Self {
        Self(self.0.saturating_sub(count))
    }

    /// How many places this one lies after `earlier`; 0 if it does not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The id of one event, written `<epoch>-<seq>`, e.g. `3k9x2a-17`.
///
/// `Display` and `FromStr` are each other's inverse: a text that parses is written back the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventId {
    /// The log the event is in.
    pub epoch: Epoch,
    /// Its place there.
    pub seq: Seq,
}

impl EventId {
    /// The id of the event that follows.
    #[must_use]
    pub const fn next(self) -> Self {
        Self {
            epoch: self.epoch,
            seq: self.seq.plus(1),
        }
    }

    /// Appends the id's text to `out`.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.epoch.digits());
        out.push(b'-');
        out.extend_from_slice(itoa::Buffer::new().format(self.seq.0).as_bytes());
    }
}

/// The text is not an event id of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventIdError;

impl fmt::Display for EventIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an event id of the form <epoch>-<seq>, such as 3k9x2a-17")
    }
}

impl std::error::Error for EventIdError {}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq.0)
    }
}

impl FromStr for EventId {
    type Err = EventIdError;

    fn from_str(text: &str) -> Result<Self, EventIdError> {
        let (epoch, seq) = text.split_once('-').ok_or(EventIdError)?;
        let canonical =
            seq.bytes().all(|b| b.is_ascii_digit()) && (seq == "0" || !seq.starts_with('0'));
        if !canonical {
            return Err(EventIdError);
        }
        Ok(Self {
            epoch: epoch.parse()?,
            seq: Seq(seq.parse().map_err(|_| EventIdError)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    prop_compose! {
        fn event_ids()(random: u64, seq in prop_oneof![0..100_u64, any::<u64>()]) -> EventId {
            EventId { epoch: Epoch::from_random(random), seq: Seq(seq) }
        }
    }

    proptest! {
        /// Law: parse(write(id)) = id, in an alphabet that needs no escape and no preflight.
        #[test]
        fn every_id_is_read_back_as_it_was_written(id in event_ids()) {
            let text = id.to_string();
            prop_assert_eq!(text.parse::<EventId>(), Ok(id));
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b)));
        }

        /// Law: write(parse(text)) = text, for any text that parses.
        #[test]
        fn every_text_that_parses_is_written_back_the_same(text in "[0-9a-zA-Z+-]{0,8}-?[0-9+_]{0,21}") {
            if let Ok(id) = text.parse::<EventId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }

        /// Law: no text makes parsing panic.
        #[test]
        fn any_text_is_parsed_or_refused(text in ".*") {
            let _ = text.parse::<EventId>();
        }
    }

    #[test]
    fn is_written_as_epoch_and_seq() {
        let id = EventId {
            epoch: Epoch(35),
            seq: Seq(17),
        };
        assert_eq!(id.to_string(), "00000z-17");
        assert_eq!(
            "zzzzzz-0".parse::<EventId>().unwrap().epoch,
            Epoch(EPOCH_COUNT - 1)
        );
    }

    #[test]
    fn refuses_what_it_would_not_write() {
        for text in [
            "",
            "-",
            "00000z",
            "00000z-",
            "-1",
            "0000z-1",
            "00000Z-1",
            "00000z-01",
            "00000z-+1",
            "00000z--1",
            " 00000z-1",
            "00000z-1 ",
            "+0000z-1",
            "00000z-18446744073709551616",
        ] {
            assert_eq!(text.parse::<EventId>(), Err(EventIdError), "{text:?}");
        }
    }
}
