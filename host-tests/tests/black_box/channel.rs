//! A channel that belongs to one test.

use bytes::Bytes;
use serde_json::Value;

use crate::client::{Request, Response};
use crate::server::{Server, server};
use crate::stream::Stream;

/// A channel with a random name, so that no other test or earlier run uses it.
#[derive(Clone)]
pub(crate) struct Channel {
    pub(crate) server: Server,
    pub(crate) name: String,
}

/// Splits an event id into its epoch and its sequence number.
pub(crate) fn split_id(id: &str) -> (&str, u64) {
    let (epoch, seq) = id.split_once('-').unwrap();
    (epoch, seq.parse().unwrap())
}

impl Channel {
    /// Creates a channel on the shared server.
    pub(crate) fn new() -> Self {
        Self::on(server())
    }

    /// Creates a channel on the given server.
    pub(crate) fn on(server: Server) -> Self {
        let name = format!("black-box/{:032x}", rand::random::<u128>());
        Self { server, name }
    }

    /// Builds `GET /events/{channel}`. `query` is empty or starts with `?`.
    pub(crate) fn events(&self, query: &str) -> Request {
        self.server.get(&format!("/events/{}{query}", self.name))
    }

    /// Builds an authorized `POST /publish/{channel}` without a body. `query` is empty or starts with
    /// `?`.
    pub(crate) fn publish(&self, query: &str) -> Request {
        let path = format!("/publish/{}{query}", self.name);
        self.server.request("POST", &path).authorized()
    }

    /// Builds an authorized request to `/channels/{channel}`, followed by `suffix`.
    pub(crate) fn manage(&self, method: &str, suffix: &str) -> Request {
        let path = format!("/channels/{}{suffix}", self.name);
        self.server.request(method, &path).authorized()
    }

    /// Publishes a `text/plain` event and returns its id.
    pub(crate) async fn publish_text(&self, text: impl Into<Bytes>) -> String {
        let response = self.publish("").body("text/plain", text).send().await;
        event_id(&response.expect_status(201))
    }

    /// Publishes one event per number, with the number as data, and returns their ids.
    pub(crate) async fn publish_numbers(
        &self,
        numbers: std::ops::RangeInclusive<u32>,
    ) -> Vec<String> {
        let mut ids = vec![];
        for number in numbers {
            ids.push(self.publish_text(number.to_string()).await);
        }
        ids
    }

    /// Publishes one event per number, with the number as data, in a single batch.
    pub(crate) async fn publish_batch(&self, numbers: std::ops::RangeInclusive<u32>) {
        let lines: String = numbers
            .map(|number| format!("{{\"data\":\"{number}\"}}\n"))
            .collect();
        let request = self.publish("").body("application/x-ndjson", lines);
        request.send().await.expect_status(201);
    }

    /// Publishes an event of this type and returns its id.
    pub(crate) async fn publish_typed(&self, event_type: &str, text: impl Into<Bytes>) -> String {
        let request = self.publish(&format!("?event={event_type}"));
        event_id(
            &request
                .body("text/plain", text)
                .send()
                .await
                .expect_status(201),
        )
    }

    /// Closes the channel.
    pub(crate) async fn close(&self) {
        self.manage("POST", "/close")
            .send()
            .await
            .expect_status(204);
    }

    /// Purges the channel.
    pub(crate) async fn purge(&self) {
        self.manage("DELETE", "").send().await.expect_status(204);
    }

    /// Returns the body of `GET /channels/{channel}`.
    pub(crate) async fn state(&self) -> Value {
        self.manage("GET", "")
            .send()
            .await
            .expect_status(200)
            .json()
    }

    /// Opens a stream. `query` is empty or starts with `?`.
    pub(crate) async fn subscribe(&self, query: &str) -> Stream {
        Stream::of(self.events(query).open().await)
    }

    /// Opens a stream with `Last-Event-ID`, as a reconnecting `EventSource` does.
    pub(crate) async fn resume(&self, last_event_id: &str) -> Stream {
        let request = self.events("").header("last-event-id", last_event_id);
        Stream::of(request.open().await)
    }

    /// Reads all retained events, as pairs of id and data.
    pub(crate) async fn log(&self) -> Vec<(String, String)> {
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

/// Returns the `Event-ID` header of a publish response.
pub(crate) fn event_id(response: &Response) -> String {
    response.header("event-id").expect("an event id").to_owned()
}
