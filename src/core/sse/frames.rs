//! The encoder of event streams.
//!
//! The grammar (WHATWG HTML 9.2.5); the right column is the subset this encoder emits.
//!
//! ```text
//! stream  = [ bom ] *event                   no BOM
//! event   = *( comment / field ) end-of-line a blank line after each block
//! comment = colon *any-char end-of-line      `: text`
//! field   = 1*name-char [ colon [ space ] *any-char ] end-of-line
//!                                            `name: value`, always with the space: a value that
//!                                            begins with a space keeps it
//! end-of-line = ( cr lf / cr / lf )          LF
//! ```

use std::time::Duration;

use super::{Cursor, EventType};
use crate::core::time::millis;

/// A buffer of complete blocks of an event stream, and of comments between them.
///
/// Every block has data. A block without data dispatches no event (9.2.6), but many clients yield an
/// empty event for it, fail on it, or skip its other fields.
///
/// ```
/// # use runnel::core::sse::{Cursor, EventType, Frames, Position};
/// let mut frames = Frames::default();
/// let price = EventType::parse("price").ok();
/// let cursor = Cursor::from(Position::After("3k9x2a-17".parse().unwrap()));
/// frames.event(&cursor, price, "7\n8", None);
/// assert_eq!(frames.into_bytes(), b"event: price\ndata: 7\ndata: 8\nid: 3k9x2a-17\n\n");
/// ```
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
}

impl Frames {
    /// Creates an empty buffer with room for `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
        }
    }

    /// Adds an event. `cursor` is the client's cursor after the event, and becomes the event's id.
    ///
    /// `data` can be any text. It is split at CR LF, CR and LF, the three line ends that clients
    /// recognise, into one `data` line each. Clients join the lines with LF, so every line end
    /// arrives as LF and nothing else changes. Empty data is still an event.
    ///
    /// `trace`, which must not have line ends, adds a field `traceparent`. Browsers ignore it
    /// (9.2.6: other fields are ignored); clients with a parser of their own can continue the
    /// trace.
    ///
    /// The id comes last: some clients record it as soon as they have read its line, and would skip
    /// the event if the connection broke after that.
    pub fn event(
        &mut self,
        cursor: &Cursor,
        event_type: Option<EventType<'_>>,
        data: &str,
        trace: Option<&str>,
    ) {
        if let Some(event_type) = event_type {
            self.line(b"event: ", event_type.as_str().as_bytes());
        }
        self.data(data);
        if let Some(trace) = trace {
            self.line(b"traceparent: ", trace.as_bytes());
        }
        self.id(cursor);
        self.end_block();
    }

    /// Adds a control event of Runnel's own, such as `runnel.gap`. With a `retry`, that becomes the
    /// client's reconnection time (9.2.6: ASCII digits, milliseconds); with a `cursor`, that becomes its
    /// last event ID. Without them, both are unchanged.
    pub fn control_event(
        &mut self,
        name: EventType<'_>,
        retry: Option<Duration>,
        cursor: Option<&Cursor>,
        data: &str,
    ) {
        self.line(b"event: ", name.as_str().as_bytes());
        if let Some(retry) = retry {
            let millis = millis(retry);
            self.line(b"retry: ", itoa::Buffer::new().format(millis).as_bytes());
        }
        self.data(data);
        if let Some(cursor) = cursor {
            self.id(cursor);
        }
        self.end_block();
    }

    /// Adds a comment, which clients ignore, of as many lines as `text` has. No blank line follows it:
    /// some clients would take that for the end of an event.
    pub fn comment(&mut self, text: &str) {
        for_each_line(text, |line| {
            let start: &[u8] = if line.is_empty() { b":" } else { b": " };
            self.line(start, line);
        });
    }

    /// Adds blocks that are encoded already.
    pub fn append(&mut self, blocks: &[u8]) {
        self.bytes.extend_from_slice(blocks);
    }

    /// Returns the bytes from index `start` on.
    #[must_use]
    pub fn since(&self, start: usize) -> &[u8] {
        self.bytes.get(start..).unwrap_or_default()
    }

    /// Returns the number of bytes.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Returns whether the buffer is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Returns the bytes: complete blocks, each of which ends with a blank line, and comments.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn id(&mut self, cursor: &Cursor) {
        self.bytes.extend_from_slice(b"id: ");
        cursor.write(&mut self.bytes);
        self.bytes.push(b'\n');
    }

    fn data(&mut self, data: &str) {
        for_each_line(data, |line| self.line(b"data: ", line));
    }

    fn line(&mut self, start: &[u8], rest: &[u8]) {
        self.bytes.extend_from_slice(start);
        self.bytes.extend_from_slice(rest);
        self.bytes.push(b'\n');
    }

    fn end_block(&mut self) {
        self.bytes.push(b'\n');
    }
}

/// Calls `each` with every line of `text`. There is one line more than there are line ends.
fn for_each_line(text: &str, mut each: impl FnMut(&[u8])) {
    let mut rest = text.as_bytes();
    while let Some(end) = memchr::memchr2(b'\r', b'\n', rest) {
        let (line, after) = rest.split_at(end);
        each(line);
        let end_of_line = if after.starts_with(b"\r\n") { 2 } else { 1 };
        rest = after.get(end_of_line..).unwrap_or_default();
    }
    each(rest);
}

#[cfg(test)]
mod tests {
    use super::super::{Epoch, EventId, Position, Seq};
    use super::*;
    use eventsource_stream::Eventsource;
    use futures::{StreamExt, executor::block_on, stream};
    use proptest::prelude::*;

    fn wire(event_type: Option<&str>, data: &str) -> String {
        let mut frames = Frames::default();
        let event_type = event_type.map(|text| EventType::parse(text).unwrap());
        frames.event(&"3k9x2a-17".parse().unwrap(), event_type, data, None);
        String::from_utf8(frames.into_bytes()).unwrap()
    }

    #[test]
    fn an_event_is_its_type_data_and_id_on_a_line_each_and_a_blank_line() {
        assert_eq!(
            wire(Some("price"), "7"),
            "event: price\ndata: 7\nid: 3k9x2a-17\n\n"
        );
        assert_eq!(wire(None, "7"), "data: 7\nid: 3k9x2a-17\n\n");
    }

    #[test]
    fn data_is_split_at_every_kind_of_line_end() {
        assert_eq!(
            wire(None, "a\nb\rc\r\nd"),
            "data: a\ndata: b\ndata: c\ndata: d\nid: 3k9x2a-17\n\n"
        );
        assert_eq!(
            wire(None, "a\n\rb"),
            "data: a\ndata: \ndata: b\nid: 3k9x2a-17\n\n"
        );
        assert_eq!(
            wire(None, "\r\r\n"),
            "data: \ndata: \ndata: \nid: 3k9x2a-17\n\n"
        );
    }

    #[test]
    fn empty_data_is_still_an_event() {
        assert_eq!(wire(None, ""), "data: \nid: 3k9x2a-17\n\n");
    }

    #[test]
    fn a_trailing_line_end_adds_an_empty_line() {
        assert_eq!(wire(None, "a\n"), "data: a\ndata: \nid: 3k9x2a-17\n\n");
    }

    #[test]
    fn data_keeps_leading_spaces_colons_nul_and_a_byte_order_mark() {
        assert_eq!(
            wire(None, "  a: b\0\u{feff}ü\u{2028}"),
            "data:   a: b\0\u{feff}ü\u{2028}\nid: 3k9x2a-17\n\n"
        );
    }

    #[test]
    fn data_cannot_forge_a_field_or_a_block() {
        assert_eq!(
            wire(None, "a\n\nid: 9\nevent: x\r\rdata: y"),
            "data: a\ndata: \ndata: id: 9\ndata: event: x\ndata: \ndata: data: y\nid: 3k9x2a-17\n\n"
        );
    }

    #[test]
    fn comments_and_control_events_are_encoded() {
        let mut frames = Frames::default();
        frames.comment("");
        frames.comment("two\nlines");
        let end = EventType::parse("runnel.end").unwrap();
        frames.control_event(end, None, None, "{}");
        let retry = Duration::from_millis(2_345);
        let cursor = "00000z-1".parse().unwrap();
        frames.control_event(end, Some(retry), Some(&cursor), "{}");
        assert_eq!(
            String::from_utf8(frames.into_bytes()).unwrap(),
            ":\n: two\n: lines\nevent: runnel.end\ndata: {}\n\n\
             event: runnel.end\nretry: 2345\ndata: {}\nid: 00000z-1\n\n"
        );
    }

    #[test]
    fn an_event_id_is_encoded_as_it_is_displayed() {
        for (random, seq) in [(0, 0), (1, 9), (35, 10), (2_176_782_335, u64::MAX)] {
            let id = EventId {
                epoch: Epoch::from_random(random),
                seq: Seq(seq),
            };
            let mut frames = Frames::default();
            frames.event(&Position::After(id).into(), None, "", None);
            assert_eq!(
                frames.into_bytes(),
                format!("data: \nid: {id}\n\n").into_bytes()
            );
        }
    }

    fn texts() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-c:\r\n \0]{0,40}",
            "(data|id|event|retry|: |\r\n|\n|\r|\u{feff}|ü){0,12}",
            any::<String>(),
        ]
    }

    fn as_joined_by_a_client(data: &str) -> String {
        data.replace("\r\n", "\n").replace('\r', "\n")
    }

    proptest! {
        /// Property: whatever is encoded, every blank line ends a block with data, and every line is a
        /// comment or belongs to such a block.
        #[test]
        fn every_block_has_data(
            blocks in prop::collection::vec((0..4_u8, texts(), prop::bool::ANY), 1..12),
        ) {
            let mut frames = Frames::default();
            let name = EventType::parse("runnel.end").unwrap();
            let cursor: Cursor = "3k9x2a-17".parse().unwrap();
            for (kind, text, flag) in &blocks {
                let id = flag.then_some(&cursor);
                match kind {
                    0 => frames.comment(text),
                    1 => frames.event(&cursor, flag.then_some(name), text, None),
                    2 => frames.control_event(name, None, id, text),
                    _ => frames.control_event(name, Some(Duration::ZERO), id, text),
                }
            }
            let wire = String::from_utf8(frames.into_bytes()).unwrap();
            let (mut fields, mut has_data) = (0, false);
            for line in wire.split_terminator('\n') {
                if line.is_empty() {
                    prop_assert!(has_data, "a block without data: {:?}", wire);
                    (fields, has_data) = (0, false);
                } else if !line.starts_with(':') {
                    fields += 1;
                    has_data |= line.starts_with("data: ");
                }
            }
            prop_assert_eq!(fields, 0, "an incomplete block");
        }

        /// Property: every event arrives unchanged, except that line ends become LF, into whatever
        /// chunks the network splits the stream. The decoder is a third party's.
        #[test]
        fn every_event_survives_the_wire_in_any_chunks(
            events in prop::collection::vec(("[a-z:. ü]{1,8}", prop::bool::ANY, texts()), 0..8),
            cuts in prop::collection::vec(1_usize..40, 1..20),
        ) {
            let mut frames = Frames::default();
            for (index, (event_type, typed, data)) in events.iter().enumerate() {
                frames.comment("");
                let id = EventId { epoch: Epoch::from_random(7), seq: Seq(index as u64 + 1) };
                let event_type = typed.then(|| EventType::parse(event_type).unwrap());
                frames.event(&Position::After(id).into(), event_type, data, None);
            }
            let bytes = frames.into_bytes();
            let mut rest = bytes.as_slice();
            let mut chunks = vec![];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (chunk, after) = rest.split_at((*cut).min(rest.len()));
                chunks.push(Ok::<_, std::convert::Infallible>(chunk.to_vec()));
                rest = after;
            }
            let decoded: Vec<_> = block_on(stream::iter(chunks).eventsource().collect());
            prop_assert_eq!(decoded.len(), events.len());
            for (index, (event, (event_type, typed, data))) in decoded.into_iter().zip(&events).enumerate() {
                let event = event.unwrap();
                let expected_type = if *typed { event_type.as_str() } else { "message" };
                prop_assert_eq!(event.event.as_str(), expected_type);
                prop_assert_eq!(event.id, format!("000007-{}", index + 1));
                prop_assert_eq!(event.data, as_joined_by_a_client(data));
            }
        }
    }
}
