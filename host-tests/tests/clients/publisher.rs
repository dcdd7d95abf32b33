//! Publishes the events, one by one and in batches, and knows what the log must be.

use serde_json::json;

use crate::client::Request;
use crate::events::{self, Event};
use crate::server::Server;
use crate::stream::Stream;

pub(crate) struct Publisher {
    server: Server,
    /// A name that no other test uses, now or on an earlier day.
    channel: String,
    events: Vec<Event>,
    /// How many of them have been published.
    pub(crate) published: usize,
}

impl Publisher {
    pub(crate) fn new(server: Server) -> Self {
        Self {
            server,
            channel: format!("clients/{:032x}", rand::random::<u128>()),
            events: events::all(),
            published: 0,
        }
    }

    /// Where the channel's events are, from the oldest on.
    pub(crate) fn path(&self) -> String {
        format!("/events/{}?last_event_id=earliest", self.channel)
    }

    /// Publishes the next events, each by itself.
    pub(crate) async fn publish(&mut self, count: usize) {
        for _ in 0..count {
            let event = &self.events[self.published];
            let path = format!("/publish/{}?event={}", self.channel, encoded(&event.kind));
            let request = self.post(&path).body("text/plain", event.data.clone());
            request.send().await.expect_status(201);
            self.published += 1;
        }
    }

    /// Publishes the next events together.
    pub(crate) async fn publish_batch(&mut self, count: usize) {
        let batch: String = self.events[self.published..][..count]
            .iter()
            .map(|event| json!({"data": event.data, "event": event.kind}).to_string() + "\n")
            .collect();
        let request = self.post(&format!("/publish/{}", self.channel));
        let request = request.body("application/x-ndjson", batch);
        request.send().await.expect_status(201);
        self.published += count;
    }

    /// Closes the channel.
    pub(crate) async fn close(&self) {
        let path = format!("/channels/{}/close", self.channel);
        self.post(&path).send().await.expect_status(204);
    }

    /// The ids of the events, as a fresh reader is told them that ends at the newest.
    pub(crate) async fn ids(&self) -> Vec<String> {
        let log = self.server.get(&format!("{}&live=false", self.path()));
        let log = Stream::of(log.open().await).rest().await;
        log.into_iter().map(|event| event.id).collect()
    }

    /// What a client must get: every event published so far, with the ids of the log.
    pub(crate) fn expected(&self, ids: Vec<String>) -> Vec<Event> {
        assert_eq!(ids.len(), self.published, "not all is in the log");
        let events = self.events.iter().zip(ids);
        let arrived = events.map(|(event, id)| Event {
            id,
            kind: event.kind.clone(),
            data: events::on_arrival(&event.data),
        });
        arrived.collect()
    }

    fn post(&self, path: &str) -> Request {
        self.server.request("POST", path).authorized()
    }
}

/// Any text as the value of a query parameter.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
