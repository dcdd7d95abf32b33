//! The crate eventsource-client.
//!
//! It ignores a reconnection time that comes without data, as Runnel's does, and waits by its own
//! rule; and it takes a 204 for a stream that has ended, so that its user has to stop.

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

use crate::events::Event;
use crate::subscriber::{Report, Reporter, Subscriber};
use crate::trial::{Invitation, Trial};

const WAIT: Duration = Duration::from_millis(50);

/// Plain HTTP/1.1, each request on a connection of its own.
#[derive(Clone)]
struct Transport;

impl HttpTransport for Transport {
    fn request(&self, request: Request<Option<Bytes>>) -> ResponseFuture {
        // A task, because the future has to be Sync, which hyper's is not.
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
    reporter.say(Report::Client("eventsource-client 0.18".to_owned()));
    let reconnecting = ReconnectOptions::reconnect(true)
        .retry_initial(true)
        .delay(WAIT)
        .backoff_factor(1);
    let client = ClientBuilder::for_url(&events)
        .unwrap()
        .reconnect(reconnecting.build())
        .build_with_transport(Transport);
    let mut stream = client.stream();
    while let Some(next) = stream.next().await {
        match next {
            Ok(SSE::Connected(connection)) if connection.response().status() == 204 => {
                let how = "it says Connected with a 204, and would go on";
                reporter.say(Report::Stopped(how.to_owned()));
                return;
            }
            Ok(SSE::Connected(_)) => reporter.say(Report::Open),
            Ok(SSE::Event(event)) => reporter.say(Report::Event(Event {
                id: event.id.unwrap_or_default(),
                kind: event.event_type,
                data: event.data,
            })),
            // It connects again by itself.
            Ok(SSE::Comment(_)) | Err(_) => {}
        }
    }
    reporter.say(Report::Failed("the stream is closed".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eventsource_client_gets_every_event_once_over_cuts_and_a_kill() {
    let start = |invitation: &Invitation| {
        let events = invitation.events.clone();
        Subscriber::within(|reporter| subscribe(events, reporter))
    };
    Trial::new().of(start).await;
}
