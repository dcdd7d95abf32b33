//! A publisher on a keep-alive connection.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::LazyLock;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::EventPayload;
use crate::servers::{Server, TOKEN};

/// Bytes of data of an event.
const DATA_BYTES: usize = 200;

/// Events of a batch; safely below 64 KiB.
pub(crate) const BATCH: u64 = 200;

/// Returns the time that events are stamped with, in nanoseconds since the first call.
pub(crate) fn now() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// A keep-alive connection that publishes to one channel.
pub(crate) struct Publisher {
    socket: TcpStream,
    head: String,
    /// True if the server accepts a batch in one request. Otherwise each event is a request, and the
    /// requests of a batch are pipelined.
    uses_batches: bool,
    next: u64,
    request: Vec<u8>,
    /// The responses that have been received and not yet parsed.
    responses: Vec<u8>,
}

impl Publisher {
    /// Connects to a server.
    pub(crate) async fn open(server: &Server, channel: &str) -> Result<Self> {
        let socket = TcpStream::connect(server.address())
            .await
            .with_context(|| format!("cannot connect to {server}"))?;
        socket.set_nodelay(true)?;
        let head = format!(
            "POST /publish/{channel} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {TOKEN}\r\n",
            server.address()
        );
        Ok(Self {
            socket,
            head,
            uses_batches: server.peer().accepts_batches(),
            next: 0,
            request: vec![],
            responses: vec![],
        })
    }

    /// Publishes `count` events, batch by batch, stamped with the time at which they are sent.
    pub(crate) async fn publish(&mut self, count: u64) -> Result<()> {
        let end = self.next + count;
        while self.next < end {
            let batch = self.next..end.min(self.next + BATCH);
            self.publish_batch(batch, now()).await?;
        }
        Ok(())
    }

    /// Publishes one event with the given stamp.
    pub(crate) async fn publish_one(&mut self, stamp: u64) -> Result<()> {
        self.publish_batch(self.next..self.next + 1, stamp).await
    }

    async fn publish_batch(&mut self, numbers: Range<u64>, stamp: u64) -> Result<()> {
        self.next = numbers.end;
        self.request.clear();
        let mut requests = 1;
        if self.uses_batches {
            let mut body = String::new();
            for number in numbers {
                writeln!(body, "{{\"data\":\"{}\"}}", data(number, stamp))?;
            }
            self.add_request("application/x-ndjson", &body);
        } else {
            requests = numbers.end - numbers.start;
            for number in numbers {
                self.add_request("text/plain", &data(number, stamp));
            }
        }
        self.socket.write_all(&self.request).await?;
        for _ in 0..requests {
            self.read_response().await?;
        }
        Ok(())
    }

    fn add_request(&mut self, content_type: &str, body: &str) {
        let rest = format!(
            "content-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        for part in [&self.head, rest.as_str(), body] {
            self.request.extend_from_slice(part.as_bytes());
        }
    }

    /// Reads one response.
    ///
    /// # Errors
    /// If its status is not a success.
    async fn read_response(&mut self) -> Result<()> {
        loop {
            if let Some(end) = memchr::memmem::find(&self.responses, b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.responses[..end]).to_ascii_lowercase();
                ensure!(head.starts_with("http/1.1 20"), "cannot publish: {head}");
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length:"))
                    .with_context(|| format!("a response without a length: {head}"))?;
                let whole = end + 4 + length.trim().parse::<usize>()?;
                if whole <= self.responses.len() {
                    self.responses.drain(..whole);
                    return Ok(());
                }
            }
            let read = self.socket.read_buf(&mut self.responses).await?;
            ensure!(read > 0, "the server has closed a publisher's connection");
        }
    }
}

fn data(number: u64, stamp: u64) -> String {
    let mut data = format!(
        "{number:0number_digits$} {stamp:0stamp_digits$} ",
        number_digits = EventPayload::NUMBER_DIGITS,
        stamp_digits = EventPayload::STAMP_DIGITS,
    );
    data.extend(std::iter::repeat_n('x', DATA_BYTES - data.len()));
    data
}
