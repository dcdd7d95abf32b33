//! HTTP over TCP, and a stop that cuts no event in two.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, Result};
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::host::Host;
use crate::runtime::Body;
use crate::socket::Socket;
use crate::tail::Tail;

/// How a [`Server`] serves.
#[derive(Debug, Clone, Copy)]
pub struct ServeOptions {
    /// Whether small packets leave at once (`TCP_NODELAY`). Spin leaves it off, which is worth 40 ms
    /// to a client that delays its acknowledgements.
    pub nodelay: bool,
    /// How long a client may take for the head of a request, and a connection may wait for one.
    pub head_timeout: Duration,
    /// How long a client may take or acknowledge nothing of what is written to it. With a heartbeat
    /// of the same length, a client that vanished is found out within two.
    pub write_timeout: Duration,
    /// How long connections may take to end after [`Server::shutdown`] before they are cut.
    pub grace: Duration,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            nodelay: true,
            head_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(15),
            grace: Duration::from_secs(5),
        }
    }
}

/// A host that serves HTTP. Dropping it stops nothing; [`Server::shutdown`] does.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    grace: Duration,
    signals: Signals,
    tasks: TaskTracker,
}

#[derive(Debug, Clone, Default)]
struct Signals {
    /// No new connections or requests; event streams end between events.
    stopping: CancellationToken,
    /// Time is up.
    cut: CancellationToken,
}

impl Server {
    pub(crate) fn start(host: Host, listener: TcpListener, options: ServeOptions) -> Result<Self> {
        let address = listener
            .local_addr()
            .context("the listener has no address")?;
        let signals = Signals::default();
        let tasks = TaskTracker::new();
        let accepting = accept(host, listener, options, signals.clone(), tasks.clone());
        tasks.spawn(accepting);
        Ok(Self {
            address,
            grace: options.grace,
            signals,
            tasks,
        })
    }

    /// The address it serves on; the real port if port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops: no new connections, open event streams end between two events, other responses run to
    /// their end, and what is still open after [`ServeOptions::grace`] is cut.
    pub async fn shutdown(self) {
        self.signals.stopping.cancel();
        self.tasks.close();
        if tokio::time::timeout(self.grace, self.tasks.wait())
            .await
            .is_err()
        {
            self.signals.cut.cancel();
            self.tasks.wait().await;
        }
    }
}

async fn accept(
    host: Host,
    listener: TcpListener,
    options: ServeOptions,
    signals: Signals,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            () = signals.stopping.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, client)) => {
                // Fails only on a connection that is gone already.
                _ = stream.set_nodelay(options.nodelay);
                let host = host.clone();
                tasks.spawn(connection(host, stream, client, options, signals.clone()));
            }
            Err(error) => {
                // A client that left, or no file descriptor to spare: neither is lasting.
                host.log(&format!("cannot accept a connection: {error}"));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(
    host: Host,
    stream: TcpStream,
    client: SocketAddr,
    options: ServeOptions,
    signals: Signals,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let host = host.clone();
        let stopping = signals.stopping.clone();
        async move {
            let response = host.handle(request, client).await;
            Ok::<_, Infallible>(with_tail(response, &stopping))
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    let mut http1 = builder.http1();
    http1.timer(TokioTimer::new());
    http1.header_read_timeout(options.head_timeout);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new());
    http2.keep_alive_interval(options.write_timeout);
    http2.keep_alive_timeout(options.write_timeout);
    let socket = Socket::new(stream, options.head_timeout, options.write_timeout);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(socket), service));
    // A connection that fails is one whose client is gone; there is nobody to tell.
    tokio::select! {
        _ = serving.as_mut() => return,
        () = signals.stopping.cancelled() => serving.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = serving => {}
        () = signals.cut.cancelled() => {}
    }
}

fn with_tail(response: Response<Body>, stopping: &CancellationToken) -> Response<Tail<Body>> {
    let event_stream = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    response.map(|body| Tail::new(body, event_stream, stopping))
}
