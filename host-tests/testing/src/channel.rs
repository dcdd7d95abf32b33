//! A channel of a test's own.

use std::ops::RangeInclusive;

use bytes::Bytes;
use serde_json::Value;

use crate::request::Request;
use crate::server::{Server, shared_server};
use crate::stream::Stream;

/// A channel that no other test uses, in this or an earlier run.
#[derive(Clone)]
pub struct Channel {
    /// The server that the channel is on.
    pub server: Server,
    /// Its name.
    pub name: String,
}

/// Splits an event id into epoch and seq.
pub fn split_id(id: &str) -> (&str, u64) {
    let (epoch, seq) = id.split_once('-').unwrap();
    (epoch, seq.parse().unwrap())
}

impl Default for Channel {
    fn default() -> Self {
        Self::new()
    }
}

impl Channel {
    /// Returns a channel on the [`shared_server`].
    pub fn new() -> Self {
        Self::on(shared_server())
    }

    /// Returns a channel on a server.
    pub fn on(server: Server) -> Self {
        let name = format!("test/{:032x}", rand::random::<u128>());
        Self { server, name }
    }

    /// Returns `GET /events/{channel}` with a query, which begins with `?` unless it is empty.
    pub fn events(&self, query: &str) -> Request {
        self.server.get(&format!("/events/{}{query}", self.name))
    }

    /// Returns an authorized `POST /publish/{channel}` with a query, still without a body.
    pub fn publish(&self, query: &str) -> Request {
        let path = format!("/publish/{}{query}", self.name);
        self.server.request("POST", &path).authorized()
    }

    /// Returns an authorized request to `/channels/{channel}{rest}`.
    pub fn manage(&self, method: &str, rest: &str) -> Request {
        let path = format!("/channels/{}{rest}", self.name);
        self.server.request(method, &path).authorized()
    }

    /// Publishes an event and returns its id.
    pub async fn publish_text(&self, text: impl Into<Bytes>) -> String {
        let request = self.publish("").body("text/plain", text);
        request.send().await.event_id()
    }

    /// Publishes an event of this type and returns its id.
    pub async fn publish_typed(&self, event_type: &str, text: impl Into<Bytes>) -> String {
        let request = self.publish(&format!("?event={event_type}"));
        let request = request.body("text/plain", text);
        request.send().await.event_id()
    }

    /// Publishes one event for each of `numbers`, with the number as data. Returns their ids.
    pub async fn publish_numbers(&self, numbers: RangeInclusive<u32>) -> Vec<String> {
        let mut ids = vec![];
        for number in numbers {
            ids.push(self.publish_text(number.to_string()).await);
        }
        ids
    }

    /// Publishes the same events as [`Channel::publish_numbers`] in one batch.
    pub async fn publish_batch(&self, numbers: RangeInclusive<u32>) {
        let lines: String = numbers
            .map(|number| format!("{{\"data\":\"{number}\"}}\n"))
            .collect();
        let request = self.publish("").body("application/x-ndjson", lines);
        request.send().await.expect_status(201);
    }

    /// Closes the channel.
    pub async fn close(&self) {
        let request = self.manage("POST", "/close");
        request.send().await.expect_status(204);
    }

    /// Purges the channel.
    pub async fn purge(&self) {
        self.manage("DELETE", "").send().await.expect_status(204);
    }

    /// Returns the body of `GET /channels/{channel}`.
    pub async fn state(&self) -> Value {
        let request = self.manage("GET", "");
        request.send().await.expect_status(200).json()
    }

    /// Opens a stream.
    pub async fn subscribe(&self, query: &str) -> Stream {
        Stream::of(self.events(query).open().await)
    }

    /// Opens a stream after an event, as an `EventSource` that reconnects does.
    pub async fn resume(&self, last_event_id: &str) -> Stream {
        let request = self.events("").header("last-event-id", last_event_id);
        Stream::of(request.open().await)
    }

    /// Reads all retained events, as id and data.
    pub async fn log(&self) -> Vec<(String, String)> {
        let stream = self.subscribe("?live=false&last_event_id=earliest").await;
        let events = stream.rest().await;
        assert!(
            events
                .iter()
                .all(|event| !event.event.starts_with("runnel."))
        );
        events
            .into_iter()
            .map(|event| (event.id, event.data))
            .collect()
    }
}
