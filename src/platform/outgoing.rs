//! Responses, on their way to the host.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::LocalBoxStream;
use http::Response;
use spin_sdk::http::IntoResponse;
use spin_sdk::wasip3::http::types;
use spin_sdk::wasip3::http_compat::BodyWriter;
use spin_sdk::wasip3::spawn;

use super::SpinEnvironment;
use super::write::{WriteTimeout, Written, write};
use crate::core::parking::Parking;

/// The body of a response.
pub enum Body {
    /// These bytes, possibly none.
    Full(Bytes),
    /// Chunks, each written as one; the next is polled when the host has taken the last. They are
    /// dropped when the client has disconnected or stalled.
    Stream(LocalBoxStream<'static, Bytes>, Stall),
}

/// A flag that is set if chunks are dropped because the client has stalled: it read nothing for too long.
/// Clones are handles to the same flag.
#[derive(Clone, Debug, Default)]
pub struct Stall(Rc<Cell<bool>>);

impl Stall {
    /// Returns whether the client has stalled.
    #[must_use]
    pub fn has_happened(&self) -> bool {
        self.0.get()
    }
}

/// A response for the host. Its head is sent at once; its body is written afterwards, by a future that
/// `parking` drives.
pub struct Outgoing {
    /// The response.
    pub response: Response<Body>,
    /// The parking of the instance.
    pub parking: Parking<SpinEnvironment>,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("status", &self.response.status())
            .finish_non_exhaustive()
    }
}

impl IntoResponse for Outgoing {
    fn into_response(self) -> Result<types::Response, types::ErrorCode> {
        let Self { response, parking } = self;
        let (head, body) = response.into_parts();
        let rejected = |error| types::ErrorCode::InternalError(Some(format!("{error:?}")));
        let headers = head.headers.try_into().map_err(rejected)?;
        let (writer, bytes, result) = BodyWriter::new();
        let (response, _) = types::Response::new(headers, Some(bytes), result);
        // Every code of a `StatusCode` is accepted.
        let _ = response.set_status_code(head.status.as_u16());
        let timeout = head.extensions.get().copied().unwrap_or_default();
        let (chunks, stall) = match body {
            Body::Full(bytes) => (
                futures::stream::iter([bytes]).boxed_local(),
                Stall::default(),
            ),
            Body::Stream(chunks, stall) => (chunks, stall),
        };
        let writing = write_all(parking.clone(), chunks, writer, timeout, stall);
        spawn(parking.run(writing));
        Ok(response)
    }
}

/// Writes until the chunks end, or the client has disconnected or stalled.
async fn write_all(
    parking: Parking<SpinEnvironment>,
    mut chunks: LocalBoxStream<'static, Bytes>,
    mut writer: BodyWriter,
    timeout: WriteTimeout,
    stall: Stall,
) {
    while let Some(chunk) = chunks.next().await {
        if chunk.is_empty() {
            continue;
        }
        let written = write(&parking, &mut writer.stream_writer, chunk, timeout).await;
        if written != Written::All {
            return stall.0.set(written == Written::Stalled);
        }
    }
    drop(writer.stream_writer);
    // A client that has disconnected needs no end.
    let _ = writer.result_writer.write(Ok(None)).await;
}
