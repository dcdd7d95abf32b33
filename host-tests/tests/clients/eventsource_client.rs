//! The crate eventsource-client.
//!
//! The crate treats a 204 as a stream that has ended, so its user has to stop it.

use std::time::Duration;

use bytes::Bytes;
use eventsource_client::{Client as _, ClientBuilder, ReconnectOptions, SSE};
use futures::StreamExt as _;
use futures::stream::poll_fn;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use launchdarkly_sdk_transport::{ByteStream, HttpTransport, ResponseFuture, TransportError};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::conformance::{Conformance, Endpoint};
use crate::events::Event;
use crate::subscriber::{Report, Reporter, Subscriber};

const RECONNECTION_TIME: Duration = Duration::from_millis(50);

/// Plain HTTP/1.1, each request on a connection of its own.
#[derive(Clone)]
struct Transport;

impl HttpTransport for Transport {
    fn request(&self, request: Request<Option<Bytes>>) -> ResponseFuture {
        // The future has to be `Sync`, which hyper's is not, so it runs in a task.
        let response = tokio::spawn(exchange(request));
        Box::pin(async { response.await.map_err(TransportError::new)? })
    }
}

async fn exchange(request: Request<Option<Bytes>>) -> Result<Response<ByteStream>, TransportError> {
    let authority = request.uri().authority().unwrap().to_string();
    let (mut head, body) = request.into_parts();
    head.uri = head.uri.path_and_query().unwrap().as_str().parse().unwrap();
    head.headers.insert("host", authority.parse().unwrap());
    let request = Request::from_parts(head, Full::new(body.unwrap_or_default()));

    let stream = TcpStream::connect(authority).await;
    let stream = TokioIo::new(stream.map_err(TransportError::new)?);
    let (mut sender, connection) = http1::handshake(stream)
        .await
        .map_err(TransportError::new)?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await;
    let (head, mut body) = response.map_err(TransportError::new)?.into_parts();
    let (chunks, mut arriving) = mpsc::channel(1);
    tokio::spawn(async move {
        while let Some(frame) = body.frame().await {
            let chunk = frame.map(|frame| frame.into_data().unwrap_or_default());
            if chunks
                .send(chunk.map_err(TransportError::new))
                .await
                .is_err()
            {
                return;
            }
        }
    });
    let chunks = poll_fn(move |context| arriving.poll_recv(context));
    Ok(Response::from_parts(head, Box::pin(chunks)))
}

async fn subscribe(events: String, reporter: Reporter) {
    reporter.report(Report::Client("eventsource-client 0.18".to_owned()));
    let reconnecting = ReconnectOptions::reconnect(true)
        .retry_initial(true)
        .delay(RECONNECTION_TIME)
        .backoff_factor(1);
    let client = ClientBuilder::for_url(&events)
        .unwrap()
        .reconnect(reconnecting.build())
        .build_with_transport(Transport);
    let mut stream = client.stream();
    while let Some(next) = stream.next().await {
        match next {
            Ok(SSE::Connected(connection)) if connection.response().status() == 204 => {
                let reason = "Connected with a 204, after which it would reconnect";
                reporter.report(Report::Stopped(reason.to_owned()));
                return;
            }
            Ok(SSE::Connected(_)) => reporter.report(Report::Open),
            Ok(SSE::Event(event)) => reporter.report(Report::Event(Event {
                id: event.id.unwrap_or_default(),
                kind: event.event_type,
                data: event.data,
            })),
            // The client reconnects on its own.
            Ok(SSE::Comment(_)) | Err(_) => {}
        }
    }
    reporter.report(Report::Failed("the stream is closed".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eventsource_client_receives_every_event_once() {
    let start = |endpoint: &Endpoint| {
        let events = endpoint.events.clone();
        Subscriber::within(|reporter| subscribe(events, reporter))
    };
    Conformance::new().check(start).await;
}
