//! A client of a host in this process, which reads an event stream at its own pace.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use runnel_host::{Body, Host};
use tokio::time::{Instant, timeout, timeout_at};

use crate::frame::{BlockChecker, Event, Frame};

/// No stream is silent for longer. Under paused time this passes at once.
const SILENCE_LIMIT: Duration = Duration::from_secs(600);

/// An open stream. Dropping it disconnects.
pub struct Subscriber {
    /// The status, 200 or 204.
    pub status: u16,
    body: Body,
    frames: VecDeque<Frame>,
    /// The beginning of a chunk, of which the host takes 64 KiB at once.
    partial: Vec<u8>,
    checker: BlockChecker,
    /// The control events that [`Subscriber::event`] has skipped, but those that every stream has.
    pub control_events: Vec<Event>,
}

impl Subscriber {
    /// Opens a stream of a channel, without reading from it.
    pub async fn open(host: &Host, channel: &str, query: &str) -> Self {
        Self::get(host, &format!("/events/{channel}{query}")).await
    }

    /// Opens the stream at a path with a query, without reading from it.
    pub async fn get(host: &Host, path: &str) -> Self {
        let request = Request::get(path);
        let response = host.request(request.body(Full::<Bytes>::default()).unwrap());
        let response = timeout(SILENCE_LIMIT, response).await;
        let response = response.expect("no response head");
        let status = response.status().as_u16();
        assert!(status == 200 || status == 204, "{response:?}");
        Self {
            status,
            body: response.into_body(),
            frames: VecDeque::new(),
            partial: vec![],
            checker: BlockChecker::default(),
            control_events: vec![],
        }
    }

    /// Opens a live stream, and reads its opening, which has its position.
    pub async fn open_live(host: &Host, channel: &str) -> Self {
        let mut subscriber = Self::open(host, channel, "").await;
        let opening = subscriber.read_opening().await;
        assert!(opening.id.is_some(), "{opening:?}");
        subscriber
    }

    /// Reads the comment that every stream begins with, without waiting for the store.
    pub async fn read_first_comment(&mut self) {
        let first = self.frame().await.unwrap();
        assert_eq!(first.comments, ["runnel"]);
    }

    /// Reads the frames that every stream begins with. Returns the last of them, `runnel.open`.
    pub async fn read_opening(&mut self) -> Frame {
        self.read_first_comment().await;
        self.read_open_event().await
    }

    /// Reads `runnel.open`.
    pub async fn read_open_event(&mut self) -> Frame {
        let open = self.frame().await.unwrap();
        assert_eq!(open.name.as_deref(), Some("runnel.open"));
        assert!(open.retry.is_some(), "{open:?}");
        open
    }

    /// Returns the frames of the next chunk that the guest wrote, or `None` at the end.
    pub async fn chunk(&mut self) -> Option<Vec<Frame>> {
        loop {
            let part = timeout(SILENCE_LIMIT, self.body.frame()).await;
            let Some(part) = part.expect("the stream hangs") else {
                assert!(self.partial.is_empty(), "the stream ends within a frame");
                return None;
            };
            let bytes = part.expect("the stream broke off").into_data().unwrap();
            if let Some(frames) = self.take(&bytes) {
                return Some(frames);
            }
        }
    }

    /// Takes a part of a chunk. Returns the frames of the chunk once it is complete.
    fn take(&mut self, part: &[u8]) -> Option<Vec<Frame>> {
        self.partial.extend_from_slice(part);
        self.checker.push(part);
        if !self.checker.is_between_blocks() {
            return None;
        }
        let chunk = std::mem::take(&mut self.partial);
        Some(Frame::parse_all(std::str::from_utf8(&chunk).unwrap()))
    }

    /// Returns the next frame, or `None` at the end.
    pub async fn frame(&mut self) -> Option<Frame> {
        while self.frames.is_empty() {
            let chunk = self.chunk().await?;
            self.frames.extend(chunk);
        }
        self.frames.pop_front()
    }

    /// Returns the next published event, or `None` at the end.
    pub async fn event(&mut self) -> Option<Event> {
        while let Some(frame) = self.frame().await {
            match frame.event() {
                Some(event) if event.is_bookkeeping() => {}
                Some(event) if event.is_control_event() => self.control_events.push(event),
                Some(event) => return Some(event),
                None => {}
            }
        }
        None
    }

    /// Returns the next `count` published events.
    pub async fn events(&mut self, count: usize) -> Vec<Event> {
        let mut events = vec![];
        while events.len() < count {
            events.push(self.event().await.expect("the stream ended early"));
        }
        events
    }

    /// Returns the published events that arrive within `time`, or before the stream breaks off.
    pub async fn events_before_break(&mut self, time: Duration) -> Vec<Event> {
        let end = Instant::now() + time;
        while let Ok(Some(Ok(chunk))) = timeout_at(end, self.body.frame()).await {
            let bytes = chunk.into_data().unwrap();
            let frames = self.take(&bytes);
            self.frames.extend(frames.into_iter().flatten());
        }
        let events = self.frames.drain(..).filter_map(Frame::event);
        events.filter(|event| !event.is_control_event()).collect()
    }

    /// Returns all events up to the end of a stream without gaps.
    pub async fn rest(mut self) -> Vec<Event> {
        let mut events = vec![];
        while let Some(event) = self.event().await {
            events.push(event);
        }
        for event in &self.control_events {
            assert_eq!(event.name.as_deref(), Some("runnel.end"));
        }
        events
    }

    /// Reads for `time`, and asserts that nothing but heartbeats arrives.
    pub async fn assert_idle_for(&mut self, time: Duration) {
        for frame in self.read_for(time).await {
            assert!(frame.is_heartbeat(), "{frame:?}");
        }
    }

    /// Returns the frames that arrive within `time`.
    pub async fn read_for(&mut self, time: Duration) -> Vec<Frame> {
        let end = Instant::now() + time;
        let mut frames = vec![];
        while let Ok(frame) = timeout_at(end, self.frame()).await {
            frames.push(frame.expect("the stream ended early"));
        }
        frames
    }

    /// Returns the frames up to the end, each with the time of its arrival since `start`.
    pub async fn rest_timed(&mut self, start: Instant) -> Vec<(Duration, Frame)> {
        let mut frames = vec![];
        while let Some(frame) = self.frame().await {
            frames.push((start.elapsed(), frame));
        }
        frames
    }
}
