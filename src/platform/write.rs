//! Writing to a client that may take its time, but not any time.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use bytes::Bytes;
use futures::future::LocalBoxFuture;
use futures::stream::LocalBoxStream;
use futures::{FutureExt, StreamExt};
use spin_sdk::wasip3::wit_bindgen::{StreamResult, StreamWriter};

use super::clock;

/// An extension of a response: how long its client may take nothing of what is to be written, in
/// milliseconds. Then the body breaks off, and what was kept for it is free.
///
/// A host takes some chunks before its client does, and goes on waiting for the client by itself; all
/// that ends here is what an instance does for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteTimeout(pub u64);

impl Default for WriteTimeout {
    fn default() -> Self {
        Self(30_000)
    }
}

/// Writes chunks and watches how long each takes. There is no timer unless a write has to wait, and
/// then one for many.
pub(super) struct Writing {
    to: StreamWriter<u8>,
    timeout: WriteTimeout,
    timer: Option<LocalBoxFuture<'static, ()>>,
}

impl Writing {
    pub(super) fn new(to: StreamWriter<u8>, timeout: WriteTimeout) -> Self {
        let timer = None;
        Self { to, timeout, timer }
    }

    /// The next chunk. Whoever waits for it has no timer: the stream may go on in another task.
    pub(super) async fn next(
        &mut self,
        chunks: &mut LocalBoxStream<'static, Bytes>,
    ) -> Option<Bytes> {
        poll_fn(|context| {
            let next = chunks.poll_next_unpin(context);
            if next.is_pending() {
                self.timer = None;
            }
            next
        })
        .await
    }

    /// Writes a chunk; whether all of it was taken.
    pub(super) async fn write(&mut self, chunk: Bytes) -> bool {
        let Self { to, timeout, timer } = self;
        let mut writing = to.write(chunk.into());
        loop {
            let Some((result, rest)) = outlast(pin!(writing), *timeout, timer).await else {
                return false;
            };
            match result {
                StreamResult::Complete(_) if rest.remaining() == 0 => return true,
                StreamResult::Complete(_) => writing = to.write_buf(rest),
                StreamResult::Dropped | StreamResult::Cancelled => return false,
            }
        }
    }
}

/// What comes of a write; nothing, if it takes too long.
async fn outlast<T>(
    mut writing: Pin<&mut impl Future<Output = T>>,
    WriteTimeout(millis): WriteTimeout,
    timer: &mut Option<LocalBoxFuture<'static, ()>>,
) -> Option<T> {
    let mut end = None;
    poll_fn(|context| {
        if let Poll::Ready(result) = writing.as_mut().poll(context) {
            return Poll::Ready(Some(result));
        }
        let end = *end.get_or_insert_with(|| clock::mono().after(millis));
        loop {
            let waiting = timer.get_or_insert_with(|| clock::sleep_until(end).boxed_local());
            if waiting.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            *timer = None;
            // It may have been the timer of an earlier write.
            if clock::mono() >= end {
                return Poll::Ready(None);
            }
        }
    })
    .await
}
