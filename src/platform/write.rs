//! Writing to a client that may be slow, but not without end.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use spin_sdk::wasip3::wit_bindgen::{StreamResult, StreamWriter};

use super::SpinEnvironment;
use crate::core::environment::Environment;
use crate::core::parking::Parking;

/// An extension of a response: the time for which its client may read nothing. Then the body breaks off,
/// and what was held for it is freed.
///
/// A host takes some chunks before its client does, and goes on waiting for the client; only what an
/// instance does for the client ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteTimeout(pub Duration);

impl Default for WriteTimeout {
    fn default() -> Self {
        Self(Duration::from_secs(30))
    }
}

/// The outcome of writing a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// All of it was taken.
    All,
    /// The client read nothing for too long.
    Stalled,
    /// The client has disconnected.
    Disconnected,
}

/// Writes a chunk. Only for futures that [`Parking::run`] drives.
pub(super) async fn write(
    parking: &Parking<SpinEnvironment>,
    writer: &mut StreamWriter<u8>,
    chunk: Bytes,
    timeout: WriteTimeout,
) -> Written {
    let mut writing = writer.write(chunk.into());
    loop {
        let until = SpinEnvironment.now().saturating_add(timeout.0);
        let Some((result, rest)) = parking.with_deadline(pin!(writing), until).await else {
            return Written::Stalled;
        };
        match result {
            StreamResult::Complete(_) if rest.remaining() == 0 => return Written::All,
            StreamResult::Complete(_) => writing = writer.write_buf(rest),
            StreamResult::Dropped | StreamResult::Cancelled => return Written::Disconnected,
        }
    }
}
