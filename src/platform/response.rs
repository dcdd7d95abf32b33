//! Responses, on their way to the host.

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::LocalBoxStream;
use http::Response;
use http_body_util::Full;
use spin_sdk::http::IntoResponse;
use spin_sdk::wasip3::http::types;
use spin_sdk::wasip3::http_compat::BodyWriter;
use spin_sdk::wasip3::spawn;

use super::carrier;

/// What a response carries.
pub enum Body {
    /// These bytes, maybe none.
    Full(Bytes),
    /// Chunks, each written as one; the next is asked for when the host has taken the last.
    Stream(LocalBoxStream<'static, Bytes>),
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
        match body {
            Body::Full(bytes) => spawn(async move {
                // A client that has gone needs no answer.
                let _ = writer.send_http_body(&mut Full::new(bytes)).await;
            }),
            Body::Stream(chunks) => spawn(carrier::carry(write(chunks, writer))),
        }
        Ok(response)
    }
}

/// Writes until the stream ends or the client is gone.
async fn write(mut chunks: LocalBoxStream<'static, Bytes>, mut writer: BodyWriter) {
    while let Some(chunk) = chunks.next().await {
        let unwritten = writer.stream_writer.write_all(chunk.into()).await;
        if !unwritten.is_empty() {
            return;
        }
    }
    drop(writer.stream_writer);
    // As above.
    let _ = writer.result_writer.write(Ok(None)).await;
}
