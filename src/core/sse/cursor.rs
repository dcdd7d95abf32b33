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

/// The bytes of a mark among several, and the digits of base 64 (RFC 4648, "URL and Filename safe")
/// that they are written as.
const MARK_BYTES: usize = 9;
const MARK_DIGITS: usize = 12;

/// What a mark among several is if its log has not begun.
const UNBEGUN: u128 = (1 << (8 * MARK_BYTES)) - 1;

/// A mark among several is a seq times this, and an epoch.
const EPOCHS: u128 = EPOCH_COUNT as u128;

/// The highest seq that a mark among several can name: 2.1 · 10^12.
const MAX_SEQ: u64 = ((UNBEGUN - 1) / EPOCHS - 1) as u64;

/// Where a client stands in one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Before the first event of a log that had not begun.
    Unbegun,
    /// After this event; its seq may be 0, which is before the first.
    After(EventId),
}

/// Where a client stands: one [`Mark`] for each channel of its stream, in the stream's order.
///
/// Over one channel it is written as the id of the last event, or `0` if the log had not begun. Over
/// several it is `~`, a digit that says which of the channels moved last (in an event's id, that is
/// the event's channel), and 12 digits of base 64 for each: at most 122 bytes of `[A-Za-z0-9_~-]`.
///
/// `Display` and `FromStr` are each other's inverse: a text that parses is written back the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    marks: Vec<Mark>,
    moved: usize,
}

/// The text is not a cursor of this server, or there are no marks or too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CursorError;

impl fmt::Display for CursorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a cursor of this server, such as 3k9x2a-17")
    }
}

impl std::error::Error for CursorError {}

impl Cursor {
    /// A cursor with these marks, 1 to [`MAX_CHANNELS`].
    ///
    /// # Errors
    /// If there are fewer or more.
    pub fn new(marks: Vec<Mark>) -> Result<Self, CursorError> {
        if marks.is_empty() || marks.len() > MAX_CHANNELS {
            return Err(CursorError);
        }
        let mut cursor = Self {
            marks: marks.clone(),
            moved: 0,
        };
        for (place, mark) in marks.into_iter().enumerate().rev() {
            cursor.advance(place, mark);
        }
        Ok(cursor)
    }

    /// Moves the mark at `place`, if there is one, to `mark`.
    ///
    /// Among several, a seq that cannot be written is taken for the highest that can: who resumes
    /// there gets events again rather than losing any.
    pub fn advance(&mut self, place: usize, mark: Mark) {
        let several = self.marks.len() > 1;
        if let Some(known) = self.marks.get_mut(place) {
            *known = match mark {
                Mark::After(EventId { epoch, seq }) if several => Mark::After(EventId {
                    epoch,
                    seq: seq.min(Seq(MAX_SEQ)),
                }),
                mark => mark,
            };
            self.moved = place;
        }
    }

    /// The marks, in the order of the channels.
    #[must_use]
    pub fn marks(&self) -> &[Mark] {
        &self.marks
    }

    /// Which mark moved last.
    #[must_use]
    pub const fn moved(&self) -> usize {
        self.moved
    }

    /// Appends the cursor's text to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        if let [mark] = self.marks.as_slice() {
            return match mark {
                Mark::Unbegun => out.push(b'0'),
                Mark::After(id) => id.write(out),
            };
        }
        out.push(b'~');
        out.push(b'0'.wrapping_add(u8::try_from(self.moved).unwrap_or_default()));
        for mark in &self.marks {
            let number = match mark {
                Mark::Unbegun => UNBEGUN,
                Mark::After(id) => number(*id),
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

impl From<Mark> for Cursor {
    fn from(mark: Mark) -> Self {
        Self {
            marks: vec![mark],
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
            return Ok(Mark::Unbegun.into());
        }
        let Some(several) = text.strip_prefix('~') else {
            let id = text.parse().map_err(|_| CursorError)?;
            return Ok(Mark::After(id).into());
        };
        let (moved, digits) = several.as_bytes().split_first().ok_or(CursorError)?;
        let moved = usize::from(moved.wrapping_sub(b'0'));
        let (marks, rest) = digits.as_chunks::<MARK_DIGITS>();
        if !rest.is_empty() || !(2..=MAX_CHANNELS).contains(&marks.len()) || moved >= marks.len() {
            return Err(CursorError);
        }
        let marks = marks.iter().map(mark).collect::<Result<_, _>>()?;
        Ok(Self { marks, moved })
    }
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "64 bits times 32 bits, and 32 bits more, fit 128"
)]
fn number(id: EventId) -> u128 {
    u128::from(id.seq.0) * EPOCHS + u128::from(id.epoch.number())
}

fn mark(digits: &[u8; MARK_DIGITS]) -> Result<Mark, CursorError> {
    let mut bytes = [0; size_of::<u128>()];
    let low = bytes.last_chunk_mut::<MARK_BYTES>().ok_or(CursorError)?;
    BASE64
        .decode_slice_unchecked(digits, low)
        .map_err(|_| CursorError)?;
    let number = u128::from_be_bytes(bytes);
    if number == UNBEGUN {
        return Ok(Mark::Unbegun);
    }
    let seq = u64::try_from(number / EPOCHS).map_err(|_| CursorError)?;
    let epoch = u64::try_from(number % EPOCHS).map_err(|_| CursorError)?;
    if seq > MAX_SEQ {
        return Err(CursorError);
    }
    Ok(Mark::After(EventId {
        epoch: Epoch::from_random(epoch),
        seq: Seq(seq),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn marks() -> impl Strategy<Value = Mark> {
        let seqs = prop_oneof![0..100_u64, any::<u64>()];
        prop::option::of((any::<u64>(), seqs)).prop_map(|id| match id {
            None => Mark::Unbegun,
            Some((random, seq)) => Mark::After(EventId {
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
            marks in prop::collection::vec(marks(), 1..=MAX_CHANNELS),
            moved in 0..MAX_CHANNELS,
        ) {
            let mut cursor = Cursor::new(marks).unwrap();
            if let Some(mark) = cursor.marks().get(moved).copied() {
                cursor.advance(moved, mark);
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

    fn after(text: &str) -> Mark {
        Mark::After(text.parse().unwrap())
    }

    #[test]
    fn over_one_channel_it_is_the_id_or_0() {
        assert_eq!(Cursor::from(after("3k9x2a-17")).to_string(), "3k9x2a-17");
        assert_eq!(Cursor::from(Mark::Unbegun).to_string(), "0");
    }

    #[test]
    fn over_several_channels_it_says_which_moved_and_has_12_digits_for_each() {
        let mut cursor = Cursor::new(vec![after("00000z-1"), Mark::Unbegun]).unwrap();
        assert_eq!(cursor.to_string(), "~0AAAAAACBvxAj____________");
        cursor.advance(1, after("000000-0"));
        assert_eq!(cursor.to_string(), "~1AAAAAACBvxAjAAAAAAAAAAAA");
    }

    #[test]
    fn a_seq_too_high_for_several_channels_is_the_highest_that_fits() {
        let marks = vec![after("zzzzzz-18446744073709551615"), Mark::Unbegun];
        let cursor = Cursor::new(marks).unwrap();
        assert_eq!(cursor.marks()[0], after(&format!("zzzzzz-{MAX_SEQ}")));
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }

    #[test]
    fn refuses_what_it_would_not_write() {
        let mark = "A".repeat(12);
        let marks = |count: usize| mark.repeat(count);
        let refused = [
            String::new(),
            "~".into(),
            "~0".into(),
            "00".into(),
            "00000z-1~".into(),
            "00000z-1~00000z-1".into(),
            format!("~0{}", marks(1)),
            format!("~0{}", marks(11)),
            format!("~2{}", marks(2)),
            format!("~x{}", marks(2)),
            format!("~é{}", marks(2)),
            format!("~0{}A", marks(2)),
            format!("~0{}{}+", marks(1), "A".repeat(11)),
            // The number before that of a log that has not begun.
            format!("~0{}{}-", marks(1), "_".repeat(11)),
        ];
        for text in refused {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text:?}");
        }
        assert_eq!(Cursor::new(vec![]), Err(CursorError));
        assert_eq!(Cursor::new(vec![Mark::Unbegun; 11]), Err(CursorError));
    }
}
