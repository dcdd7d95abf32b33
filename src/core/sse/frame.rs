//! The encoder: events, comments and reconnection times as the bytes of an event stream.
//!
//! The grammar (WHATWG HTML 9.2.5), of which the encoder writes the part in capitals' right column:
//!
//! ```text
//! stream  = [ bom ] *event                   no BOM
//! event   = *( comment / field ) end-of-line one blank line after each block
//! comment = colon *any-char end-of-line      `: text`
//! field   = 1*name-char [ colon [ space ] *any-char ] end-of-line
//!                                            always `name: value`, with the space, so that a value
//!                                            that begins with a space keeps it
//! end-of-line = ( cr lf / cr / lf )          LF
//! ```

use super::{Cursor, EventType};

/// Whole blocks of an event stream, in the order they were added.
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
    /// An empty buffer with room for `capacity` bytes.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
        }
    }

    /// Adds an event; `cursor` is where the client stands when it has it, and becomes its id.
    ///
    /// `data` may be anything: it is cut at CR LF, CR and LF, the three line ends a client
    /// recognises, into one `data` line each. The client joins the lines with LF again, so every
    /// line end arrives as LF and nothing else changes; empty data is still an event.
    ///
    /// With a `trace`, which has no line ends, the block has a field `traceparent`. A browser ignores
    /// it (9.2.6: other fields are ignored); clients that read the stream themselves can go on with it.
    ///
    /// The id comes last: some clients take it as had when they read its line, and would skip the
    /// event if the connection broke after that.
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

    /// Adds an event of Runnel's own, such as `runnel.gap`. With a `cursor` it also moves the
    /// client there; without one the client's last event ID stays as it is.
    pub fn signal(&mut self, name: EventType<'_>, cursor: Option<&Cursor>, data: &str) {
        self.line(b"event: ", name.as_str().as_bytes());
        self.data(data);
        if let Some(cursor) = cursor {
            self.id(cursor);
        }
        self.end_block();
    }

    /// Adds a block that only moves the client's last event ID (9.2.6: a block without data
    /// dispatches nothing).
    pub fn position(&mut self, cursor: &Cursor) {
        self.id(cursor);
        self.end_block();
    }

    /// Adds a comment block, which clients ignore. Line ends in `text` begin further comment lines.
    pub fn comment(&mut self, text: &str) {
        for_each_line(text, |line| {
            let start: &[u8] = if line.is_empty() { b":" } else { b": " };
            self.line(start, line);
        });
        self.end_block();
    }

    /// Adds a block that sets the client's reconnection time (9.2.6: ASCII digits, milliseconds) and,
    /// with a `cursor`, its last event ID.
    pub fn retry(&mut self, millis: u64, cursor: Option<&Cursor>) {
        self.line(b"retry: ", itoa::Buffer::new().format(millis).as_bytes());
        if let Some(cursor) = cursor {
            self.id(cursor);
        }
        self.end_block();
    }

    /// Adds blocks that were encoded before.
    pub fn append(&mut self, blocks: &[u8]) {
        self.bytes.extend_from_slice(blocks);
    }

    /// What was added after the first `start` bytes.
    #[must_use]
    pub fn since(&self, start: usize) -> &[u8] {
        self.bytes.get(start..).unwrap_or_default()
    }

    /// How many bytes have been added.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing has been added.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes for the wire: nothing, or blocks that each end with a blank line.
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

/// Calls `each` with the lines of `text`: one more than it has line ends, so at least one.
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
    fn writes_id_type_and_data_each_on_a_line_and_a_blank_line_after() {
        assert_eq!(
            wire(Some("price"), "7"),
            "event: price\ndata: 7\nid: 3k9x2a-17\n\n"
        );
        assert_eq!(wire(None, "7"), "data: 7\nid: 3k9x2a-17\n\n");
    }

    #[test]
    fn cuts_data_at_every_kind_of_line_end() {
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
    fn a_trailing_line_end_is_one_more_empty_line() {
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
    fn writes_comments_reconnection_times_and_signals() {
        let mut frames = Frames::default();
        frames.retry(2_345, None);
        frames.retry(1, Some(&"00000z-1".parse().unwrap()));
        frames.comment("");
        frames.comment("two\nlines");
        let end = EventType::parse("runnel.end").unwrap();
        frames.signal(end, None, "{}");
        let cursor = "00000z-1".parse().unwrap();
        frames.signal(end, Some(&cursor), "{}");
        frames.position(&cursor);
        assert_eq!(
            String::from_utf8(frames.into_bytes()).unwrap(),
            "retry: 2345\n\nretry: 1\nid: 00000z-1\n\n:\n\n: two\n: lines\n\nevent: runnel.end\ndata: {}\n\n\
             event: runnel.end\ndata: {}\nid: 00000z-1\n\nid: 00000z-1\n\n"
        );
    }

    #[test]
    fn an_event_id_is_written_as_it_is_displayed() {
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

    fn as_a_client_joins_it(data: &str) -> String {
        data.replace("\r\n", "\n").replace('\r', "\n")
    }

    proptest! {
        /// Law: whatever is published arrives, however the network cuts the stream; only line ends
        /// become LF. Decoded by a parser that is not ours.
        #[test]
        fn every_event_survives_the_wire_in_any_chunks(
            events in prop::collection::vec(("[a-z:. ü]{1,8}", prop::bool::ANY, texts()), 0..8),
            cuts in prop::collection::vec(1_usize..40, 1..20),
        ) {
            let mut frames = Frames::default();
            frames.retry(1, None);
            for (place, (event_type, typed, data)) in events.iter().enumerate() {
                frames.comment("");
                let id = EventId { epoch: Epoch::from_random(7), seq: Seq(place as u64 + 1) };
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
            for (place, (event, (event_type, typed, data))) in decoded.into_iter().zip(&events).enumerate() {
                let event = event.unwrap();
                let expected_type = if *typed { event_type.as_str() } else { "message" };
                prop_assert_eq!(event.event.as_str(), expected_type);
                prop_assert_eq!(event.id, format!("000007-{}", place + 1));
                prop_assert_eq!(event.data, as_a_client_joins_it(data));
            }
        }
    }
}
