//! A subscriber to one channel.

use std::cell::RefCell;
use std::io::ErrorKind;

use anyhow::{Context as _, Result, ensure};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::client::response_parser::{EventPayload, ResponseParser};
use crate::servers::Server;

/// The most bytes that one read takes from the kernel.
const MAX_READ_BYTES: usize = 256 * 1024;

thread_local! {
    /// One buffer per thread, so that thousands of streams need no more memory than a few.
    static READ_BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; MAX_READ_BYTES]);
}

/// An open event stream.
pub(crate) struct Subscriber {
    socket: TcpStream,
    parser: ResponseParser,
}

impl Subscriber {
    /// Connects and requests the events of a channel after `last_id`, or without one those published
    /// from now on.
    pub(crate) async fn open(
        server: &Server,
        channel: &str,
        last_id: Option<&str>,
    ) -> Result<Self> {
        let address = server.address();
        let mut socket = TcpStream::connect(address)
            .await
            .with_context(|| format!("cannot connect to {server}"))?;
        socket.set_nodelay(true)?;
        let path = server.peer().events_path(channel);
        let resume = last_id.map(|id| format!("last-event-id: {id}\r\n"));
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: {address}\r\naccept: text/event-stream\r\n{}\r\n",
            resume.unwrap_or_default()
        );
        socket.write_all(request.as_bytes()).await?;
        Ok(Self {
            socket,
            parser: ResponseParser::default(),
        })
    }

    /// Waits for bytes and parses those available, at most [`MAX_READ_BYTES`].
    pub(crate) async fn read(&mut self, mut on_event: impl FnMut(EventPayload)) -> Result<()> {
        loop {
            self.socket.readable().await?;
            let has_read = READ_BUFFER.with_borrow_mut(|buffer| -> Result<bool> {
                match self.socket.try_read(buffer) {
                    Ok(count) => {
                        ensure!(count > 0, "the server has closed a stream");
                        self.parser.parse(&buffer[..count], &mut on_event)?;
                        Ok(true)
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
                    Err(error) => Err(error).context("a stream broke"),
                }
            })?;
            if has_read {
                return Ok(());
            }
        }
    }

    /// Reads until the head of the response has arrived.
    pub(crate) async fn read_head(&mut self) -> Result<()> {
        while !self.parser.has_head() {
            self.read(|_| ()).await?;
        }
        Ok(())
    }

    /// Reads until `count` events have arrived since the stream was opened.
    ///
    /// # Errors
    /// If an event is missing, repeated or out of order.
    pub(crate) async fn read_in_order(
        &mut self,
        count: u64,
        mut on_event: impl FnMut(EventPayload),
    ) -> Result<()> {
        self.read_any(count, &mut on_event).await?;
        ensure!(
            self.parser.events == count && self.parser.unexpected_events == 0,
            "{} events arrived where {count} were published, {} of them out of order",
            self.parser.events,
            self.parser.unexpected_events
        );
        Ok(())
    }

    /// Reads until at least `count` events have arrived since the stream was opened, in any order.
    pub(crate) async fn read_any(
        &mut self,
        count: u64,
        mut on_event: impl FnMut(EventPayload),
    ) -> Result<()> {
        while self.parser.events < count {
            self.read(&mut on_event).await?;
        }
        Ok(())
    }

    /// Returns the number of events received.
    pub(crate) fn event_count(&self) -> u64 {
        self.parser.events
    }

    /// Returns the number of bytes of the body received.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.parser.body_bytes
    }

    /// Returns the last event ID.
    pub(crate) fn last_id(&self) -> String {
        String::from_utf8_lossy(self.parser.last_id()).into_owned()
    }
}
