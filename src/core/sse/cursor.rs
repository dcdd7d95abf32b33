//! Cursors: the positions of a client, from which it resumes.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use thiserror::Error;

use super::event_id::{EPOCH_COUNT, Epoch, EventId, Seq};

/// The longest cursor, in bytes. A `Last-Event-ID` header that is longer, or has other characters, makes
/// browsers send a CORS preflight (Fetch, "CORS-safelisted request-header").
pub const MAX_CURSOR_BYTES: usize = 128;

/// The most channels of a stream: a cursor over more would not fit into [`MAX_CURSOR_BYTES`].
pub const MAX_CHANNELS: usize = 10;

/// The size of a position in a multi-channel cursor: 9 bytes, written as 12 digits of base 64 (RFC
/// 4648, "URL and Filename safe").
const POSITION_BYTES: usize = 9;
const POSITION_DIGITS: usize = 12;

/// The number of [`Position::Beginning`]. Any other position has the number `seq * EPOCHS + epoch`.
const BEGINNING: u128 = (1 << (8 * POSITION_BYTES)) - 1;

const EPOCHS: u128 = EPOCH_COUNT as u128;

/// The highest seq in a multi-channel cursor: 2.1 · 10^12.
const MAX_SEQ: u64 = ((BEGINNING - 1) / EPOCHS - 1) as u64;

/// The position of a client in a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Before the first event of a log that did not exist yet.
    Beginning,
    /// After this event. The seq 0 stands before the first event.
    After(EventId),
}

/// The client's [`Position`] in each channel of its stream, in the order of the stream.
///
/// For one channel the text is the id of the last event, or `0` for [`Position::Beginning`]. For
/// several channels it is `~`, one digit for the index of the channel that advanced last (in an
/// event's id, the event's channel), and 12 digits of base 64 for each channel: at most 122 bytes
/// of `[A-Za-z0-9_~-]`.
///
/// `Display` and `FromStr` are inverses: a text that parses is displayed unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    positions: Vec<Position>,
    last_advanced: usize,
}

/// The text is not a cursor of this server, or the number of positions is not 1 to [`MAX_CHANNELS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("not a cursor of this server, such as 3k9x2a-17")]
pub struct CursorError;

impl Cursor {
    /// Creates a cursor with these positions.
    ///
    /// # Errors
    /// Returns an error if there are no positions or more than [`MAX_CHANNELS`].
    pub fn new(positions: Vec<Position>) -> Result<Self, CursorError> {
        if positions.is_empty() || positions.len() > MAX_CHANNELS {
            return Err(CursorError);
        }
        let mut cursor = Self {
            positions: positions.clone(),
            last_advanced: 0,
        };
        for (index, position) in positions.into_iter().enumerate().rev() {
            cursor.advance(index, position);
        }
        Ok(cursor)
    }

    /// Sets the position in the channel at `index`, if there is one.
    ///
    /// In a multi-channel cursor, a seq that is too high to be written becomes the highest that can
    /// be: a client that resumes there receives events again rather than losing any.
    pub fn advance(&mut self, index: usize, position: Position) {
        let multi_channel = self.positions.len() > 1;
        if let Some(current) = self.positions.get_mut(index) {
            *current = match position {
                Position::After(EventId { epoch, seq }) if multi_channel => {
                    Position::After(EventId {
                        epoch,
                        seq: seq.min(Seq(MAX_SEQ)),
                    })
                }
                position => position,
            };
            self.last_advanced = index;
        }
    }

    /// Returns the positions, in the order of the channels.
    #[must_use]
    pub fn positions(&self) -> &[Position] {
        &self.positions
    }

    /// Returns the index of the channel that advanced last.
    #[must_use]
    pub const fn last_advanced(&self) -> usize {
        self.last_advanced
    }

    /// Appends the text of the cursor to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        if let [position] = self.positions.as_slice() {
            return match position {
                Position::Beginning => out.push(b'0'),
                Position::After(id) => id.write(out),
            };
        }
        out.push(b'~');
        out.push(b'0'.wrapping_add(u8::try_from(self.last_advanced).unwrap_or_default()));
        for position in &self.positions {
            let number = match position {
                Position::Beginning => BEGINNING,
                Position::After(id) => number(*id),
            };
            let mut digits = [0; POSITION_DIGITS];
            if let Some(low) = number.to_be_bytes().last_chunk::<POSITION_BYTES>() {
                // 9 bytes always fit into 12 digits.
                let _ = BASE64.encode_slice(low, &mut digits);
            }
            out.extend_from_slice(&digits);
        }
    }
}

impl From<Position> for Cursor {
    fn from(position: Position) -> Self {
        Self {
            positions: vec![position],
            last_advanced: 0,
        }
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = vec![];
        self.write(&mut text);
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        if text == "0" {
            return Ok(Position::Beginning.into());
        }
        let Some(multi_channel) = text.strip_prefix('~') else {
            let id = text.parse().map_err(|_| CursorError)?;
            return Ok(Position::After(id).into());
        };
        let (last_advanced, digits) = multi_channel.as_bytes().split_first().ok_or(CursorError)?;
        let last_advanced = usize::from(last_advanced.wrapping_sub(b'0'));
        let (positions, rest) = digits.as_chunks::<POSITION_DIGITS>();
        if !rest.is_empty()
            || !(2..=MAX_CHANNELS).contains(&positions.len())
            || last_advanced >= positions.len()
        {
            return Err(CursorError);
        }
        let positions = positions
            .iter()
            .map(parse_position)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            positions,
            last_advanced,
        })
    }
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "64 bits times 32 bits, and 32 bits more, fit 128"
)]
fn number(id: EventId) -> u128 {
    u128::from(id.seq.0) * EPOCHS + u128::from(id.epoch.number())
}

fn parse_position(digits: &[u8; POSITION_DIGITS]) -> Result<Position, CursorError> {
    let mut bytes = [0; size_of::<u128>()];
    let low = bytes
        .last_chunk_mut::<POSITION_BYTES>()
        .ok_or(CursorError)?;
    BASE64
        .decode_slice_unchecked(digits, low)
        .map_err(|_| CursorError)?;
    let number = u128::from_be_bytes(bytes);
    if number == BEGINNING {
        return Ok(Position::Beginning);
    }
    let seq = u64::try_from(number / EPOCHS).map_err(|_| CursorError)?;
    let epoch = u64::try_from(number % EPOCHS).map_err(|_| CursorError)?;
    if seq > MAX_SEQ {
        return Err(CursorError);
    }
    Ok(Position::After(EventId {
        epoch: Epoch::from_random(epoch),
        seq: Seq(seq),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn positions() -> impl Strategy<Value = Position> {
        let seqs = prop_oneof![0..100_u64, any::<u64>()];
        prop::option::of((any::<u64>(), seqs)).prop_map(|id| match id {
            None => Position::Beginning,
            Some((random, seq)) => Position::After(EventId {
                epoch: Epoch::from_random(random),
                seq: Seq(seq),
            }),
        })
    }

    proptest! {
        /// Property: every cursor is parsed back from its text, which is at most
        /// [`MAX_CURSOR_BYTES`] long and needs no escaping and no CORS preflight.
        #[test]
        fn every_cursor_is_parsed_back_from_its_text(
            positions in prop::collection::vec(positions(), 1..=MAX_CHANNELS),
            index in 0..MAX_CHANNELS,
        ) {
            let mut cursor = Cursor::new(positions).unwrap();
            if let Some(position) = cursor.positions().get(index).copied() {
                cursor.advance(index, position);
                prop_assert_eq!(cursor.last_advanced(), index);
            }
            let text = cursor.to_string();
            prop_assert!(text.len() <= MAX_CURSOR_BYTES);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b)));
            prop_assert_eq!(text.parse::<Cursor>(), Ok(cursor));
        }

        /// Property: any text that parses is displayed unchanged, and no text causes a panic.
        #[test]
        fn any_text_that_parses_is_displayed_unchanged(
            text in prop_oneof![".*", "~[0-9]([A-Za-z0-9_-]{12}){1,11}", "~?[0-9]?[A-Za-z0-9_-]{0,40}"],
        ) {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string(), text);
            }
        }
    }

    fn after(text: &str) -> Position {
        Position::After(text.parse().unwrap())
    }

    #[test]
    fn the_cursor_of_one_channel_is_the_last_id_or_0() {
        assert_eq!(Cursor::from(after("3k9x2a-17")).to_string(), "3k9x2a-17");
        assert_eq!(Cursor::from(Position::Beginning).to_string(), "0");
    }

    #[test]
    fn a_multi_channel_cursor_has_the_last_advanced_index_and_12_digits_per_channel() {
        let mut cursor = Cursor::new(vec![after("00000z-1"), Position::Beginning]).unwrap();
        assert_eq!(cursor.to_string(), "~0AAAAAACBvxAj____________");
        cursor.advance(1, after("000000-0"));
        assert_eq!(cursor.to_string(), "~1AAAAAACBvxAjAAAAAAAAAAAA");
    }

    #[test]
    fn a_seq_too_high_for_a_multi_channel_cursor_becomes_the_highest_that_fits() {
        let positions = vec![after("zzzzzz-18446744073709551615"), Position::Beginning];
        let cursor = Cursor::new(positions).unwrap();
        assert_eq!(cursor.positions()[0], after(&format!("zzzzzz-{MAX_SEQ}")));
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }

    #[test]
    fn non_canonical_texts_are_rejected() {
        let position = "A".repeat(12);
        let positions = |count: usize| position.repeat(count);
        let rejected = [
            String::new(),
            "~".into(),
            "~0".into(),
            "00".into(),
            "00000z-1~".into(),
            "00000z-1~00000z-1".into(),
            format!("~0{}", positions(1)),
            format!("~0{}", positions(11)),
            format!("~2{}", positions(2)),
            format!("~x{}", positions(2)),
            format!("~é{}", positions(2)),
            format!("~0{}A", positions(2)),
            format!("~0{}{}+", positions(1), "A".repeat(11)),
            // One less than the number of `Position::Beginning`.
            format!("~0{}{}-", positions(1), "_".repeat(11)),
        ];
        for text in rejected {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text:?}");
        }
        assert_eq!(Cursor::new(vec![]), Err(CursorError));
        assert_eq!(Cursor::new(vec![Position::Beginning; 11]), Err(CursorError));
    }
}
