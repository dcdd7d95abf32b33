//! A parser of event streams, from the HTTP/1.1 response through chunks and lines to events. It
//! allocates nothing per event, so that the client does not dominate the measurement.

use memchr::{memchr, memmem};
use runnel_testing::is_bookkeeping;
use thiserror::Error;

/// The data of a benchmark's event: `NUMBER STAMP` and padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventPayload {
    /// The number of the event in its channel.
    pub(crate) number: u64,
    /// The time of publishing, in nanoseconds of the publisher's clock.
    pub(crate) stamp: u64,
}

impl EventPayload {
    /// Digits of the number.
    pub(crate) const NUMBER_DIGITS: usize = 10;
    /// Digits of the stamp.
    pub(crate) const STAMP_DIGITS: usize = 16;

    fn parse(data: &[u8]) -> Option<Self> {
        let (number, rest) = data.split_at_checked(Self::NUMBER_DIGITS)?;
        let stamp = rest.get(1..=Self::STAMP_DIGITS)?;
        Some(Self {
            number: decimal(number)?,
            stamp: decimal(stamp)?,
        })
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then_some(value * 10 + u64::from(digit))
    })
}

/// A response that cannot be read as an endless event stream.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum InvalidResponse {
    /// The status is not `200`.
    #[error("not an event stream: {0}")]
    Head(String),
    /// The last chunk has arrived.
    #[error("the event stream has ended")]
    Ended,
}

/// The parser of one response.
#[derive(Debug, Default)]
pub(crate) struct ResponseParser {
    part: Part,
    /// A head or a line that is not complete yet.
    incomplete: Vec<u8>,
    last_id: Vec<u8>,
    block: Block,
    last_payload: Option<EventPayload>,
    /// Events of the benchmark so far.
    pub(crate) events: u64,
    /// Events so far that do not continue the numbers of their predecessors or are not the
    /// benchmark's. If 0, every event arrived once and in order.
    pub(crate) unexpected_events: u64,
    /// Bytes of the body so far, without the framing of chunks.
    pub(crate) body_bytes: u64,
}

/// The part of the response that follows.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Part {
    #[default]
    Head,
    /// The line with the size of a chunk.
    ChunkSize {
        /// The value of the digits so far.
        size: usize,
        /// True after the last digit.
        is_complete: bool,
    },
    /// A number of bytes of a chunk.
    Chunk(usize),
    /// The rest of the line that ends a chunk.
    ChunkEnd,
    /// A body without chunks.
    Unchunked,
}

impl Part {
    const CHUNK_SIZE: Self = Self::ChunkSize {
        size: 0,
        is_complete: false,
    };
}

/// The data of the block that is being parsed.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Block {
    #[default]
    NoData,
    /// A control event of Runnel's that every stream has.
    Bookkeeping,
    /// One line of data, as the benchmark publishes it.
    Payload(EventPayload),
    /// Any other data.
    Foreign,
}

impl ResponseParser {
    /// Returns the last event ID of the stream.
    pub(crate) fn last_id(&self) -> &[u8] {
        &self.last_id
    }

    /// Returns true once the head has arrived.
    pub(crate) fn has_head(&self) -> bool {
        self.part != Part::Head
    }

    /// Parses the next bytes and calls `on_event` for every event that they complete.
    ///
    /// # Errors
    /// If the status is not `200`, or the response ends.
    pub(crate) fn parse(
        &mut self,
        mut bytes: &[u8],
        mut on_event: impl FnMut(EventPayload),
    ) -> Result<(), InvalidResponse> {
        while !bytes.is_empty() {
            bytes = match self.part {
                Part::Head => self.parse_head(bytes)?,
                Part::ChunkSize { size, is_complete } => {
                    self.parse_chunk_size(size, is_complete, bytes)?
                }
                Part::Chunk(remaining) => {
                    let (chunk, rest) = bytes.split_at(remaining.min(bytes.len()));
                    self.parse_body(chunk, &mut on_event);
                    self.part = match remaining - chunk.len() {
                        0 => Part::ChunkEnd,
                        remaining => Part::Chunk(remaining),
                    };
                    rest
                }
                Part::ChunkEnd => match memchr(b'\n', bytes) {
                    Some(end) => {
                        self.part = Part::CHUNK_SIZE;
                        &bytes[end + 1..]
                    }
                    None => &[],
                },
                Part::Unchunked => {
                    self.parse_body(bytes, &mut on_event);
                    &[]
                }
            };
        }
        Ok(())
    }

    fn parse_head<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], InvalidResponse> {
        let received = self.incomplete.len();
        self.incomplete.extend_from_slice(bytes);
        let Some(end) = memmem::find(&self.incomplete, b"\r\n\r\n") else {
            return Ok(&[]);
        };
        let end = end + 4;
        let head = String::from_utf8_lossy(&self.incomplete[..end]).to_ascii_lowercase();
        if !head.starts_with("http/1.1 200") {
            return Err(InvalidResponse::Head(head));
        }
        self.part = if head.contains("transfer-encoding: chunked") {
            Part::CHUNK_SIZE
        } else {
            Part::Unchunked
        };
        self.incomplete.clear();
        Ok(&bytes[end - received..])
    }

    fn parse_chunk_size<'a>(
        &mut self,
        mut size: usize,
        mut is_complete: bool,
        bytes: &'a [u8],
    ) -> Result<&'a [u8], InvalidResponse> {
        for (index, byte) in bytes.iter().enumerate() {
            match (char::from(*byte).to_digit(16), byte) {
                (_, b'\n') if size == 0 => return Err(InvalidResponse::Ended),
                (_, b'\n') => {
                    self.part = Part::Chunk(size);
                    return Ok(&bytes[index + 1..]);
                }
                (Some(digit), _) if !is_complete => size = size << 4 | digit as usize,
                _ => is_complete = true,
            }
        }
        self.part = Part::ChunkSize { size, is_complete };
        Ok(&[])
    }

    fn parse_body(&mut self, mut text: &[u8], on_event: &mut impl FnMut(EventPayload)) {
        self.body_bytes += text.len() as u64;
        if !self.incomplete.is_empty() {
            let Some(end) = memchr(b'\n', text) else {
                return self.incomplete.extend_from_slice(text);
            };
            let mut line = std::mem::take(&mut self.incomplete);
            line.extend_from_slice(&text[..end]);
            self.parse_line(&line, on_event);
            line.clear();
            self.incomplete = line;
            text = &text[end + 1..];
        }
        while let Some(end) = memchr(b'\n', text) {
            self.parse_line(&text[..end], on_event);
            text = &text[end + 1..];
        }
        self.incomplete.extend_from_slice(text);
    }

    fn parse_line(&mut self, line: &[u8], on_event: &mut impl FnMut(EventPayload)) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return self.dispatch(on_event);
        }
        if let Some(data) = line.strip_prefix(b"data:") {
            let data = data.strip_prefix(b" ").unwrap_or(data);
            self.block = match (self.block, EventPayload::parse(data)) {
                (Block::Bookkeeping, _) => Block::Bookkeeping,
                (Block::NoData, Some(payload)) => Block::Payload(payload),
                _ => Block::Foreign,
            };
        } else if let Some(event_type) = line.strip_prefix(b"event: ") {
            if str::from_utf8(event_type).is_ok_and(is_bookkeeping) {
                self.block = Block::Bookkeeping;
            }
        } else if let Some(id) = line.strip_prefix(b"id:") {
            self.last_id.clear();
            self.last_id
                .extend_from_slice(id.strip_prefix(b" ").unwrap_or(id));
        }
    }

    fn dispatch(&mut self, on_event: &mut impl FnMut(EventPayload)) {
        match std::mem::take(&mut self.block) {
            Block::NoData | Block::Bookkeeping => {}
            Block::Foreign => self.unexpected_events += 1,
            Block::Payload(payload) => {
                self.events += 1;
                if self
                    .last_payload
                    .is_some_and(|last| last.number + 1 != payload.number)
                {
                    self.unexpected_events += 1;
                }
                self.last_payload = Some(payload);
                on_event(payload);
            }
        }
    }
}
