//! Writing to a client that may take its time, but not any time.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use futures::FutureExt;
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

/// Writes a chunk; whether all of it was taken.
pub(super) async fn write(
    to: &mut StreamWriter<u8>,
    chunk: Vec<u8>,
    timeout: WriteTimeout,
) -> bool {
    let mut writing = to.write(chunk);
    loop {
        let Some((result, rest)) = outlast(pin!(writing), timeout).await else {
            return false;
        };
        match result {
            StreamResult::Complete(_) if rest.remaining() == 0 => return true,
            StreamResult::Complete(_) => writing = to.write_buf(rest),
            StreamResult::Dropped | StreamResult::Cancelled => return false,
        }
    }
}

/// What comes of a write; nothing, if it takes too long. There is no timer unless it has to wait, and
/// none is left when it is over: the stream may go on in another task.
async fn outlast<T>(
    mut writing: Pin<&mut impl Future<Output = T>>,
    WriteTimeout(millis): WriteTimeout,
) -> Option<T> {
    let mut timer = None;
    poll_fn(|context| match writing.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => timer
            .get_or_insert_with(|| clock::sleep_millis(millis).boxed_local())
            .as_mut()
            .poll(context)
            .map(|()| None),
    })
    .await
}
