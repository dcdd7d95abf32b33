//! `GET /events/{channel}`: the event stream.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{Either, join_all, select};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::body::{self, Body, Request, Response};
use super::problem::Problem;
use super::query::Query;
use crate::core::channel::Channel;
use crate::core::log::{Head, SegmentRef, Start, segment_key};
use crate::core::stream::{Step, Stream};
use crate::core::time::{Millis, Mono};
use crate::platform::{clock, config, log, random, store, tail};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// How long a resuming subscriber waits for the head before its first byte, in milliseconds.
const FIRST_READ_MILLIS: u64 = 500;

pub(super) async fn subscribe(channel: &Channel, request: &Request) -> Result<Response, Problem> {
    let settings = config::subscribe().await.map_err(Problem::config)?;
    let now = clock::now();
    let query = Query::parse(request.uri().query())?;
    let start = start(request.headers(), &query, now.wall)?;
    let live = query.flag("live")?.unwrap_or(true);
    if request.method() == Method::HEAD {
        return Ok(event_stream(Body::stream(futures::stream::empty())));
    }
    let stream = Stream::new(
        channel.clone(),
        settings,
        start.clone(),
        live,
        random::u64(),
        now.mono,
    );
    let mut subscription = Subscription {
        channel: channel.clone(),
        stream,
        reading: None,
    };
    if (!live || start.resumes())
        && let Some(head) = subscription.first_head(now.mono).await
        && Stream::is_finished(&start, live, head.as_deref(), clock::now())
    {
        return Ok(body::empty(StatusCode::NO_CONTENT));
    }
    let chunks = futures::stream::unfold(subscription, |mut subscription| async {
        let chunk = subscription.chunk().await?;
        Some((chunk, subscription))
    });
    Ok(event_stream(Body::stream(chunks)))
}

fn event_stream(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-store, no-transform"),
    );
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// Where to start: the header, else a last event ID in the query, else `last`, else live.
fn start(headers: &HeaderMap, query: &Query, now: Millis) -> Result<Start, Problem> {
    let header = headers
        .get(LAST_EVENT_ID)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let in_query = || {
        ["last_event_id", "lastEventId", "Last-Event-ID"]
            .iter()
            .find_map(|name| query.get(name))
    };
    let given = header
        .filter(|id| !id.is_empty())
        .or_else(|| in_query().map(str::to_owned));
    Ok(match given.as_deref() {
        Some("earliest") => Start::Earliest,
        Some(id) if !id.is_empty() => Start::after(id),
        _ => match query.number("last")? {
            Some(count) => Start::Last(count),
            None => Start::Live(now),
        },
    })
}

/// A stream and what it waits for. Dropped with the response body, when the client is gone.
struct Subscription {
    channel: Channel,
    stream: Stream,
    reading: Option<Pin<Box<dyn Future<Output = Reading>>>>,
}

/// What was read for a stream.
enum Reading {
    Head(Result<tail::HeadRead, String>),
    Segments(Vec<SegmentRef>, Vec<Result<Option<Bytes>, String>>),
}

impl Subscription {
    /// Reads the head before anything is sent, unless that takes long.
    async fn first_head(&mut self, opened: Mono) -> Option<Option<Rc<Head>>> {
        self.read_head(opened);
        match self.wait(opened.after(FIRST_READ_MILLIS)).await {
            Some(Reading::Head(result)) => {
                let head = result.as_ref().ok().map(|(_, head)| head.clone());
                self.tell(Reading::Head(result));
                head
            }
            _ => None,
        }
    }

    /// The next bytes to send; `None` ends the response.
    async fn chunk(&mut self) -> Option<Bytes> {
        loop {
            if let Some(read) = self.poll_reading().await {
                self.tell(read);
            }
            match self.stream.next(clock::now()) {
                Step::Emit(bytes) => return Some(bytes.into()),
                Step::End => return None,
                Step::ReadHead(newer_than) => self.read_head(newer_than),
                Step::ReadSegments(names) => self.read_segments(names),
                Step::Wait(until) => {
                    if let Some(read) = self.wait(until).await {
                        self.tell(read);
                    }
                }
            }
        }
    }

    fn read_head(&mut self, newer_than: Mono) {
        let channel = self.channel.clone();
        self.reading = Some(Box::pin(async move {
            Reading::Head(tail::head(&channel, newer_than).await)
        }));
    }

    fn read_segments(&mut self, names: Vec<SegmentRef>) {
        let channel = self.channel.clone();
        self.reading = Some(Box::pin(async move {
            let keys: Vec<_> = names
                .iter()
                .map(|name| segment_key(&channel, *name))
                .collect();
            let segments = join_all(keys.iter().map(|key| store::get(key))).await;
            Reading::Segments(names, segments)
        }));
    }

    /// What is being read, if it has arrived. Most reads have, at once.
    async fn poll_reading(&mut self) -> Option<Reading> {
        let reading = self.reading.as_mut()?;
        let read = poll_fn(|context| match reading.poll_unpin(context) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending => Poll::Ready(None),
        });
        let read = read.await?;
        self.reading = None;
        Some(read)
    }

    /// Waits for what is being read, but not longer than `until`. What has not arrived by then goes
    /// on being read.
    async fn wait(&mut self, until: Mono) -> Option<Reading> {
        let timer = clock::sleep_until(until);
        let Some(reading) = self.reading.as_mut() else {
            timer.await;
            return None;
        };
        match select(reading, Box::pin(timer)).await {
            Either::Left((read, _)) => {
                self.reading = None;
                Some(read)
            }
            Either::Right(_) => None,
        }
    }

    fn tell(&mut self, read: Reading) {
        let now = clock::mono();
        match read {
            Reading::Head(Ok((at, head))) => self.stream.head_read(at, Ok(head), now),
            Reading::Head(Err(error)) => {
                self.report(&error);
                self.stream.head_read(now, Err(error), now);
            }
            Reading::Segments(names, segments) => {
                for error in segments.iter().filter_map(|segment| segment.as_ref().err()) {
                    self.report(error);
                }
                self.stream.segments_read(&names, segments, now);
            }
        }
        if let Some(error) = self.stream.take_error() {
            self.report(&error.to_string());
        }
    }

    fn report(&self, error: &str) {
        log::error(format_args!("streaming {}", self.channel), error);
    }
}
