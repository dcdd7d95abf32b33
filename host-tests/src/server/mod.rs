//! HTTP over TCP, with time limits for clients and a graceful shutdown.

mod connection;
mod graceful_body;
mod http_rules;
mod phase;
mod served_body;
mod timeout_stream;
mod write_gate;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::host::Host;
use connection::Connection;

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
    /// The time that a connection is kept without a request. Longer than the time for which proxies keep
    /// idle connections: one that the server closes first may take a request with it.
    pub idle_timeout: Duration,
    /// The largest number of open connections. Others wait until one of them is closed, so that file
    /// descriptors are left for the store.
    pub max_connections: usize,
    /// Serves requests of HTTP/1.0 that name no host, as for `localhost`. Otherwise such a request ends its
    /// connection without a response, as on Spin.
    pub serves_without_host: bool,
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
            // As Google recommends for its load balancer, which keeps connections for 600 s.
            idle_timeout: Duration::from_secs(620),
            max_connections: default_max_connections(),
            serves_without_host: false,
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
                let connection = Connection {
                    host: host.clone(),
                    client,
                    options,
                    signals: signals.clone(),
                };
                tasks.spawn(async move {
                    connection.serve(stream).await;
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
