//! Writing to a client that may take its time, but not any time.

use std::pin::pin;

use bytes::Bytes;
use spin_sdk::wasip3::wit_bindgen::{StreamResult, StreamWriter};

use super::{carrier, clock};

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

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// All of it was taken.
    All,
    /// The client took nothing for too long.
    Stalled,
    /// The client has gone.
    Gone,
}

/// Writes a chunk. Only for futures that [`carrier::carry`] runs.
pub(super) async fn write(
    to: &mut StreamWriter<u8>,
    chunk: Bytes,
    timeout: WriteTimeout,
) -> Written {
    let mut writing = to.write(chunk.into());
    loop {
        let until = clock::monotonic().after(timeout.0);
        let Some((result, rest)) = carrier::outlast(pin!(writing), until).await else {
            return Written::Stalled;
        };
        match result {
            StreamResult::Complete(_) if rest.remaining() == 0 => return Written::All,
            StreamResult::Complete(_) => writing = to.write_buf(rest),
            StreamResult::Dropped | StreamResult::Cancelled => return Written::Gone,
        }
    }
}
