//! An event stream as it arrives: HTTP/1.1 response, chunks, lines, events. Nothing is allocated for
//! an event, so that the client is not what is measured.

use std::fmt;

use memchr::memchr;
use memchr::memmem;

/// What a benchmark's event says in its data: `NUMBER STAMP` and filling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Datum {
    /// Its place in the channel.
    pub(crate) number: u64,
    /// When it was published, in nanoseconds of the publisher's clock.
    pub(crate) stamp: u64,
}

impl Datum {
    /// The digits of a number.
    pub(crate) const NUMBER_DIGITS: usize = 10;
    /// The digits of a stamp.
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

/// What a response is that is no event stream, or no longer one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed(String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not an event stream: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// What has arrived of one response.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    part: Part,
    /// A head or a line that is not complete yet.
    unfinished: Vec<u8>,
    last_id: Vec<u8>,
    in_block: Option<Result<Datum, ()>>,
    last: Option<Datum>,
    /// Events so far.
    pub(crate) events: u64,
    /// Events that did not have the number after that of the one before, or were not of the
    /// benchmark. 0 is what proves that every event came once and in order.
    pub(crate) strays: u64,
    /// Bytes of the body so far, without the framing of chunks.
    pub(crate) body_bytes: u64,
}

/// The part of the response that comes next.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Part {
    #[default]
    Head,
    /// A line with the size of a chunk; the digits so far, and whether they are over.
    Size(usize, bool),
    /// So many bytes of a chunk.
    Chunk(usize),
    /// The rest of the line that ends a chunk.
    ChunkEnd,
    /// A body without chunks.
    Plain,
}

impl Wire {
    /// The last event ID, as the stream has told it.
    pub(crate) fn last_id(&self) -> &[u8] {
        &self.last_id
    }

    /// Whether the head has arrived.
    pub(crate) fn is_open(&self) -> bool {
        self.part != Part::Head
    }

    /// Takes the next bytes, and says every event in them.
    ///
    /// # Errors
    /// If the response is not `200`, or its framing is broken.
    pub(crate) fn take(
        &mut self,
        mut bytes: &[u8],
        mut on_event: impl FnMut(Datum),
    ) -> Result<(), Malformed> {
        while !bytes.is_empty() {
            bytes = match self.part {
                Part::Head => self.head(bytes)?,
                Part::Size(size, over) => self.size(size, over, bytes)?,
                Part::Chunk(left) => {
                    let (chunk, rest) = bytes.split_at(left.min(bytes.len()));
                    self.text(chunk, &mut on_event);
                    self.part = match left - chunk.len() {
                        0 => Part::ChunkEnd,
                        left => Part::Chunk(left),
                    };
                    rest
                }
                Part::ChunkEnd => match memchr(b'\n', bytes) {
                    Some(end) => {
                        self.part = Part::Size(0, false);
                        &bytes[end + 1..]
                    }
                    None => &[],
                },
                Part::Plain => {
                    self.text(bytes, &mut on_event);
                    &[]
                }
            };
        }
        Ok(())
    }

    fn head<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Malformed> {
        let known = self.unfinished.len();
        self.unfinished.extend_from_slice(bytes);
        let Some(end) = memmem::find(&self.unfinished, b"\r\n\r\n") else {
            return Ok(&[]);
        };
        let end = end + 4;
        let head = String::from_utf8_lossy(&self.unfinished[..end]).to_ascii_lowercase();
        if !head.starts_with("http/1.1 200") {
            return Err(Malformed(head));
        }
        self.part = match head.contains("transfer-encoding: chunked") {
            true => Part::Size(0, false),
            false => Part::Plain,
        };
        self.unfinished.clear();
        Ok(&bytes[end - known..])
    }

    fn size<'a>(
        &mut self,
        mut size: usize,
        mut over: bool,
        bytes: &'a [u8],
    ) -> Result<&'a [u8], Malformed> {
        for (at, byte) in bytes.iter().enumerate() {
            match (char::from(*byte).to_digit(16), byte) {
                (_, b'\n') if size == 0 => return Err(Malformed("it has ended".to_owned())),
                (_, b'\n') => {
                    self.part = Part::Chunk(size);
                    return Ok(&bytes[at + 1..]);
                }
                (Some(digit), _) if !over => size = size << 4 | digit as usize,
                _ => over = true,
            }
        }
        self.part = Part::Size(size, over);
        Ok(&[])
    }

    fn text(&mut self, mut text: &[u8], on_event: &mut impl FnMut(Datum)) {
        self.body_bytes += text.len() as u64;
        if !self.unfinished.is_empty() {
            let Some(end) = memchr(b'\n', text) else {
                return self.unfinished.extend_from_slice(text);
            };
            let mut line = std::mem::take(&mut self.unfinished);
            line.extend_from_slice(&text[..end]);
            self.line(&line, on_event);
            line.clear();
            self.unfinished = line;
            text = &text[end + 1..];
        }
        while let Some(end) = memchr(b'\n', text) {
            self.line(&text[..end], on_event);
            text = &text[end + 1..];
        }
        self.unfinished.extend_from_slice(text);
    }

    fn line(&mut self, line: &[u8], on_event: &mut impl FnMut(Datum)) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return self.dispatch(on_event);
        }
        if let Some(data) = line.strip_prefix(b"data:") {
            let data = data.strip_prefix(b" ").unwrap_or(data);
            // More than one line of data is nothing the benchmark has published.
            self.in_block = Some(match (self.in_block, Datum::parse(data)) {
                (None, Some(datum)) => Ok(datum),
                _ => Err(()),
            });
        } else if let Some(id) = line.strip_prefix(b"id:") {
            self.last_id.clear();
            self.last_id
                .extend_from_slice(id.strip_prefix(b" ").unwrap_or(id));
        }
    }

    fn dispatch(&mut self, on_event: &mut impl FnMut(Datum)) {
        match self.in_block.take() {
            None => {}
            Some(Err(())) => self.strays += 1,
            Some(Ok(datum)) => {
                self.events += 1;
                if self
                    .last
                    .is_some_and(|last| last.number + 1 != datum.number)
                {
                    self.strays += 1;
                }
                self.last = Some(datum);
                on_event(datum);
            }
        }
    }
}
