//! HTTP over TCP, with time limits for clients and a graceful shutdown.

mod graceful_body;
mod timeout_stream;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::host::Host;
use crate::runtime::Body;
use graceful_body::GracefulBody;
use timeout_stream::TimeoutStream;

/// The pause after a connection could not be accepted.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);

/// The options of a [`Server`].
#[derive(Debug, Clone, Copy)]
pub struct ServerOptions {
    /// Sends small packets at once (`TCP_NODELAY`). Spin does not, which costs a client that delays
    /// its acknowledgements 40 ms.
    pub nodelay: bool,
    /// The time that a client may take for the head of a request, and from the accepted connection to the
    /// first request whatever it sends meanwhile.
    pub head_timeout: Duration,
    /// The largest number of open connections. Others wait until one of them is closed, so that file
    /// descriptors are left for the store.
    pub max_connections: usize,
    /// The time for which a client may accept or acknowledge nothing of what is sent to it. With a
    /// heartbeat of the same length, a client that vanished is detected within two.
    pub write_timeout: Duration,
    /// The time that connections may take to end after [`Server::shutdown`] before they are aborted.
    pub grace_period: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            nodelay: true,
            head_timeout: Duration::from_secs(30),
            max_connections: default_max_connections(),
            write_timeout: Duration::from_secs(15),
            grace_period: Duration::from_secs(5),
        }
    }
}

/// The file descriptors that are left for the store, the log and the runtime.
const RESERVED_DESCRIPTORS: u64 = 256;

/// Returns the number of connections that the limit of open files leaves room for.
fn default_max_connections() -> usize {
    let limit = rlimit::Resource::NOFILE.get_soft().unwrap_or(1_024);
    let connections = limit.saturating_sub(RESERVED_DESCRIPTORS).max(limit / 2);
    usize::try_from(connections)
        .unwrap_or(usize::MAX)
        .min(Semaphore::MAX_PERMITS)
}

/// A running HTTP server. It serves until [`Server::shutdown`]; dropping it does not stop it.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    grace_period: Duration,
    signals: ShutdownSignals,
    tasks: TaskTracker,
}

#[derive(Debug, Clone, Default)]
struct ShutdownSignals {
    /// Stops new connections and requests, and ends event streams between two events.
    graceful: CancellationToken,
    /// Aborts all connections.
    abort: CancellationToken,
}

impl Server {
    /// Serves `host` on `listener`.
    ///
    /// # Errors
    /// If the listener has no address.
    pub fn start(host: &Host, listener: TcpListener, options: ServerOptions) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let signals = ShutdownSignals::default();
        let tasks = TaskTracker::new();
        tasks.spawn(accept_connections(
            host.clone(),
            listener,
            options,
            signals.clone(),
            tasks.clone(),
        ));
        Ok(Self {
            address,
            grace_period: options.grace_period,
            signals,
            tasks,
        })
    }

    /// Returns the address of the listener, with the real port if port 0 was requested.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the server: refuses new connections, ends open event streams between two events, lets
    /// other responses finish, and aborts what is still open after [`ServerOptions::grace_period`].
    pub async fn shutdown(self) {
        self.signals.graceful.cancel();
        self.tasks.close();
        if tokio::time::timeout(self.grace_period, self.tasks.wait())
            .await
            .is_err()
        {
            self.signals.abort.cancel();
            self.tasks.wait().await;
        }
    }
}

async fn accept_connections(
    host: Host,
    listener: TcpListener,
    options: ServerOptions,
    signals: ShutdownSignals,
    tasks: TaskTracker,
) {
    let permits = Arc::new(Semaphore::new(options.max_connections));
    loop {
        let accepted = async {
            let permit = permits.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = signals.graceful.cancelled() => return,
            accepted = accepted => accepted,
        };
        match accepted {
            Ok((stream, client)) => {
                // Fails only if the connection is already closed.
                _ = stream.set_nodelay(options.nodelay);
                let host = host.clone();
                let signals = signals.clone();
                tasks.spawn(async move {
                    serve_connection(host, stream, client, options, signals).await;
                    drop(permit);
                });
            }
            Err(error) => {
                // The client left or file descriptors ran out. Both pass.
                host.log(&format!("cannot accept a connection: {error}"));
                tokio::time::sleep(ACCEPT_BACKOFF).await;
            }
        }
    }
}

async fn serve_connection(
    host: Host,
    stream: TcpStream,
    client: SocketAddr,
    options: ServerOptions,
    signals: ShutdownSignals,
) {
    let first_request = CancellationToken::new();
    let service = service_fn(|request: Request<Incoming>| {
        first_request.cancel();
        let host = host.clone();
        let shutdown = signals.graceful.clone();
        async move {
            let response = host.dispatch(request, client).await;
            Ok::<_, Infallible>(end_gracefully(response, shutdown))
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
    let stream = TimeoutStream::new(stream, options.write_timeout);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // A connection fails when its client is gone, so its error is of no interest.
    tokio::select! {
        _ = connection.as_mut() => return,
        // Before the first request hyper limits only the head of HTTP/1, not what comes before it: the
        // choice of the protocol, and the preface of HTTP/2.
        () = expire_without(&first_request, options.head_timeout) => return,
        () = signals.graceful.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        _ = connection => {}
        () = signals.abort.cancelled() => {}
    }
}

/// Completes after `timeout`, unless there was a first request by then.
async fn expire_without(first_request: &CancellationToken, timeout: Duration) {
    let waiting = tokio::time::timeout(timeout, first_request.cancelled());
    if waiting.await.is_ok() {
        std::future::pending().await
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
