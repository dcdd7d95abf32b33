//! A subscriber: reads an event stream with a parser that is not Runnel's.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use eventsource_stream::{Event, EventStream, Eventsource as _};
use futures::StreamExt as _;
use futures::stream::{BoxStream, unfold};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::time::timeout;

use crate::client::{Connection, Error, Open, PATIENCE};

/// An open event stream. Dropped, it disconnects.
pub(crate) struct Stream {
    pub(crate) headers: HeaderMap,
    raw: Arc<Mutex<Vec<u8>>>,
    events: EventStream<BoxStream<'static, Result<Bytes, Error>>>,
    _connection: Connection,
}

impl Stream {
    /// The stream in a response.
    #[track_caller]
    pub(crate) fn of(open: Open) -> Self {
        assert_eq!(open.status, 200);
        let raw = Arc::new(Mutex::new(vec![]));
        let seen = raw.clone();
        let chunks = unfold((open.body, seen), |(mut body, seen)| async {
            let frame = body.frame().await?;
            let chunk = frame.map_err(Error::from).map(|frame| {
                let chunk = frame.into_data().unwrap_or_default();
                seen.lock().unwrap().extend_from_slice(&chunk);
                chunk
            });
            Some((chunk, (body, seen)))
        });
        Self {
            headers: open.headers,
            raw,
            events: chunks.boxed().eventsource(),
            _connection: open.connection,
        }
    }

    /// The next event, an error of the transport, or `None` at the end.
    pub(crate) async fn try_next(&mut self) -> Option<Result<Event, String>> {
        let next = timeout(PATIENCE, self.events.next()).await;
        let next = next.unwrap_or_else(|_| panic!("nothing comes after {:?}", self.text()));
        next.map(|event| event.map_err(|error| error.to_string()))
    }

    /// The next event; `None` if the stream has ended as it should.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        let next = self.try_next().await?;
        Some(next.unwrap_or_else(|error| panic!("{error} after {:?}", self.text())))
    }

    /// The next event, which must come.
    pub(crate) async fn event(&mut self) -> Event {
        let next = self.next().await;
        next.unwrap_or_else(|| panic!("the stream has ended: {:?}", self.text()))
    }

    /// The next `count` events.
    pub(crate) async fn events(&mut self, count: usize) -> Vec<Event> {
        let mut events = vec![];
        while events.len() < count {
            events.push(self.event().await);
        }
        events
    }

    /// The next event, which must be a signal of Runnel: its id and its data.
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

    /// The events up to the end of the stream.
    pub(crate) async fn rest(mut self) -> Vec<Event> {
        let mut events = vec![];
        while let Some(event) = self.next().await {
            events.push(event);
        }
        events
    }

    /// Waits until the stream has said enough for `enough`; no event may come before.
    pub(crate) async fn until(&mut self, enough: impl Fn(&str) -> bool) -> String {
        let mut left = PATIENCE;
        while !enough(&self.text()) {
            // The parser skips what makes no event, so it has to be looked past.
            let pause = Duration::from_millis(5);
            if let Ok(next) = timeout(pause, self.events.next()).await {
                panic!("{next:?} after {:?}", self.text());
            }
            left = left
                .checked_sub(pause)
                .unwrap_or_else(|| panic!("nothing more comes after {:?}", self.text()));
        }
        self.text()
    }

    /// Waits for the first bytes, which are more than a proxy's: the comment is there.
    pub(crate) async fn begun(&mut self) -> String {
        let comment = |text: &str| text.lines().any(|line| line.starts_with(':'));
        self.until(|text| comment(text) && text.ends_with("\n\n"))
            .await
    }

    /// Waits for a block that says where the client stands, and nothing else, if that is not at
    /// `known`: the id.
    pub(crate) async fn marked(&mut self, known: &str) -> String {
        let mark = |text: &str| {
            let (_, last) = text.strip_suffix("\n\n")?.rsplit_once("\n\n")?;
            let id = last.strip_prefix("id: ")?;
            (id != known && !id.contains('\n')).then(|| id.to_owned())
        };
        let text = self.until(|text| mark(text).is_some()).await;
        mark(&text).unwrap()
    }

    /// The stream so far, byte for byte.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.raw.lock().unwrap()).into_owned()
    }
}

/// The data of events.
pub(crate) fn data(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.data.as_str()).collect()
}

/// The ids of events.
pub(crate) fn ids(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.id.as_str()).collect()
}
