//! A client that reads an event stream at its own pace.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use runnel_host::{Body, Host};
use tokio::time::{Instant, timeout, timeout_at};

use crate::block::{Block, Event};

/// No stream is silent for longer: then a test has hung. Under paused time this passes at once.
const HUNG: Duration = Duration::from_secs(600);

/// An open stream. Dropping it is a disconnect.
pub(crate) struct Subscriber {
    pub(crate) status: u16,
    body: Body,
    blocks: VecDeque<Block>,
    /// The signals that [`Subscriber::event`] has met.
    pub(crate) signals: Vec<Event>,
}

impl Subscriber {
    /// Opens a stream; nothing of it has been read yet.
    pub(crate) async fn open(host: &Host, channel: &str, query: &str) -> Self {
        Self::get(host, &format!("/events/{channel}{query}")).await
    }

    /// Opens the stream at a path with a query; nothing of it has been read yet.
    pub(crate) async fn get(host: &Host, path: &str) -> Self {
        let request = Request::get(path);
        let response = host.request(request.body(Full::<Bytes>::default()).unwrap());
        Self::of(timeout(HUNG, response).await.expect("no response head"))
    }

    fn of(response: Response<Body>) -> Self {
        let status = response.status().as_u16();
        assert!(status == 200 || status == 204, "{response:?}");
        Self {
            status,
            body: response.into_body(),
            blocks: VecDeque::new(),
            signals: vec![],
        }
    }

    /// Opens a stream of a live subscriber, and reads its first bytes and where it stands.
    pub(crate) async fn open_live(host: &Host, channel: &str) -> Self {
        let mut subscriber = Self::open(host, channel, "").await;
        subscriber.read_opening().await;
        let mark = subscriber.block().await.unwrap();
        assert!(mark.is_mark(), "{mark:?}");
        subscriber
    }

    /// Reads the first bytes, which come before anything else; returns the reconnection time.
    pub(crate) async fn read_opening(&mut self) -> u64 {
        let first = self.block().await.unwrap();
        let second = self.block().await.unwrap();
        assert_eq!(second.comments, ["runnel"]);
        first.retry.unwrap()
    }

    /// The next chunk as the guest wrote it; `None` at the end.
    pub(crate) async fn chunk(&mut self) -> Option<Vec<Block>> {
        let frame = timeout(HUNG, self.body.frame()).await;
        let frame = frame.expect("the stream has hung")?;
        let bytes = frame.expect("the stream broke off").into_data().unwrap();
        Some(Block::parse_all(std::str::from_utf8(&bytes).unwrap()))
    }

    /// The next block; `None` at the end.
    pub(crate) async fn block(&mut self) -> Option<Block> {
        while self.blocks.is_empty() {
            let chunk = self.chunk().await?;
            self.blocks.extend(chunk);
        }
        self.blocks.pop_front()
    }

    /// The next event that was published; `None` at the end.
    pub(crate) async fn event(&mut self) -> Option<Event> {
        while let Some(block) = self.block().await {
            match block.event() {
                Some(signal) if signal.is_signal() => self.signals.push(signal),
                Some(event) => return Some(event),
                None => {}
            }
        }
        None
    }

    /// The next so many events.
    pub(crate) async fn events(&mut self, count: usize) -> Vec<Event> {
        let mut events = vec![];
        while events.len() < count {
            events.push(self.event().await.expect("the stream ended early"));
        }
        events
    }

    /// The events that come within some time, or before the stream breaks off.
    pub(crate) async fn events_before_break(&mut self, time: Duration) -> Vec<Event> {
        let end = Instant::now() + time;
        while let Ok(Some(Ok(frame))) = timeout_at(end, self.body.frame()).await {
            let bytes = frame.into_data().unwrap();
            let text = std::str::from_utf8(&bytes).unwrap();
            self.blocks.extend(Block::parse_all(text));
        }
        let events = self.blocks.drain(..).filter_map(|block| block.event());
        events.filter(|event| !event.is_signal()).collect()
    }

    /// All events up to the end, of a stream that misses none.
    pub(crate) async fn rest(mut self) -> Vec<Event> {
        let mut events = vec![];
        while let Some(event) = self.event().await {
            events.push(event);
        }
        for signal in &self.signals {
            assert_eq!(signal.name.as_deref(), Some("runnel.end"));
        }
        events
    }

    /// Reads on for some time; nothing but heartbeats may come.
    pub(crate) async fn silent_for(&mut self, time: Duration) {
        for block in self.read_for(time).await {
            assert!(block.is_heartbeat(), "{block:?}");
        }
    }

    /// The blocks that come within some time.
    pub(crate) async fn read_for(&mut self, time: Duration) -> Vec<Block> {
        let end = Instant::now() + time;
        let mut blocks = vec![];
        while let Ok(block) = timeout_at(end, self.block()).await {
            blocks.push(block.expect("the stream ended early"));
        }
        blocks
    }

    /// The blocks up to the end, each with the time since `start` at which it came.
    pub(crate) async fn rest_timed(&mut self, start: Instant) -> Vec<(Duration, Block)> {
        let mut blocks = vec![];
        while let Some(block) = self.block().await {
            blocks.push((start.elapsed(), block));
        }
        blocks
    }
}
