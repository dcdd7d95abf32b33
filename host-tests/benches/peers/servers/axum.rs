//! The native peer: axum's `Sse` over a log in memory. An event is encoded once, when it is published.
//! Subscribers replay from the log and go live on a broadcast channel without a gap.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use futures::Stream;
use tokio::net::TcpListener;
use tokio::sync::broadcast::{Receiver, Sender, error::RecvError};

/// Events that a channel retains.
const RETENTION: usize = 25_000;
/// Events of one page of the log.
const PAGE_EVENTS: usize = 256;
/// Events by which a live subscriber can lag before it reads from the log again.
const MAX_LAG: usize = 1_024;
/// The interval of heartbeats, as on the other servers.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Serves until the process ends.
pub(crate) async fn serve() -> Result<()> {
    let routes = Router::new()
        .route("/events/{channel}", get(subscribe))
        .route("/publish/{channel}", post(publish))
        .with_state(Channels::default());
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        // Fails only if the connection is already closed.
        _ = stream.set_nodelay(true);
    });
    Ok(axum::serve(listener, routes).await?)
}

#[derive(Clone, Default)]
struct Channels(Arc<Mutex<HashMap<String, Arc<Channel>>>>);

impl Channels {
    fn get_or_create(&self, name: String) -> Arc<Channel> {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        channels.entry(name).or_default().clone()
    }
}

struct Channel {
    log: RwLock<Log>,
    live: Sender<Entry>,
}

impl Default for Channel {
    fn default() -> Self {
        Self {
            log: RwLock::default(),
            live: Sender::new(MAX_LAG),
        }
    }
}

#[derive(Default)]
struct Log {
    entries: VecDeque<Entry>,
    last_id: u64,
}

#[derive(Clone)]
struct Entry {
    id: u64,
    event: Event,
}

impl Log {
    fn append(&mut self, data: &str) -> Entry {
        self.last_id += 1;
        let event = Event::default().id(self.last_id.to_string()).data(data);
        let entry = Entry {
            id: self.last_id,
            event,
        };
        if self.entries.len() == RETENTION {
            self.entries.pop_front();
        }
        self.entries.push_back(entry.clone());
        entry
    }

    fn page(&self, after: u64) -> VecDeque<Entry> {
        let newer = usize::try_from(self.last_id.saturating_sub(after)).unwrap_or(usize::MAX);
        let start = self.entries.len().saturating_sub(newer);
        self.entries
            .iter()
            .skip(start)
            .take(PAGE_EVENTS)
            .cloned()
            .collect()
    }
}

async fn publish(
    State(channels): State<Channels>,
    Path(name): Path<String>,
    body: String,
) -> StatusCode {
    let channel = channels.get_or_create(name);
    let mut log = channel.log.write().unwrap_or_else(PoisonError::into_inner);
    for line in body.lines() {
        let Ok(event) = serde_json::from_str::<serde_json::Value>(line) else {
            return StatusCode::BAD_REQUEST;
        };
        let entry = log.append(event["data"].as_str().unwrap_or_default());
        // Fails if there is no subscriber.
        _ = channel.live.send(entry);
    }
    StatusCode::CREATED
}

async fn subscribe(
    State(channels): State<Channels>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> impl IntoResponse {
    let channel = channels.get_or_create(name);
    let live = channel.live.subscribe();
    let header = headers.get("last-event-id");
    let last_event_id = header.and_then(|id| id.to_str().ok()?.parse().ok());
    let newest = || {
        channel
            .log
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .last_id
    };
    let subscriber = Subscriber {
        last_id: last_event_id.unwrap_or_else(newest),
        is_live: last_event_id.is_none(),
        page: VecDeque::new(),
        channel,
        live,
    };
    Sse::new(subscriber.events()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

struct Subscriber {
    channel: Arc<Channel>,
    live: Receiver<Entry>,
    page: VecDeque<Entry>,
    /// True once the log has been replayed.
    is_live: bool,
    last_id: u64,
}

impl Subscriber {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        futures::stream::unfold(self, |mut subscriber| async {
            let entry = subscriber.next().await?;
            subscriber.last_id = entry.id;
            Some((Ok(entry.event), subscriber))
        })
    }

    async fn next(&mut self) -> Option<Entry> {
        loop {
            if let Some(entry) = self.page.pop_front() {
                return Some(entry);
            }
            if !self.is_live {
                let log = self
                    .channel
                    .log
                    .read()
                    .unwrap_or_else(PoisonError::into_inner);
                self.page = log.page(self.last_id);
                self.is_live = self.page.is_empty();
                continue;
            }
            match self.live.recv().await {
                Ok(entry) if entry.id > self.last_id => return Some(entry),
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => self.is_live = false,
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
