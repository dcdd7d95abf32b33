//! An event stream over HTTP, read by a parser that is not Runnel's.

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

use crate::TIMEOUT;
use crate::frame::{BlockChecker, is_bookkeeping};
use crate::request::{Connection, Error, OpenResponse};

/// An open event stream. Dropping it disconnects.
pub struct Stream {
    /// The headers of the response.
    pub headers: HeaderMap,
    raw: Arc<Mutex<Vec<u8>>>,
    events: EventStream<BoxStream<'static, Result<Bytes, Error>>>,
    _connection: Connection,
}

impl Stream {
    /// Reads the stream of a response, which must have status 200.
    #[track_caller]
    pub fn of(open: OpenResponse) -> Self {
        assert_eq!(open.status, 200);
        let raw = Arc::new(Mutex::new(vec![]));
        let state = (open.body, raw.clone(), BlockChecker::default());
        let chunks = unfold(state, |(mut body, received, mut checker)| async {
            let frame = body.frame().await?;
            let chunk = frame.map_err(Error::from).map(|frame| {
                let chunk = frame.into_data().unwrap_or_default();
                received.lock().unwrap().extend_from_slice(&chunk);
                checker.push(&chunk);
                chunk
            });
            Some((chunk, (body, received, checker)))
        });
        Self {
            headers: open.headers,
            raw,
            events: chunks.boxed().eventsource(),
            _connection: open.connection,
        }
    }

    /// Returns the next event, a failure of the transport, or `None` at the end. Skips the control events
    /// that every stream has: [`is_bookkeeping`].
    pub async fn try_next(&mut self) -> Option<Result<Event, EventStreamError<Error>>> {
        loop {
            match self.next_of_any_kind().await {
                Some(Ok(event)) if is_bookkeeping(&event.event) => {}
                next => return next,
            }
        }
    }

    async fn next_of_any_kind(&mut self) -> Option<Result<Event, EventStreamError<Error>>> {
        let next = timeout(TIMEOUT, self.events.next()).await;
        next.unwrap_or_else(|_| panic!("nothing follows {:?}", self.text()))
    }

    /// Returns id and data of `runnel.open`, which must be the next event.
    pub async fn open_event(&mut self) -> (String, Value) {
        let event = self.next_of_any_kind().await;
        let event = event.expect("the stream has ended").expect("an event");
        assert_eq!(event.event, "runnel.open", "{event:?}");
        (event.id, serde_json::from_str(&event.data).unwrap())
    }

    /// Returns the next event, or `None` at the end. A stream that breaks off fails the test.
    pub async fn next(&mut self) -> Option<Event> {
        let next = self.try_next().await?;
        Some(next.unwrap_or_else(|error| panic!("{error} after {:?}", self.text())))
    }

    /// Returns the next event. The end of the stream fails the test.
    pub async fn event(&mut self) -> Event {
        let next = self.next().await;
        next.unwrap_or_else(|| panic!("the stream has ended: {:?}", self.text()))
    }

    /// Returns the next `count` events.
    pub async fn events(&mut self, count: usize) -> Vec<Event> {
        let mut events = vec![];
        while events.len() < count {
            events.push(self.event().await);
        }
        events
    }

    /// Returns id and data of the next event, which must be this control event.
    pub async fn control_event(&mut self, name: &str) -> (String, Value) {
        let event = self.event().await;
        assert_eq!(event.event, name, "{event:?}");
        let is_gap = name == "runnel.gap";
        assert!(
            !is_gap || event.data.starts_with("{\"channel\":"),
            "{event:?}"
        );
        (event.id, serde_json::from_str(&event.data).unwrap())
    }

    /// Returns the events up to the end of the stream.
    pub async fn rest(mut self) -> Vec<Event> {
        let mut events = vec![];
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }

    /// Waits until the received text satisfies `condition`, and returns it. Any event before that, but
    /// those that [`Stream::try_next`] skips, fails the test.
    pub async fn text_until(&mut self, condition: impl Fn(&str) -> bool) -> String {
        let mut left = TIMEOUT;
        while !condition(&self.text()) {
            // The parser yields nothing for comments, so poll it and check the text.
            let pause = Duration::from_millis(5);
            match timeout(pause, self.events.next()).await {
                Err(_) => {}
                Ok(Some(Ok(event))) if is_bookkeeping(&event.event) => continue,
                Ok(next) => panic!("{next:?} after {:?}", self.text()),
            }
            left = left
                .checked_sub(pause)
                .unwrap_or_else(|| panic!("nothing more follows {:?}", self.text()));
        }
        self.text()
    }

    /// Waits for the comment that every stream begins with.
    pub async fn opened(&mut self) {
        self.text_until(|text| text.starts_with(": runnel\n")).await;
    }

    /// Waits until `runnel.open` or `runnel.position` has given a position other than `known`, and
    /// returns it.
    pub async fn next_position(&mut self, known: &str) -> String {
        let position = |text: &str| {
            let text = text.strip_suffix("\n\n")?;
            let last = text.rsplit("\n\n").next()?;
            let (fields, id) = last.rsplit_once("\nid: ")?;
            let is_position = ["runnel.open", "runnel.position"]
                .iter()
                .any(|name| fields.contains(&format!("event: {name}\n")));
            (is_position && id != known).then(|| id.to_owned())
        };
        let text = self.text_until(|text| position(text).is_some()).await;
        position(&text).unwrap()
    }

    /// Returns the text of the stream so far, exactly as received.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.raw.lock().unwrap()).into_owned()
    }
}

/// Returns the data of events.
pub fn data(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.data.as_str()).collect()
}

/// Returns the ids of events.
pub fn ids(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.id.as_str()).collect()
}
