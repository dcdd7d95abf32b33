//! A TCP proxy between a client and the server. It cuts event streams on demand or after a number of
//! bytes, and serves browsers a page and modules from the same origin.

mod page;
mod tracker;

use std::path::PathBuf;
use std::sync::Arc;

use runnel_testing::TIMEOUT;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

pub(crate) use page::PAGE;
use tracker::ResponseTracker;

/// The points at which a stream may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CutPoint {
    Anywhere,
    BetweenEvents,
}

/// The end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Cut { in_event: bool },
    ByServer,
    ByClient,
}

/// An event stream that has ended.
#[derive(Clone, Debug)]
pub(crate) struct ProxiedStream {
    /// The header of the request.
    pub(crate) last_event_id: Option<String>,
    /// The bytes of the response body, chunk sizes included.
    pub(crate) bytes: usize,
    pub(crate) end: End,
}

/// The state of the proxy for event streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    /// Closes after this many bytes of bodies.
    ClosesAfter(usize),
    /// Open streams are cut, and new ones are cut before they begin.
    Closed,
}

pub(crate) struct Proxy {
    /// Host and port.
    pub(crate) authority: String,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

struct Shared {
    upstream: String,
    cut_point: CutPoint,
    /// The folder with `node_modules`.
    modules: Option<PathBuf>,
    gate: watch::Sender<Gate>,
    ended_streams: watch::Sender<Vec<ProxiedStream>>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    pub(crate) async fn start(
        upstream: &str,
        cut_point: CutPoint,
        modules: Option<PathBuf>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            cut_point,
            modules,
            gate: watch::Sender::new(Gate::Open),
            ended_streams: watch::Sender::default(),
        });
        let serving = shared.clone();
        let accepting = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(serving.clone().serve(client));
            }
        });
        Self {
            authority,
            shared,
            accepting: accepting.abort_handle(),
        }
    }

    /// Forwards this many more bytes, and then cuts all streams until [`Proxy::reopen`].
    pub(crate) fn cut_after(&self, bytes: usize) {
        self.shared.gate.send_replace(Gate::ClosesAfter(bytes));
    }

    pub(crate) fn is_closed(&self) -> bool {
        *self.shared.gate.borrow() == Gate::Closed
    }

    /// Waits until all streams have been cut.
    pub(crate) async fn closed(&self) {
        let mut gate = self.shared.gate.subscribe();
        gate.wait_for(|gate| *gate == Gate::Closed).await.unwrap();
    }

    /// Forwards streams again.
    pub(crate) fn reopen(&self) {
        self.shared.gate.send_replace(Gate::Open);
    }

    /// Returns the event streams that have ended, in order of their ends.
    pub(crate) fn ended_streams(&self) -> Vec<ProxiedStream> {
        self.shared.ended_streams.borrow().clone()
    }

    /// Waits until the server has ended one more stream.
    pub(crate) async fn ended_by_server(&self) {
        let count = |streams: &Vec<ProxiedStream>| {
            let by_server = streams.iter().filter(|stream| stream.end == End::ByServer);
            by_server.count()
        };
        let mut streams = self.shared.ended_streams.subscribe();
        let before = count(&streams.borrow());
        let ended = streams.wait_for(|streams| count(streams) > before);
        timeout(TIMEOUT, ended)
            .await
            .expect("the server ends no stream")
            .unwrap();
    }
}

impl Shared {
    /// Serves one request and closes the connection.
    async fn serve(self: Arc<Self>, mut client: TcpStream) {
        _ = client.set_nodelay(true);
        let Some(head) = read_head(&mut client).await else {
            return;
        };
        let path = head.split(' ').nth(1).unwrap_or_default();
        if path.starts_with("/events/") {
            self.forward(client, &head).await;
        } else {
            let page = page::response(path, self.modules.as_deref());
            _ = client.write_all(&page).await;
            _ = client.shutdown().await;
        }
    }

    async fn forward(&self, mut client: TcpStream, head: &str) {
        if *self.gate.borrow() == Gate::Closed {
            return abort(client);
        }
        let Ok(mut server) = TcpStream::connect(&self.upstream).await else {
            return abort(client);
        };
        _ = server.set_nodelay(true);
        if server
            .write_all(with_connection_close(head).as_bytes())
            .await
            .is_err()
        {
            return abort(client);
        }
        let mut response = ResponseTracker::default();
        let end = self.pump(&mut client, &mut server, &mut response).await;
        let stream = ProxiedStream {
            last_event_id: header(head, "last-event-id").map(str::to_owned),
            bytes: response.body_bytes(),
            end,
        };
        self.ended_streams
            .send_modify(|streams| streams.push(stream));
        if end == End::ByServer {
            _ = client.shutdown().await;
        } else {
            abort(client);
        }
    }

    async fn pump(
        &self,
        client: &mut TcpStream,
        server: &mut TcpStream,
        response: &mut ResponseTracker,
    ) -> End {
        let mut gate = self.gate.subscribe();
        let mut from_server = [0; 16 * 1024];
        let mut from_client = [0; 1024];
        loop {
            // Without bytes, only the gate is checked.
            let mut bytes: &[u8] = &[];
            tokio::select! {
                _ = gate.changed() => {}
                read = server.read(&mut from_server) => match read {
                    Ok(length @ 1..) => bytes = &from_server[..length],
                    _ => return End::ByServer,
                },
                read = client.read(&mut from_client) => match read {
                    Ok(1..) => {}
                    _ => return End::ByClient,
                },
            }
            let mut forwarded = 0;
            let is_cut = self.gate.send_if_modified(|gate| {
                let is_cut;
                (forwarded, is_cut) = response.forward(bytes, gate, self.cut_point);
                is_cut
            });
            if client.write_all(&bytes[..forwarded]).await.is_err() {
                return End::ByClient;
            }
            if is_cut {
                let in_event = !response.is_between_events();
                return End::Cut { in_event };
            }
        }
    }
}

/// Closes a connection early, at random with FIN or with RST.
fn abort(client: TcpStream) {
    if rand::random() {
        _ = client.set_zero_linger();
    }
}

/// Reads the head of a request. Returns `None` if the client disconnects before its end.
async fn read_head(client: &mut TcpStream) -> Option<String> {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

/// Returns the value of a header.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (other, value) = line.split_once(':')?;
        other.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// Returns the head of a request with `connection: close`.
fn with_connection_close(head: &str) -> String {
    let lines = head.trim_end().lines().filter(|line| {
        let name = line.split(':').next().unwrap_or_default();
        !name.eq_ignore_ascii_case("connection")
    });
    let lines: Vec<_> = lines.collect();
    format!("{}\r\nconnection: close\r\n\r\n", lines.join("\r\n"))
}
