//! The end of event streams when the server stops: between two events, never within one.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// A body that, once the server stops, ends as soon as what it passed on ends with a blank line.
pub(crate) struct Tail<B> {
    /// Dropped at the end, so that the guest learns of it.
    body: Option<B>,
    /// Absent for a body that is no event stream: that one runs to its own end.
    stop: Option<Stop>,
}

struct Stop {
    signal: Pin<Box<WaitForCancellationFutureOwned>>,
    stopping: bool,
    line: Line,
}

/// Where in the stream the last byte passed on stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// Before the first event or behind a blank line.
    Between,
    /// Behind a line feed that ended a line of an event.
    Started,
    /// Within a line.
    Within,
}

impl Line {
    fn after(self, byte: u8) -> Self {
        match (self, byte) {
            (Self::Within, b'\n') => Self::Started,
            (Self::Started | Self::Between, b'\n') => Self::Between,
            _ => Self::Within,
        }
    }

    fn after_all(self, bytes: &[u8]) -> Self {
        // Two bytes are enough to know, unless there are not two.
        let last = &bytes[bytes.len().saturating_sub(2)..];
        let from = if last.len() == 2 { Self::Within } else { self };
        last.iter().fold(from, |line, byte| line.after(*byte))
    }
}

impl<B> Tail<B> {
    /// Wraps the body of a response; `event_stream` says whether it is one.
    pub(crate) fn new(body: B, event_stream: bool, stopping: &CancellationToken) -> Self {
        Self {
            body: Some(body),
            stop: event_stream.then(|| Stop {
                signal: Box::pin(stopping.clone().cancelled_owned()),
                stopping: false,
                line: Line::Between,
            }),
        }
    }
}

impl Stop {
    fn is_due(&mut self, context: &mut Context<'_>) -> bool {
        self.stopping = self.stopping || self.signal.as_mut().poll(context).is_ready();
        self.stopping && self.line == Line::Between
    }

    /// What of `data` may still go out.
    fn pass(&mut self, mut data: Bytes) -> Bytes {
        if self.stopping
            && let Some(end) = first_blank_line(self.line, &data)
        {
            data.truncate(end);
        }
        self.line = self.line.after_all(&data);
        data
    }
}

/// The offset behind the first blank line.
fn first_blank_line(mut line: Line, data: &[u8]) -> Option<usize> {
    data.iter().enumerate().find_map(|(at, byte)| {
        line = line.after(*byte);
        (line == Line::Between).then_some(at + 1)
    })
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Tail<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let Self { body, stop } = &mut *self;
        if stop.as_mut().is_some_and(|stop| stop.is_due(context)) {
            *body = None;
        }
        let Some(inner) = body else {
            return Poll::Ready(None);
        };
        Pin::new(inner)
            .poll_frame(context)
            .map_ok(|frame| match stop {
                Some(stop) => frame.map_data(|data| stop.pass(data)),
                None => frame,
            })
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.body, &self.stop) {
            (Some(body), None) => body.size_hint(),
            (Some(_), Some(_)) => SizeHint::default(),
            (None, _) => SizeHint::with_exact(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, channel::Channel};

    use super::*;

    type Sender = http_body_util::channel::Sender<Bytes>;

    fn tail(event_stream: bool) -> (Sender, Tail<Channel<Bytes>>, CancellationToken) {
        let stopping = CancellationToken::new();
        let (sender, body) = Channel::new(8);
        (sender, Tail::new(body, event_stream, &stopping), stopping)
    }

    async fn next(tail: &mut Tail<Channel<Bytes>>) -> Option<String> {
        let frame = tail.frame().await?.unwrap();
        Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
    }

    #[tokio::test]
    async fn an_open_stream_ends_at_once_between_events() {
        let (mut sender, mut tail, stopping) = tail(true);
        sender.send_data("data: a\n\n".into()).await.unwrap();
        assert_eq!(next(&mut tail).await.unwrap(), "data: a\n\n");
        stopping.cancel();
        assert_eq!(next(&mut tail).await, None);
        assert!(tail.is_end_stream());
    }

    #[tokio::test]
    async fn a_waiting_stream_is_woken() {
        let (_sender, mut tail, stopping) = tail(true);
        let waiting = tokio::spawn(async move { next(&mut tail).await });
        tokio::task::yield_now().await;
        stopping.cancel();
        assert_eq!(waiting.await.unwrap(), None);
    }

    #[tokio::test]
    async fn an_event_that_has_begun_is_finished_and_no_other_begins() {
        let (mut sender, mut tail, stopping) = tail(true);
        sender.send_data("id: 1\n".into()).await.unwrap();
        assert_eq!(next(&mut tail).await.unwrap(), "id: 1\n");
        stopping.cancel();
        sender.send_data("data: a\n".into()).await.unwrap();
        assert_eq!(next(&mut tail).await.unwrap(), "data: a\n");
        sender.send_data("\nid: 2\ndata".into()).await.unwrap();
        assert_eq!(next(&mut tail).await.unwrap(), "\n");
        assert_eq!(next(&mut tail).await, None);
    }

    #[tokio::test]
    async fn what_is_no_event_stream_runs_to_its_own_end() {
        let (mut sender, mut tail, stopping) = tail(false);
        stopping.cancel();
        sender.send_data("a\n\n".into()).await.unwrap();
        assert_eq!(next(&mut tail).await.unwrap(), "a\n\n");
        sender.send_data("b".into()).await.unwrap();
        drop(sender);
        assert_eq!(next(&mut tail).await.unwrap(), "b");
        assert_eq!(next(&mut tail).await, None);
    }

    #[test]
    fn a_blank_line_is_seen_across_writes_of_any_size() {
        let text = b"id: 1\ndata: a\n\n";
        for size in 1..=text.len() {
            let mut line = Line::Between;
            let mut between = Vec::new();
            let mut sent = 0;
            for piece in text.chunks(size) {
                line = line.after_all(piece);
                sent += piece.len();
                if line == Line::Between {
                    between.push(sent);
                }
            }
            assert_eq!(between, [text.len()], "in pieces of {size}");
        }
    }
}
