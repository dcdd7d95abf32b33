//! A subscriber that parses event streams with a third-party parser, not with Runnel's own code.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use eventsource_stream::{Event, EventStream, EventStreamError, Eventsource as _};
use futures::StreamExt as _;
use futures::stream::{BoxStream, unfold};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::time::timeout;

use crate::client::{Connection, Error, OpenResponse, PATIENCE};

/// An open event stream. Dropping it disconnects.
pub(crate) struct Stream {
    pub(crate) headers: HeaderMap,
    raw: Arc<Mutex<Vec<u8>>>,
    events: EventStream<BoxStream<'static, Result<Bytes, Error>>>,
    _connection: Connection,
}

impl Stream {
    /// Reads the body of a 200 response as an event stream.
    #[track_caller]
    pub(crate) fn of(response: OpenResponse) -> Self {
        assert_eq!(response.status, 200);
        let raw = Arc::new(Mutex::new(vec![]));
        let received = raw.clone();
        let chunks = unfold((response.body, received), |(mut body, received)| async {
            let frame = body.frame().await?;
            let chunk = frame.map_err(Error::from).map(|frame| {
                let chunk = frame.into_data().unwrap_or_default();
                received.lock().unwrap().extend_from_slice(&chunk);
                chunk
            });
            Some((chunk, (body, received)))
        });
        Self {
            headers: response.headers,
            raw,
            events: chunks.boxed().eventsource(),
            _connection: response.connection,
        }
    }

    /// Returns the next event, a transport error, or `None` at the end of the stream.
    pub(crate) async fn try_next(&mut self) -> Option<Result<Event, EventStreamError<Error>>> {
        let next = timeout(PATIENCE, self.events.next()).await;
        next.unwrap_or_else(|_| panic!("timed out waiting for an event after {:?}", self.text()))
    }

    /// Returns the next event, or `None` if the stream has ended cleanly.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        let next = self.try_next().await?;
        Some(next.unwrap_or_else(|error| panic!("{error} after {:?}", self.text())))
    }

    /// Returns the next event. Panics if the stream ends.
    pub(crate) async fn event(&mut self) -> Event {
        let next = self.next().await;
        next.unwrap_or_else(|| panic!("the stream ended: {:?}", self.text()))
    }

    /// Returns the next `count` events.
    pub(crate) async fn events(&mut self, count: usize) -> Vec<Event> {
        let mut events = vec![];
        while events.len() < count {
            events.push(self.event().await);
        }
        events
    }

    /// Expects the next event to be the given signal of Runnel, and returns its id and its data.
    pub(crate) async fn signal(&mut self, name: &str) -> (String, Value) {
        let event = self.event().await;
        assert_eq!(event.event, name, "{event:?}");
        let is_gap = name == "runnel.gap";
        assert!(
            !is_gap || event.data.starts_with("{\"channel\":"),
            "{event:?}"
        );
        (event.id, serde_json::from_str(&event.data).unwrap())
    }

    /// Returns the remaining events up to the end of the stream.
    pub(crate) async fn rest(mut self) -> Vec<Event> {
        let mut events = vec![];
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }

    /// Waits until `predicate` holds for the text received so far, and returns that text. Panics if an
    /// event arrives first.
    pub(crate) async fn text_until(&mut self, predicate: impl Fn(&str) -> bool) -> String {
        let mut left = PATIENCE;
        while !predicate(&self.text()) {
            // The parser hides blocks without data, so the raw text is polled instead.
            let pause = Duration::from_millis(5);
            if let Ok(next) = timeout(pause, self.events.next()).await {
                panic!("{next:?} after {:?}", self.text());
            }
            left = left.checked_sub(pause).unwrap_or_else(|| {
                panic!("timed out waiting for more text after {:?}", self.text())
            });
        }
        self.text()
    }

    /// Waits for the opening comment, which shows that Runnel has started the stream.
    pub(crate) async fn opened(&mut self) -> String {
        let has_comment = |text: &str| text.lines().any(|line| line.starts_with(':'));
        self.text_until(|text| has_comment(text) && text.ends_with("\n\n"))
            .await
    }

    /// Waits for a block that contains only an id other than `known`, and returns that id.
    pub(crate) async fn next_position(&mut self, known: &str) -> String {
        let position = |text: &str| {
            let (_, last) = text.strip_suffix("\n\n")?.rsplit_once("\n\n")?;
            let id = last.strip_prefix("id: ")?;
            (id != known && !id.contains('\n')).then(|| id.to_owned())
        };
        let text = self.text_until(|text| position(text).is_some()).await;
        position(&text).unwrap()
    }

    /// Returns the text received so far, exactly as it was sent.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.raw.lock().unwrap()).into_owned()
    }
}

/// Returns the data of each event.
pub(crate) fn data(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.data.as_str()).collect()
}

/// Returns the id of each event.
pub(crate) fn ids(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.id.as_str()).collect()
}
