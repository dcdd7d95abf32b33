//! The outputs of guests.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError};

use super::{LineDropped, ProcessOutput, Target};

/// The bytes of a line that are collected before its end; a longer line is written in parts.
const MAX_LINE: usize = 1 << 16;

/// An output of one instance. Collects whole lines, so that the lines of instances do not mix and a
/// line is dropped whole. A write fails if the line that it ends is dropped, so that the guest can count
/// such lines.
#[derive(Clone)]
pub(crate) struct GuestOutput(Arc<Mutex<LineBuffer>>);

struct LineBuffer {
    output: ProcessOutput,
    target: Target,
    /// The begun line.
    partial: Vec<u8>,
}

impl GuestOutput {
    pub(crate) fn new(output: ProcessOutput, target: Target) -> Self {
        Self(Arc::new(Mutex::new(LineBuffer {
            output,
            target,
            partial: vec![],
        })))
    }

    fn lock(&self) -> MutexGuard<'_, LineBuffer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LineBuffer {
    /// Appends bytes, and queues the lines that they end.
    fn append(&mut self, bytes: &[u8]) -> Result<(), LineDropped> {
        let mut result = Ok(());
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(part);
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.partial);
                result = result.and(self.output.bytes(self.target, line));
            } else if self.partial.len() >= MAX_LINE {
                result = result.and(self.end_line());
            }
        }
        result
    }

    fn end_line(&mut self) -> Result<(), LineDropped> {
        let mut line = std::mem::take(&mut self.partial);
        line.push(b'\n');
        self.output.bytes(self.target, line)
    }
}

impl Drop for LineBuffer {
    fn drop(&mut self) {
        if !self.partial.is_empty() {
            // The queue counts it if it is dropped.
            _ = self.end_line();
        }
    }
}

impl IsTerminal for GuestOutput {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for GuestOutput {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }
}

impl OutputStream for GuestOutput {
    fn write(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        let result = self.lock().append(&bytes);
        result.map_err(|error| StreamError::LastOperationFailed(error.into()))
    }

    fn flush(&mut self) -> Result<(), StreamError> {
        Ok(())
    }

    fn check_write(&mut self) -> Result<usize, StreamError> {
        Ok(MAX_LINE)
    }
}

#[async_trait]
impl Pollable for GuestOutput {
    async fn ready(&mut self) {}
}

impl AsyncWrite for GuestOutput {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = self.lock().append(bytes);
        Poll::Ready(result.map(|()| bytes.len()).map_err(io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
