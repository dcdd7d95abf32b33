//! A TCP proxy between a client and the server. It cuts event streams when it is told to, or after a
//! number of bytes, and serves browsers the page and the modules they need from the same origin.

mod page;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::client::PATIENCE;

pub(crate) use page::PAGE;
use wire::Wire;

/// Where a stream may be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cutting {
    Anywhere,
    BetweenEvents,
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Cut { in_mid_event: bool },
    ByServer,
    ByClient,
}

/// A request for events that reached the server.
#[derive(Clone, Debug)]
pub(crate) struct Passage {
    pub(crate) last_event_id: Option<String>,
    /// Bytes of the answer's body, chunk sizes included.
    pub(crate) bytes: usize,
    pub(crate) end: End,
}

/// What event streams meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    /// Down as soon as so many bytes of bodies have passed.
    Fuse(usize),
    /// Streams are cut, and new ones before they have begun.
    Down,
}

pub(crate) struct Proxy {
    /// Host and port.
    pub(crate) authority: String,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

struct Shared {
    upstream: String,
    cutting: Cutting,
    /// The folder with `node_modules`.
    modules: Option<PathBuf>,
    gate: watch::Sender<Gate>,
    passages: watch::Sender<Vec<Passage>>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    pub(crate) async fn start(upstream: &str, cutting: Cutting, modules: Option<PathBuf>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            cutting,
            modules,
            gate: watch::Sender::new(Gate::Open),
            passages: watch::Sender::default(),
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

    /// Lets so many more bytes pass, and then cuts everything until [`Proxy::mend`].
    pub(crate) fn cut_after(&self, bytes: usize) {
        self.shared.gate.send_replace(Gate::Fuse(bytes));
    }

    pub(crate) fn is_down(&self) -> bool {
        *self.shared.gate.borrow() == Gate::Down
    }

    /// Waits until everything has been cut.
    pub(crate) async fn down(&self) {
        let mut gate = self.shared.gate.subscribe();
        gate.wait_for(|gate| *gate == Gate::Down).await.unwrap();
    }

    /// Lets streams pass again.
    pub(crate) fn mend(&self) {
        self.shared.gate.send_replace(Gate::Open);
    }

    /// The requests for events whose answers have ended, in the order of their ends.
    pub(crate) fn passages(&self) -> Vec<Passage> {
        self.shared.passages.borrow().clone()
    }

    /// Waits until one more stream has been ended by the server.
    pub(crate) async fn end_by_server(&self) {
        let ends = |passages: &Vec<Passage>| {
            let ended = passages.iter().filter(|each| each.end == End::ByServer);
            ended.count()
        };
        let mut passages = self.shared.passages.subscribe();
        let before = ends(&passages.borrow());
        let ended = passages.wait_for(|passages| ends(passages) > before);
        timeout(PATIENCE, ended)
            .await
            .expect("the server ends no stream")
            .unwrap();
    }
}

impl Shared {
    /// Answers one request, after which the connection is closed.
    async fn serve(self: Arc<Self>, mut client: TcpStream) {
        _ = client.set_nodelay(true);
        let Some(head) = read_head(&mut client).await else {
            return;
        };
        let path = head.split(' ').nth(1).unwrap_or_default();
        if path.starts_with("/events/") {
            self.forward(client, &head).await;
        } else {
            let page = page::answer(path, self.modules.as_deref());
            _ = client.write_all(&page).await;
            _ = client.shutdown().await;
        }
    }

    async fn forward(&self, mut client: TcpStream, head: &str) {
        if *self.gate.borrow() == Gate::Down {
            return refuse(client);
        }
        let Ok(mut server) = TcpStream::connect(&self.upstream).await else {
            return refuse(client);
        };
        _ = server.set_nodelay(true);
        if server.write_all(closing(head).as_bytes()).await.is_err() {
            return refuse(client);
        }
        let mut wire = Wire::default();
        let end = self.pump(&mut client, &mut server, &mut wire).await;
        let passage = Passage {
            last_event_id: header(head, "last-event-id").map(str::to_owned),
            bytes: wire.body_bytes(),
            end,
        };
        self.passages.send_modify(|passages| passages.push(passage));
        if end == End::ByServer {
            _ = client.shutdown().await;
        } else {
            refuse(client);
        }
    }

    async fn pump(&self, client: &mut TcpStream, server: &mut TcpStream, wire: &mut Wire) -> End {
        let mut gate = self.gate.subscribe();
        let mut from_server = [0; 16 * 1024];
        let mut from_client = [0; 1024];
        loop {
            // With no bytes, only looks whether it is time to cut.
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
            let mut passing = 0;
            let cut = self.gate.send_if_modified(|gate| {
                let cut;
                (passing, cut) = wire.admit(bytes, gate, self.cutting);
                cut
            });
            if client.write_all(&bytes[..passing]).await.is_err() {
                return End::ByClient;
            }
            if cut {
                let in_mid_event = !wire.is_between_events();
                return End::Cut { in_mid_event };
            }
        }
    }
}

/// Closes a connection before its time: as a program that ends does, or as a machine that is gone.
fn refuse(client: TcpStream) {
    if rand::random() {
        _ = client.set_zero_linger();
    }
}

/// The head of a request, unless the client leaves before it is whole.
async fn read_head(client: &mut TcpStream) -> Option<String> {
    let mut head = vec![];
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

/// The value of a header.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (given, value) = line.split_once(':')?;
        given.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

/// The head of a request that asks for the connection to be closed after the answer.
fn closing(head: &str) -> String {
    let lines = head.trim_end().lines().filter(|line| {
        let name = line.split(':').next().unwrap_or_default();
        !name.eq_ignore_ascii_case("connection")
    });
    let lines: Vec<_> = lines.collect();
    format!("{}\r\nconnection: close\r\n\r\n", lines.join("\r\n"))
}
