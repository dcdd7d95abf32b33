//! A subscriber.

use std::cell::RefCell;
use std::io::ErrorKind;

use anyhow::{Context as _, Result, ensure};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::client::wire::{Datum, Wire};
use crate::servers::Server;

/// As much as is taken from the kernel at once.
const READ_BYTES: usize = 256 * 1024;

thread_local! {
    /// Of a thread, not of a stream: thousands of them take no more memory than a few.
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// An open event stream.
pub(crate) struct Stream {
    socket: TcpStream,
    wire: Wire,
}

impl Stream {
    /// Connects and asks for a channel: what follows `last_id`, or else what is published from now on.
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
            wire: Wire::default(),
        })
    }

    /// Waits for bytes and takes all that are there, up to 256 KiB.
    pub(crate) async fn read(&mut self, mut on_event: impl FnMut(Datum)) -> Result<()> {
        loop {
            self.socket.readable().await?;
            let taken = READ.with_borrow_mut(|buffer| -> Result<bool> {
                match self.socket.try_read(buffer) {
                    Ok(count) => {
                        ensure!(count > 0, "the server has closed a stream");
                        self.wire.take(&buffer[..count], &mut on_event)?;
                        Ok(true)
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
                    Err(error) => Err(error).context("a stream broke"),
                }
            })?;
            if taken {
                return Ok(());
            }
        }
    }

    /// Reads until the head of the response is there.
    pub(crate) async fn opened(&mut self) -> Result<()> {
        while !self.wire.is_open() {
            self.read(|_| ()).await?;
        }
        Ok(())
    }

    /// Reads until so many events have come in all, and holds that they came once and in order.
    pub(crate) async fn events(
        &mut self,
        count: u64,
        mut on_event: impl FnMut(Datum),
    ) -> Result<()> {
        self.count(count, &mut on_event).await?;
        ensure!(
            self.wire.events == count && self.wire.strays == 0,
            "{} events came where {count} were published, {} of them not in order",
            self.wire.events,
            self.wire.strays
        );
        Ok(())
    }

    /// Reads until at least so many events have come in all, whatever they say.
    pub(crate) async fn count(
        &mut self,
        count: u64,
        mut on_event: impl FnMut(Datum),
    ) -> Result<()> {
        while self.wire.events < count {
            self.read(&mut on_event).await?;
        }
        Ok(())
    }

    /// Events so far.
    pub(crate) fn event_count(&self) -> u64 {
        self.wire.events
    }

    /// Bytes of the body so far.
    pub(crate) fn body_bytes(&self) -> u64 {
        self.wire.body_bytes
    }

    /// The last event ID.
    pub(crate) fn last_id(&self) -> String {
        String::from_utf8_lossy(self.wire.last_id()).into_owned()
    }
}
