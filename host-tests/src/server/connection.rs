//! One connection, from its first byte to its end.

use std::net::SocketAddr;
use std::pin::pin;

use http::header::CONTENT_TYPE;
use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::graceful_body::GracefulBody;
use super::phase::{Limits, Phase, PhaseTracker};
use super::served_body::ServedBody;
use super::timeout_stream::TimeoutStream;
use super::write_gate::WriteGate;
use super::{ServerOptions, ShutdownSignals, http_rules};
use crate::host::{Host, Unanswered};
use crate::runtime::Body;

/// The bytes of a response that HTTP/2 takes ahead of the socket, besides one frame of the component.
const HTTP2_SEND_BUFFER: usize = 16 * 1024;

/// A connection and what it needs.
pub(super) struct Connection {
    pub(super) host: Host,
    pub(super) client: SocketAddr,
    pub(super) options: ServerOptions,
    pub(super) signals: ShutdownSignals,
}

impl Connection {
    /// Serves the requests of the client until one of the two ends the connection.
    pub(super) async fn serve(self, stream: TcpStream) {
        // Fails only if the connection is already closed.
        _ = stream.set_nodelay(self.options.nodelay);
        let phase = PhaseTracker::new();
        let gate = WriteGate::default();
        let stream = TimeoutStream::new(
            stream,
            self.options.write_timeout,
            phase.clone(),
            gate.clone(),
        );
        let service = service_fn(|request| {
            let open = phase.request(request.version());
            let gate = (request.version() != Version::HTTP_2).then(|| gate.clone());
            let answer = self.answer(request);
            async {
                let response = answer.await?;
                Ok::<_, Unanswered>(response.map(|body| ServedBody::new(body, gate, open)))
            }
        });
        let builder = self.builder();
        let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
        let limits = Limits {
            head: self.options.head_timeout,
            idle: self.options.idle_timeout,
        };
        // A connection fails when its client is gone, so its error is of no interest.
        tokio::select! {
            _ = connection.as_mut() => return,
            expired = phase.expired(limits) => match expired {
                // An HTTP/2 client is asked to send no more requests (GOAWAY).
                Phase::Idle => connection.as_mut().graceful_shutdown(),
                _ => return,
            },
            () = self.signals.graceful.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        let still_expired = async {
            sleep(self.options.head_timeout).await;
            phase.expired(limits).await
        };
        tokio::select! {
            _ = connection => {}
            _ = still_expired => {}
            () = self.signals.abort.cancelled() => {}
        }
    }

    fn builder(&self) -> Builder<TokioExecutor> {
        let mut builder = Builder::new(TokioExecutor::new());
        let mut http2 = builder.http2();
        http2.timer(TokioTimer::new());
        http2.keep_alive_interval(self.options.write_timeout);
        http2.keep_alive_timeout(self.options.write_timeout);
        http2.max_send_buf_size(HTTP2_SEND_BUFFER);
        builder
    }

    fn answer(
        &self,
        mut request: Request<Incoming>,
    ) -> impl Future<Output = Result<Response<GracefulBody<Body>>, Unanswered>> + use<> {
        let host = self.host.clone();
        let client = self.client;
        let shutdown = self.signals.graceful.clone();
        let mut checked = http_rules::check(request.headers());
        if self.options.serves_without_host {
            checked = checked.and_then(|()| http_rules::assume_host(&mut request));
        }
        async move {
            let response = match checked {
                Ok(()) => host.dispatch(request, client).await?,
                Err(rejected) => rejected.response(),
            };
            Ok(end_gracefully(response, shutdown))
        }
    }
}

/// Makes an event stream end between two events on shutdown. Other responses run to their end.
fn end_gracefully(
    response: Response<Body>,
    shutdown: CancellationToken,
) -> Response<GracefulBody<Body>> {
    let is_event_stream = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"));
    response.map(|body| {
        if is_event_stream {
            GracefulBody::event_stream(body, shutdown)
        } else {
            GracefulBody::other(body)
        }
    })
}
