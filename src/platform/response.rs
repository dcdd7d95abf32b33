//! Responses, on their way to the host.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::LocalBoxStream;
use http::Response;
use spin_sdk::http::IntoResponse;
use spin_sdk::wasip3::http::types;
use spin_sdk::wasip3::http_compat::BodyWriter;
use spin_sdk::wasip3::spawn;

use super::carrier;
use super::write::{WriteTimeout, Written, write};

/// What a response carries.
pub enum Body {
    /// These bytes, maybe none.
    Full(Bytes),
    /// Chunks, each written as one; the next is asked for when the host has taken the last. They are
    /// dropped when the client has gone or has stalled.
    Stream(LocalBoxStream<'static, Bytes>, Stall),
}

/// Whether chunks were dropped because the client took nothing for too long. Clones are handles to
/// the same fact.
#[derive(Clone, Debug, Default)]
pub struct Stall(Rc<Cell<bool>>);

impl Stall {
    /// Whether it was so.
    #[must_use]
    pub fn has_happened(&self) -> bool {
        self.0.get()
    }
}

/// A response that the host takes: its head at once. A stream goes on to be written after that; it
/// waits by [`carrier::rest`].
pub struct Outgoing(pub Response<Body>);

impl IntoResponse for Outgoing {
    fn into_response(self) -> Result<types::Response, types::ErrorCode> {
        let (head, body) = self.0.into_parts();
        let refused = |error| types::ErrorCode::InternalError(Some(format!("{error:?}")));
        let headers = head.headers.try_into().map_err(refused)?;
        let (writer, bytes, result) = BodyWriter::new();
        let (response, _) = types::Response::new(headers, Some(bytes), result);
        // The only codes refused are those that no `StatusCode` is.
        let _ = response.set_status_code(head.status.as_u16());
        let timeout = head.extensions.get().copied().unwrap_or_default();
        let (chunks, stall) = match body {
            Body::Full(bytes) => (
                futures::stream::iter([bytes]).boxed_local(),
                Stall::default(),
            ),
            Body::Stream(chunks, stall) => (chunks, stall),
        };
        spawn(carrier::carry(write_all(chunks, writer, timeout, stall)));
        Ok(response)
    }
}

/// Writes until the stream ends or the client is gone, or as good as gone.
async fn write_all(
    mut chunks: LocalBoxStream<'static, Bytes>,
    mut writer: BodyWriter,
    timeout: WriteTimeout,
    stall: Stall,
) {
    while let Some(chunk) = chunks.next().await {
        if chunk.is_empty() {
            continue;
        }
        let written = write(&mut writer.stream_writer, chunk, timeout).await;
        if written != Written::All {
            return stall.0.set(written == Written::Stalled);
        }
    }
    drop(writer.stream_writer);
    // A client that has gone needs no end.
    let _ = writer.result_writer.write(Ok(None)).await;
}
