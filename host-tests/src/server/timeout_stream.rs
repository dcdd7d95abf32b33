//! A connection with a time limit for writes.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::phase::PhaseTracker;
use super::write_gate::WriteGate;

/// The bytes that the kernel buffers without having sent them. What it has sent and the client has not
/// acknowledged is limited by the client's receive window.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 64 * 1024;

/// A TCP stream that fails with [`ErrorKind::TimedOut`] if its client accepts nothing of what is written
/// to it, and that reports its progress to the rest of the connection.
pub(super) struct TimeoutStream {
    inner: TcpStream,
    phase: PhaseTracker,
    gate: WriteGate,
    write_timeout: Duration,
    /// Runs while a write is pending.
    write_timer: Option<Pin<Box<Sleep>>>,
}

impl TimeoutStream {
    pub(super) fn new(
        inner: TcpStream,
        write_timeout: Duration,
        phase: PhaseTracker,
        gate: WriteGate,
    ) -> Self {
        // The kernel buffers what is written for a client that vanished, so only the kernel can
        // detect that nothing is acknowledged.
        #[cfg(target_os = "linux")]
        {
            let socket = socket2::SockRef::from(&inner);
            _ = socket.set_tcp_user_timeout(Some(write_timeout));
            _ = socket.set_tcp_notsent_lowat(UNSENT_BYTES);
        }
        Self {
            inner,
            phase,
            gate,
            write_timeout,
            write_timer: None,
        }
    }

    fn with_write_timeout<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_timer = None;
            return written;
        }
        let timer = self
            .write_timer
            .get_or_insert_with(|| Box::pin(sleep(self.write_timeout)));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for TimeoutStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.phase.received();
        }
        read
    }
}

impl AsyncWrite for TimeoutStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, buffer);
        self.with_write_timeout(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, buffers);
        self.with_write_timeout(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The caller flushes after it has written all that it had, and a TCP stream has no buffer.
        self.gate.open();
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(100);

    async fn pair() -> (TimeoutStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let stream =
            TimeoutStream::new(accepted, TIMEOUT, PhaseTracker::new(), WriteGate::default());
        (stream, client)
    }

    #[tokio::test]
    async fn a_client_that_reads_nothing_times_out() {
        let (mut stream, _client) = pair().await;
        let chunk = vec![0; 1 << 20];
        let error = loop {
            if let Err(error) = stream.write_all(&chunk).await {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn missing_acknowledgements_time_out_in_the_kernel() {
        let (stream, _client) = pair().await;
        let timeout = socket2::SockRef::from(&stream.inner).tcp_user_timeout();
        assert_eq!(timeout.unwrap(), Some(TIMEOUT));
    }
}
