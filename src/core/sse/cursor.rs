//! Cursors: where a client stands, and what it hands back to resume.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use super::event_id::{EPOCH_COUNT, Epoch, EventId, Seq};

/// The longest cursor, in bytes: a `Last-Event-ID` header of more than 128 bytes, or with other
/// characters, costs browsers a CORS preflight (Fetch, "CORS-safelisted request-header").
pub const MAX_CURSOR_BYTES: usize = 128;

/// The most channels of one stream: a cursor over more would not fit [`MAX_CURSOR_BYTES`].
pub const MAX_CHANNELS: usize = 10;

/// The bytes of a position among several, and the digits of base 64 (RFC 4648, "URL and Filename safe")
/// that they are written as.
const MARK_BYTES: usize = 9;
const MARK_DIGITS: usize = 12;

/// What a position among several is if its log has not begun.
const BEGINNING: u128 = (1 << (8 * MARK_BYTES)) - 1;

/// A position among several is a seq times this, and an epoch.
const EPOCHS: u128 = EPOCH_COUNT as u128;

/// The highest seq that a position among several can name: 2.1 · 10^12.
const MAX_SEQ: u64 = ((BEGINNING - 1) / EPOCHS - 1) as u64;

/// Where a client stands in one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Before the first event of a log that had not begun.
    Beginning,
    /// After this event; its seq may be 0, which is before the first.
    After(EventId),
}

/// Where a client stands: one [`Position`] for each channel of its stream, in the stream's order.
///
/// Over one channel it is written as the id of the last event, or `0` if the log had not begun. Over
/// several it is `~`, a digit that says which of the channels moved last (in an event's id, that is
/// the event's channel), and 12 digits of base 64 for each: at most 122 bytes of `[A-Za-z0-9_~-]`.
///
/// `Display` and `FromStr` are each other's inverse: a text that parses is written back the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    positions: Vec<Position>,
    moved: usize,
}

/// The text is not a cursor of this server, or there are no positions or too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CursorError;

impl fmt::Display for CursorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a cursor of this server, such as 3k9x2a-17")
    }
}

impl std::error::Error for CursorError {}

impl Cursor {
    /// A cursor with these positions, 1 to [`MAX_CHANNELS`].
    ///
    /// # Errors
    /// If there are fewer or more.
    pub fn new(positions: Vec<Position>) -> Result<Self, CursorError> {
        if positions.is_empty() || positions.len() > MAX_CHANNELS {
            return Err(CursorError);
        }
        let mut cursor = Self {
            positions: positions.clone(),
            moved: 0,
        };
        for (place, position) in positions.into_iter().enumerate().rev() {
            cursor.advance(place, position);
        }
        Ok(cursor)
    }

    /// Moves the position at `place`, if there is one, to `position`.
    ///
    /// Among several, a seq that cannot be written is taken for the highest that can: who resumes
    /// there gets events again rather than losing any.
    pub fn advance(&mut self, place: usize, position: Position) {
        let several = self.positions.len() > 1;
        if let Some(known) = self.positions.get_mut(place) {
            *known = match position {
                Position::After(EventId { epoch, seq }) if several => Position::After(EventId {
                    epoch,
                    seq: seq.min(Seq(MAX_SEQ)),
                }),
                position => position,
            };
            self.moved = place;
        }
    }

    /// The positions, in the order of the channels.
    #[must_use]
    pub fn positions(&self) -> &[Position] {
        &self.positions
    }

    /// Which position moved last.
    #[must_use]
    pub const fn moved(&self) -> usize {
        self.moved
    }

    /// Appends the cursor's text to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        if let [position] = self.positions.as_slice() {
            return match position {
                Position::Beginning => out.push(b'0'),
                Position::After(id) => id.write(out),
            };
        }
        out.push(b'~');
        out.push(b'0'.wrapping_add(u8::try_from(self.moved).unwrap_or_default()));
        for position in &self.positions {
            let number = match position {
                Position::Beginning => BEGINNING,
                Position::After(id) => number(*id),
            };
            let mut digits = [0; MARK_DIGITS];
            if let Some(low) = number.to_be_bytes().last_chunk::<MARK_BYTES>() {
                // It fits: 9 bytes are 12 digits.
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
            moved: 0,
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
        let Some(several) = text.strip_prefix('~') else {
            let id = text.parse().map_err(|_| CursorError)?;
            return Ok(Position::After(id).into());
        };
        let (moved, digits) = several.as_bytes().split_first().ok_or(CursorError)?;
        let moved = usize::from(moved.wrapping_sub(b'0'));
        let (positions, rest) = digits.as_chunks::<MARK_DIGITS>();
        if !rest.is_empty()
            || !(2..=MAX_CHANNELS).contains(&positions.len())
            || moved >= positions.len()
        {
            return Err(CursorError);
        }
        let positions = positions.iter().map(position).collect::<Result<_, _>>()?;
        Ok(Self { positions, moved })
    }
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "64 bits times 32 bits, and 32 bits more, fit 128"
)]
fn number(id: EventId) -> u128 {
    u128::from(id.seq.0) * EPOCHS + u128::from(id.epoch.number())
}

fn position(digits: &[u8; MARK_DIGITS]) -> Result<Position, CursorError> {
    let mut bytes = [0; size_of::<u128>()];
    let low = bytes.last_chunk_mut::<MARK_BYTES>().ok_or(CursorError)?;
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
        /// Law: parse(write(cursor)) = cursor, in so many bytes and an alphabet that needs no
        /// escape and no preflight.
        #[test]
        fn every_cursor_is_read_back_as_it_was_written(
            positions in prop::collection::vec(positions(), 1..=MAX_CHANNELS),
            moved in 0..MAX_CHANNELS,
        ) {
            let mut cursor = Cursor::new(positions).unwrap();
            if let Some(position) = cursor.positions().get(moved).copied() {
                cursor.advance(moved, position);
                prop_assert_eq!(cursor.moved(), moved);
            }
            let text = cursor.to_string();
            prop_assert!(text.len() <= MAX_CURSOR_BYTES);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b)));
            prop_assert_eq!(text.parse::<Cursor>(), Ok(cursor));
        }

        /// Law: write(parse(text)) = text, for any text that parses; none makes it panic.
        #[test]
        fn any_text_that_parses_is_written_back_the_same(
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
    fn over_one_channel_it_is_the_id_or_0() {
        assert_eq!(Cursor::from(after("3k9x2a-17")).to_string(), "3k9x2a-17");
        assert_eq!(Cursor::from(Position::Beginning).to_string(), "0");
    }

    #[test]
    fn over_several_channels_it_says_which_moved_and_has_12_digits_for_each() {
        let mut cursor = Cursor::new(vec![after("00000z-1"), Position::Beginning]).unwrap();
        assert_eq!(cursor.to_string(), "~0AAAAAACBvxAj____________");
        cursor.advance(1, after("000000-0"));
        assert_eq!(cursor.to_string(), "~1AAAAAACBvxAjAAAAAAAAAAAA");
    }

    #[test]
    fn a_seq_too_high_for_several_channels_is_the_highest_that_fits() {
        let positions = vec![after("zzzzzz-18446744073709551615"), Position::Beginning];
        let cursor = Cursor::new(positions).unwrap();
        assert_eq!(cursor.positions()[0], after(&format!("zzzzzz-{MAX_SEQ}")));
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }

    #[test]
    fn refuses_what_it_would_not_write() {
        let position = "A".repeat(12);
        let positions = |count: usize| position.repeat(count);
        let refused = [
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
            // The number before that of a log that has not begun.
            format!("~0{}{}-", positions(1), "_".repeat(11)),
        ];
        for text in refused {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text:?}");
        }
        assert_eq!(Cursor::new(vec![]), Err(CursorError));
        assert_eq!(Cursor::new(vec![Position::Beginning; 11]), Err(CursorError));
    }
}
