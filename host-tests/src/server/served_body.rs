//! The body of a response as a connection sends it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::phase::OpenResponse;
use super::write_gate::WriteGate;

/// A body that follows the pace of its client, and whose end is the end of the response.
pub(super) struct ServedBody<B> {
    body: B,
    /// The gate of a connection with HTTP/1.
    gate: Option<WriteGate>,
    _response: OpenResponse,
}

impl<B> ServedBody<B> {
    pub(super) fn new(body: B, gate: Option<WriteGate>, response: OpenResponse) -> Self {
        Self {
            body,
            gate,
            _response: response,
        }
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for ServedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(gate) = &self.gate {
            ready!(gate.poll_open(context));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let (Some(gate), Some(Ok(_))) = (&self.gate, &frame) {
            gate.close();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http::Version;
    use http_body_util::BodyExt as _;
    use http_body_util::channel::Channel;

    use super::super::phase::PhaseTracker;
    use super::*;

    #[tokio::test]
    async fn a_frame_waits_until_the_one_before_is_written() {
        let gate = WriteGate::default();
        let (mut sender, body) = Channel::<Bytes>::new(2);
        sender.send_data("a".into()).await.unwrap();
        sender.send_data("b".into()).await.unwrap();
        let response = PhaseTracker::new().request(Version::HTTP_11);
        let mut body = ServedBody::new(body, Some(gate.clone()), response);
        assert_eq!(
            body.frame().await.unwrap().unwrap().into_data().unwrap(),
            "a"
        );
        let next = tokio::spawn(async move { body.frame().await.unwrap().unwrap() });
        tokio::task::yield_now().await;
        assert!(!next.is_finished());
        gate.open();
        assert_eq!(next.await.unwrap().into_data().unwrap(), "b");
    }
}
