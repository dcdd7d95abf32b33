//! A channel of a test's own.

use bytes::Bytes;
use serde_json::Value;

use crate::client::{Answer, Request};
use crate::server::{Server, server};
use crate::stream::Stream;

/// A channel that no other test uses, now or on an earlier day.
#[derive(Clone)]
pub(crate) struct Channel {
    pub(crate) server: Server,
    pub(crate) name: String,
}

/// The parts of an event id.
pub(crate) fn parts(id: &str) -> (&str, u64) {
    let (epoch, seq) = id.split_once('-').unwrap();
    (epoch, seq.parse().unwrap())
}

impl Channel {
    /// On the server of all tests.
    pub(crate) fn new() -> Self {
        Self::on(server())
    }

    pub(crate) fn on(server: Server) -> Self {
        let name = format!("black-box/{:032x}", rand::random::<u128>());
        Self { server, name }
    }

    /// `GET /events/{channel}` and a query, which begins with `?` if there is one.
    pub(crate) fn events(&self, query: &str) -> Request {
        self.server.get(&format!("/events/{}{query}", self.name))
    }

    /// An authorized `POST /publish/{channel}` with a query, still without a body.
    pub(crate) fn publish(&self, query: &str) -> Request {
        let path = format!("/publish/{}{query}", self.name);
        self.server.request("POST", &path).authorized()
    }

    /// An authorized request to `/channels/{channel}` and what follows.
    pub(crate) fn manage(&self, method: &str, rest: &str) -> Request {
        let path = format!("/channels/{}{rest}", self.name);
        self.server.request(method, &path).authorized()
    }

    /// Publishes an event of text and returns its id.
    pub(crate) async fn say(&self, text: impl Into<Bytes>) -> String {
        let answer = self.publish("").body("text/plain", text).send().await;
        id_of(&answer.has(201))
    }

    /// Publishes events whose data is the numbers, and returns their ids.
    pub(crate) async fn count(&self, numbers: std::ops::RangeInclusive<u32>) -> Vec<String> {
        let mut ids = vec![];
        for number in numbers {
            ids.push(self.say(number.to_string()).await);
        }
        ids
    }

    /// Publishes events whose data is the numbers, as one batch.
    pub(crate) async fn batch(&self, numbers: std::ops::RangeInclusive<u32>) {
        let lines: String = numbers
            .map(|number| format!("{{\"data\":\"{number}\"}}\n"))
            .collect();
        let request = self.publish("").body("application/x-ndjson", lines);
        request.send().await.has(201);
    }

    /// Publishes an event of this type and returns its id.
    pub(crate) async fn say_of_type(&self, event_type: &str, text: impl Into<Bytes>) -> String {
        let request = self.publish(&format!("?event={event_type}"));
        id_of(&request.body("text/plain", text).send().await.has(201))
    }

    /// Closes the channel.
    pub(crate) async fn close(&self) {
        self.manage("POST", "/close").send().await.has(204);
    }

    /// Drops all that is kept.
    pub(crate) async fn purge(&self) {
        self.manage("DELETE", "").send().await.has(204);
    }

    /// What `GET /channels/{channel}` says.
    pub(crate) async fn state(&self) -> Value {
        self.manage("GET", "").send().await.has(200).json()
    }

    /// A stream of the channel.
    pub(crate) async fn subscribe(&self, query: &str) -> Stream {
        Stream::of(self.events(query).open().await)
    }

    /// A stream that resumes as an `EventSource` does.
    pub(crate) async fn resume(&self, last_event_id: &str) -> Stream {
        let request = self.events("").header("last-event-id", last_event_id);
        Stream::of(request.open().await)
    }

    /// Everything that is kept, as id and data.
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

/// The id that a publisher was answered.
pub(crate) fn id_of(answer: &Answer) -> String {
    answer.header("event-id").expect("an event id").to_owned()
}
