//! Event ids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

const EPOCH_DIGITS: usize = 6;

/// The number of epochs.
pub(super) const EPOCH_COUNT: u32 = 36_u32.pow(6);

/// The epoch of a channel's log, written as six digits of base 36.
///
/// A log draws its epoch at random when it is created or purged, so that ids of an earlier log are
/// not mistaken for its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32")]
pub struct Epoch(u32);

impl TryFrom<u32> for Epoch {
    type Error = EventIdError;

    fn try_from(number: u32) -> Result<Self, EventIdError> {
        if number >= EPOCH_COUNT {
            return Err(EventIdError);
        }
        Ok(Self(number))
    }
}

const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

impl Epoch {
    /// Returns the epoch for a random number. Every epoch is equally likely.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // the remainder is below 36^6, which is below 2^32
    pub const fn from_random(random: u64) -> Self {
        const EPOCHS: u64 = EPOCH_COUNT as u64;
        Self((random % EPOCHS) as u32)
    }

    /// Returns the number that the digits stand for, below [`EPOCH_COUNT`].
    pub(super) const fn number(self) -> u32 {
        self.0
    }

    /// Returns the digits, most significant first.
    pub(super) fn digits(self) -> [u8; EPOCH_DIGITS] {
        let mut digits = [b'0'; EPOCH_DIGITS];
        let mut rest = self.0;
        for digit in digits.iter_mut().rev() {
            if let Some(lowest) = DIGITS.get((rest % 36) as usize) {
                *digit = *lowest;
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

/// The sequence number of an event in its log: 1, 2, 3 … without gaps. 0 stands before the first event.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Seq(pub u64);

impl Seq {
    /// The sequence number of a log's first event.
    pub const FIRST: Self = Self(1);

    /// Returns the sequence number `count` after this one.
    #[must_use]
    pub const fn plus(self, count: u64) -> Self {
        Self(self.0.saturating_add(count))
    }

    /// Returns the sequence number `count` before this one, at least 0.
    #[must_use]
    pub const fn minus(self, count: u64) -> Self {
        Self(self.0.saturating_sub(count))
    }

    /// Returns the number of events from `earlier` to this one; 0 if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The id of an event, written `<epoch>-<seq>`, such as `3k9x2a-17`.
///
/// `Display` and `FromStr` are inverses: a text that parses is displayed unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventId {
    /// The epoch of the event's log.
    pub epoch: Epoch,
    /// The event's sequence number in that log.
    pub seq: Seq,
}

impl EventId {
    /// Returns the id of the next event.
    #[must_use]
    pub const fn next(self) -> Self {
        Self {
            epoch: self.epoch,
            seq: self.seq.plus(1),
        }
    }

    /// Appends the text of the id to `out`.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.epoch.digits());
        out.push(b'-');
        out.extend_from_slice(itoa::Buffer::new().format(self.seq.0).as_bytes());
    }
}

/// The text is not an event id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not an event id of the form <epoch>-<seq>, such as 3k9x2a-17")]
pub struct EventIdError;

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
        /// Property: every id is parsed back from its text, which needs no escaping and no CORS
        /// preflight.
        #[test]
        fn every_id_is_parsed_back_from_its_text(id in event_ids()) {
            let text = id.to_string();
            prop_assert_eq!(text.parse::<EventId>(), Ok(id));
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b)));
        }

        /// Property: any text that parses is displayed unchanged.
        #[test]
        fn any_text_that_parses_is_displayed_unchanged(text in "[0-9a-zA-Z+-]{0,8}-?[0-9+_]{0,21}") {
            if let Ok(id) = text.parse::<EventId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }

        /// Property: any text is parsed or rejected without a panic.
        #[test]
        fn any_text_is_parsed_or_rejected(text in ".*") {
            let _ = text.parse::<EventId>();
        }
    }

    #[test]
    fn an_id_is_displayed_as_epoch_and_seq() {
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
    fn non_canonical_texts_are_rejected() {
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
