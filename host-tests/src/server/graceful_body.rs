//! The end of event streams on shutdown: between two events, never within one.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A response body that, if it is an event stream, ends on shutdown as soon as the bytes sent end
/// with a blank line or a comment after it.
pub(super) struct GracefulBody<B> {
    /// Dropped at the end, which disconnects the guest.
    body: Option<B>,
    /// Set for event streams.
    event_stream: Option<EventStream>,
}

struct EventStream {
    shutdown: Pin<Box<WaitForCancellationFutureOwned>>,
    is_shutting_down: bool,
    /// The position after the last byte sent.
    position: Position,
}

/// A position in an event stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    /// At the start of the stream, after a blank line, or after a comment there.
    BetweenEvents,
    /// Within a comment between events.
    Comment,
    /// After the line feed of a line that is not blank.
    LineStart,
    /// Within a line.
    MidLine,
}

impl Position {
    fn after_byte(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::BetweenEvents, b':') => Self::Comment,
            (Self::Comment | Self::LineStart | Self::BetweenEvents, b'\n') => Self::BetweenEvents,
            (Self::Comment, _) => Self::Comment,
            (Self::MidLine, b'\n') => Self::LineStart,
            _ => Self::MidLine,
        }
    }

    fn after(self, bytes: &[u8]) -> Self {
        // Most chunks end with a blank line; only what follows the last one matters.
        let blank = bytes.windows(2).rposition(|pair| pair == b"\n\n");
        let (start, rest) = match blank {
            Some(at) => (Self::BetweenEvents, &bytes[at + 2..]),
            None => (self, bytes),
        };
        rest.iter()
            .fold(start, |position, byte| position.after_byte(*byte))
    }

    /// Returns the length of the shortest prefix of `bytes` that ends between two events.
    fn end_of_event(mut self, bytes: &[u8]) -> Option<usize> {
        bytes.iter().enumerate().find_map(|(index, byte)| {
            self = self.after_byte(*byte);
            (self == Self::BetweenEvents).then_some(index + 1)
        })
    }
}

impl<B> GracefulBody<B> {
    /// Wraps an event stream.
    pub(super) fn event_stream(body: B, shutdown: CancellationToken) -> Self {
        Self {
            body: Some(body),
            event_stream: Some(EventStream {
                shutdown: Box::pin(shutdown.cancelled_owned()),
                is_shutting_down: false,
                position: Position::BetweenEvents,
            }),
        }
    }

    /// Wraps any other body, which runs to its own end.
    pub(super) fn other(body: B) -> Self {
        Self {
            body: Some(body),
            event_stream: None,
        }
    }
}

impl EventStream {
    fn poll_is_over(&mut self, context: &mut Context<'_>) -> bool {
        self.is_shutting_down =
            self.is_shutting_down || self.shutdown.as_mut().poll(context).is_ready();
        self.is_shutting_down && self.position == Position::BetweenEvents
    }

    /// Records the bytes to be sent, on shutdown only those up to the end of the current event.
    fn send(&mut self, mut bytes: Bytes) -> Bytes {
        if self.is_shutting_down
            && let Some(end) = self.position.end_of_event(&bytes)
        {
            bytes.truncate(end);
        }
        self.position = self.position.after(&bytes);
        bytes
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for GracefulBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Self { body, event_stream } = &mut *self;
        if event_stream
            .as_mut()
            .is_some_and(|stream| stream.poll_is_over(context))
        {
            *body = None;
        }
        let Some(inner) = body else {
            return Poll::Ready(None);
        };
        Pin::new(inner)
            .poll_frame(context)
            .map_ok(|frame| match event_stream {
                Some(stream) => frame.map_data(|bytes| stream.send(bytes)),
                None => frame,
            })
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.body, &self.event_stream) {
            (Some(body), None) => body.size_hint(),
            (Some(_), Some(_)) => SizeHint::default(),
            (None, _) => SizeHint::with_exact(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use http_body_util::channel::{Channel, Sender};

    use super::*;

    type TestBody = GracefulBody<Channel<Bytes>>;

    fn event_stream() -> (Sender<Bytes>, TestBody, CancellationToken) {
        let shutdown = CancellationToken::new();
        let (sender, body) = Channel::new(8);
        let body = GracefulBody::event_stream(body, shutdown.clone());
        (sender, body, shutdown)
    }

    async fn next(body: &mut TestBody) -> Option<String> {
        let frame = body.frame().await?.unwrap();
        Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn an_event_stream_between_two_events_ends_at_once() {
        let (mut sender, mut body, shutdown) = event_stream();
        sender.send_data("data: a\n\n".into()).await.unwrap();
        assert_eq!(next(&mut body).await.unwrap(), "data: a\n\n");
        shutdown.cancel();
        assert_eq!(next(&mut body).await, None);
        assert!(body.is_end_stream());
    }

    #[tokio::test]
    async fn a_waiting_event_stream_is_woken() {
        let (_sender, mut body, shutdown) = event_stream();
        let waiting = tokio::spawn(async move { next(&mut body).await });
        tokio::task::yield_now().await;
        shutdown.cancel();
        assert_eq!(waiting.await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_event_that_has_begun_is_finished_and_no_other_begins() {
        let (mut sender, mut body, shutdown) = event_stream();
        sender.send_data("id: 1\n".into()).await.unwrap();
        assert_eq!(next(&mut body).await.unwrap(), "id: 1\n");
        shutdown.cancel();
        sender.send_data("data: a\n".into()).await.unwrap();
        assert_eq!(next(&mut body).await.unwrap(), "data: a\n");
        sender.send_data("\nid: 2\ndata".into()).await.unwrap();
        assert_eq!(next(&mut body).await.unwrap(), "\n");
        assert_eq!(next(&mut body).await, None);
    }

    #[tokio::test]
    async fn a_body_that_is_not_an_event_stream_runs_to_its_own_end() {
        let (mut sender, body) = Channel::new(8);
        let mut body = GracefulBody::other(body);
        sender.send_data("a\n\n".into()).await.unwrap();
        assert_eq!(next(&mut body).await.unwrap(), "a\n\n");
        sender.send_data("b".into()).await.unwrap();
        drop(sender);
        assert_eq!(next(&mut body).await.unwrap(), "b");
        assert_eq!(next(&mut body).await, None);
    }

    #[tokio::test]
    async fn an_event_stream_ends_after_a_comment_between_two_events() {
        let (mut sender, mut body, shutdown) = event_stream();
        for text in [": hello\n", "data: a\n\n:\n"] {
            sender.send_data(text.into()).await.unwrap();
            assert_eq!(next(&mut body).await.unwrap(), text);
        }
        shutdown.cancel();
        assert_eq!(next(&mut body).await, None);
    }

    #[tokio::test]
    async fn a_comment_within_an_event_ends_no_event_stream() {
        let (mut sender, mut body, shutdown) = event_stream();
        sender
            .send_data("data: a\n: comment\n".into())
            .await
            .unwrap();
        assert_eq!(next(&mut body).await.unwrap(), "data: a\n: comment\n");
        shutdown.cancel();
        sender.send_data("data: b\n\n:\n".into()).await.unwrap();
        assert_eq!(next(&mut body).await.unwrap(), "data: b\n\n");
        assert_eq!(next(&mut body).await, None);
    }

    #[test]
    fn a_blank_line_is_found_across_writes_of_any_size() {
        let text = b"id: 1\ndata: a\n\n";
        for size in 1..=text.len() {
            let mut position = Position::BetweenEvents;
            let mut boundaries = Vec::new();
            let mut sent = 0;
            for piece in text.chunks(size) {
                position = position.after(piece);
                sent += piece.len();
                if position == Position::BetweenEvents {
                    boundaries.push(sent);
                }
            }
            assert_eq!(boundaries, [text.len()], "in pieces of {size}");
        }
    }
}
