//! A connection whose client may not keep it waiting for ever.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// A TCP stream that fails when its client sends nothing at all at first, or takes nothing of what is
/// written to it.
///
/// What comes after the first byte has time limits of its own: hyper's for heads, the component's for
/// bodies.
pub(crate) struct Socket {
    stream: TcpStream,
    /// Until something has been read.
    silence: Option<Pin<Box<Sleep>>>,
    write_timeout: Duration,
    /// While a write waits.
    stall: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, head_timeout: Duration, write_timeout: Duration) -> Self {
        // A client that vanished acknowledges nothing, and what is written to it is taken by the
        // system, so that only the system can tell.
        #[cfg(target_os = "linux")]
        {
            _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(write_timeout));
        }
        Self {
            stream,
            silence: Some(Box::pin(sleep(head_timeout))),
            write_timeout,
            stall: None,
        }
    }

    /// Watches a write.
    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let timer = || Box::pin(sleep(self.write_timeout));
        let stall = self.stall.get_or_insert_with(timer);
        ready!(stall.as_mut().poll(context));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.silence = None;
        } else if let Some(silence) = &mut self.silence {
            ready!(silence.as_mut().poll(context));
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, buffer);
        self.watch(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, buffers);
        self.watch(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const SHORT: Duration = Duration::from_millis(100);

    async fn pair() -> (Socket, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        (Socket::new(stream, SHORT, SHORT), client)
    }

    #[tokio::test]
    async fn a_client_that_says_nothing_is_cut_and_one_that_has_begun_is_not() {
        let (mut socket, _client) = pair().await;
        let error = socket.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let (mut socket, mut client) = pair().await;
        client.write_all(b"x").await.unwrap();
        assert_eq!(socket.read_u8().await.unwrap(), b'x');
        let silent = tokio::time::timeout(3 * SHORT, socket.read_u8()).await;
        assert!(silent.is_err(), "{silent:?}");
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_cut() {
        let (mut socket, _client) = pair().await;
        let chunk = vec![0; 1 << 20];
        let error = loop {
            if let Err(error) = socket.write_all(&chunk).await {
                break error;
            }
        };
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_system_watches_over_acknowledgements() {
        let (socket, _client) = pair().await;
        let timeout = socket2::SockRef::from(&socket.stream).tcp_user_timeout();
        assert_eq!(timeout.unwrap(), Some(SHORT));
    }
}
