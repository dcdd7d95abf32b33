//! A connection with time limits for its client.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// A TCP stream that fails with [`ErrorKind::TimedOut`] if its client sends no first byte or accepts
/// nothing of what is written to it.
///
/// After the first byte, hyper limits the time for heads and the component that for bodies.
pub(super) struct TimeoutStream {
    inner: TcpStream,
    /// Runs until something has been read.
    first_byte_timer: Option<Pin<Box<Sleep>>>,
    write_timeout: Duration,
    /// Runs while a write is pending.
    write_timer: Option<Pin<Box<Sleep>>>,
}

impl TimeoutStream {
    pub(super) fn new(inner: TcpStream, head_timeout: Duration, write_timeout: Duration) -> Self {
        // The kernel buffers what is written for a client that vanished, so only the kernel can
        // detect that nothing is acknowledged.
        #[cfg(target_os = "linux")]
        {
            _ = socket2::SockRef::from(&inner).set_tcp_user_timeout(Some(write_timeout));
        }
        Self {
            inner,
            first_byte_timer: Some(Box::pin(sleep(head_timeout))),
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
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        if read.is_ready() {
            self.first_byte_timer = None;
        } else if let Some(timer) = &mut self.first_byte_timer {
            ready!(timer.as_mut().poll(context));
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
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
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(100);

    async fn pair() -> (TimeoutStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        (TimeoutStream::new(accepted, TIMEOUT, TIMEOUT), client)
    }

    #[tokio::test]
    async fn a_client_that_sends_nothing_times_out_and_one_that_pauses_does_not() {
        let (mut stream, _client) = pair().await;
        let error = stream.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let (mut stream, mut client) = pair().await;
        client.write_all(b"x").await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'x');
        let read = tokio::time::timeout(3 * TIMEOUT, stream.read_u8()).await;
        assert!(read.is_err(), "{read:?}");
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
