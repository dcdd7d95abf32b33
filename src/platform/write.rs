//! Writing to a client, within a time limit.

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use spin_sdk::wasip3::wit_bindgen::{StreamResult, StreamWriter};

use super::SpinEnvironment;
use crate::core::environment::Environment;
use crate::core::parking::Parking;

/// An extension of a response: the longest time for which its client may read nothing. After that the
/// body breaks off, and the memory held for it is freed.
///
/// The host buffers some chunks ahead of its client and keeps the connection open; the timeout ends only
/// the work of the instance.
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
