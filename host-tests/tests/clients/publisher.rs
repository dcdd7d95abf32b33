//! Publishes the test events, one by one and in batches.

use runnel_testing::{Channel, Server};
use serde_json::json;

use crate::events::{self, Event};

pub(crate) struct Publisher {
    channel: Channel,
    events: Vec<Event>,
    /// The number of events published so far.
    pub(crate) published: usize,
}

impl Publisher {
    pub(crate) fn new(server: Server) -> Self {
        Self {
            channel: Channel::on(server),
            events: events::all(),
            published: 0,
        }
    }

    /// Returns the path of the channel's events from the oldest on.
    pub(crate) fn path(&self) -> String {
        format!("/events/{}?last_event_id=earliest", self.channel.name)
    }

    /// Publishes the next events one by one.
    pub(crate) async fn publish(&mut self, count: usize) {
        for _ in 0..count {
            let event = &self.events[self.published];
            let query = format!("?event={}", percent_encoded(&event.kind));
            let request = self.channel.publish(&query);
            let request = request.body("text/plain", event.data.clone());
            request.send().await.expect_status(201);
            self.published += 1;
        }
    }

    /// Publishes the next events in one batch.
    pub(crate) async fn publish_batch(&mut self, count: usize) {
        let batch: String = self.events[self.published..][..count]
            .iter()
            .map(|event| json!({"data": event.data, "event": event.kind}).to_string() + "\n")
            .collect();
        let request = self.channel.publish("");
        let request = request.body("application/x-ndjson", batch);
        request.send().await.expect_status(201);
        self.published += count;
    }

    /// Closes the channel.
    pub(crate) async fn close(&self) {
        self.channel.close().await;
    }

    /// Reads the ids of the events from the log.
    pub(crate) async fn ids(&self) -> Vec<String> {
        let log = self.channel.log().await;
        log.into_iter().map(|(id, _)| id).collect()
    }

    /// Returns the events that a client must have received: all published so far, with the ids of the
    /// log.
    pub(crate) fn expected(&self, ids: Vec<String>) -> Vec<Event> {
        assert_eq!(
            ids.len(),
            self.published,
            "some events are missing in the log"
        );
        let events = self.events.iter().zip(ids);
        let arrived = events.map(|(event, id)| Event {
            id,
            kind: event.kind.clone(),
            data: events::with_normalized_line_ends(&event.data),
        });
        arrived.collect()
    }
}

/// Percent-encodes text for a query.
fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
