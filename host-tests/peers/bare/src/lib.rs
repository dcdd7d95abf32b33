//! The upper bound for Runnel: the throughput of the platform if a component only returns ready-made
//! bytes. `/events/…` is an endless event stream in chunks of just under 64 KiB, each of whole events.
//! `/idle` is an event stream with only a comment every 15 seconds.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use futures::stream::{self, StreamExt as _};
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body::Frame;

/// The maximum size of a chunk.
const MAX_CHUNK_BYTES: usize = 65_536;

/// The interval of the comments on `/idle`.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A body that the host pulls as the client reads it.
pub struct Body(Pin<Box<dyn Stream<Item = Bytes>>>);

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = self.0.as_mut().poll_next(context);
        chunk.map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

#[spin_sdk::http_service]
async fn handle(request: spin_sdk::http::Request) -> http::Response<Body> {
    let body = match request.uri().path() {
        "/idle" => Body(Box::pin(heartbeats())),
        _ => Body(Box::pin(stream::repeat(chunk()))),
    };
    let mut response = http::Response::new(body);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

/// Returns a chunk of events in the form of Runnel's.
fn chunk() -> Bytes {
    let mut chunk = String::with_capacity(MAX_CHUNK_BYTES);
    for number in 0.. {
        let event = format!(
            "data: {number:010} {:016} {:x<172}\nid: bare00-{number:05}\n\n",
            0, ""
        );
        if chunk.len() + event.len() > MAX_CHUNK_BYTES {
            break;
        }
        chunk.push_str(&event);
    }
    chunk.into()
}

fn heartbeats() -> impl Stream<Item = Bytes> {
    let comment = || Bytes::from_static(b":\n\n");
    let later = stream::unfold((), move |()| async move {
        spin_sdk::time::sleep(HEARTBEAT).await;
        Some((comment(), ()))
    });
    stream::once(async move { comment() }).chain(later)
}
