//! `GET /events/{channel}` and `GET /events?channel=…`: the event stream.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LINK, VARY};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::body::{self, Body, Request, Response};
use super::life::{self, StreamSpan};
use super::limits::StreamPermit;
use super::problem::Problem;
use super::query::{LAST_EVENT_ID_PARAMETERS, Query};
use super::reader::Fetcher;
use super::{accept, auth, limits, link, long_poll, trace};
use crate::core::access::Permission;
use crate::core::channel::Channel;
use crate::core::log::StartFrom;
use crate::core::problem::ProblemKind;
use crate::core::sse::{Cursor, EventType, Frames, reconnection_time};
use crate::core::stream::{EventFilter, EventStream, Step, StreamConfig, Subscription};
use crate::core::time::{Instant, Timestamp};
use crate::core::trace::Trace;
use crate::platform::config::SubscribeConfig;
use crate::platform::{Stall, WriteTimeout};
use crate::platform::{clock, config, limiter, random, tail};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The query parameters that may be given more than once.
const REPEATED: [&str; 2] = ["channel", "event"];

/// The most types of events to choose by.
const MAX_TYPES: usize = 32;

/// How long a resuming subscriber waits for the heads before its first byte, in milliseconds.
const FIRST_READ_MILLIS: u64 = 500;

/// How often the reconnection time doubles for those who are turned away.
const OVERLOAD: u32 = 3;

/// Answers a subscriber to the channel in the path, or else to those in the query.
pub(super) async fn subscribe(
    in_path: Option<Channel>,
    request: &Request,
) -> Result<Response, Problem> {
    let config = config::subscribe().await.map_err(Problem::config)?;
    limits::check(request.uri().query(), request.headers(), config.limits)?;
    let credential = auth::subscriber(request).await?;
    let settings = config.settings;
    let now = clock::now();
    let query = Query::parse(request.uri().query(), &REPEATED)?;
    let channels = channels(in_path, &query, config.max_channels)?;
    auth::may(&credential, Permission::Subscribe, &channels)?;
    let given = last_event_id(request.headers(), &query);
    let starts = starts(given.as_deref(), channels.len(), &query, now.wall)?;
    let cursor = given.and_then(|given| given.parse::<Cursor>().ok());
    let subscription = Subscription {
        channels: channels.iter().cloned().zip(starts).collect(),
        given: cursor.filter(|cursor| cursor.positions().len() == channels.len()),
        types: types(&query)?,
        live: query.flag("live")?.unwrap_or(true),
        expires: credential
            .expires()
            .map(|expires| now.monotonic.after(expires.0.saturating_sub(now.wall.0))),
    };
    let trace = trace::of(request.extensions());
    let headers = request.headers();
    let as_json =
        accept::names(headers, "application/json") && !accept::names(headers, "text/event-stream");
    let mut response = match (as_json, request.method()) {
        (true, _) => {
            long_poll::answer(subscription, settings, &query, request, now.monotonic).await?
        }
        (false, &Method::HEAD) => event_stream(body::of_unknown_length()),
        (false, _) => match admit(headers, &config).await {
            Ok(seat) => open(subscription, settings, trace, seat, now.monotonic).await,
            Err(reason) => turned_away(&subscription, settings, trace, reason),
        },
    };
    let patience = WriteTimeout(config.write_timeout_millis);
    response.extensions_mut().insert(patience);
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("accept, last-event-id"));
    if credential.identity().is_some() {
        // What one may see is not shown to the next, not even out of the browser's own cache.
        headers.append(VARY, HeaderValue::from_static("authorization, cookie"));
        if as_json {
            headers.insert(CACHE_CONTROL, long_poll::REVALIDATE);
        }
    }
    let own = request.uri().path_and_query();
    headers.append(
        LINK,
        link::to(own.map_or("/", PathAndQuery::as_str), "self"),
    );
    for channel in &channels {
        headers.append(LINK, link::to(format_args!("/publish/{channel}"), "edit"));
    }
    Ok(response)
}

/// A seat for a stream, or why there is none.
async fn admit(headers: &HeaderMap, config: &SubscribeConfig) -> Result<StreamPermit, ProblemKind> {
    let seat = StreamPermit::take(config.max_streams).ok_or(ProblemKind::TooManyStreams)?;
    if let Some(client) = limits::client(headers) {
        let admitted = limiter::subscribers(client, config.stream_rate).await;
        admitted.map_err(|_| ProblemKind::StreamRate)?;
    }
    Ok(seat)
}

/// Says to come back later, in a stream: an `EventSource` would take anything else for the end.
fn turned_away(
    subscription: &Subscription,
    settings: StreamConfig,
    trace: Trace,
    reason: ProblemKind,
) -> Response {
    life::refused(subscription, trace, reason);
    let words = match reason {
        ProblemKind::TooManyStreams => "there are too many streams",
        _ => "this client opens streams too often",
    };
    let mut frames = Frames::default();
    let base = Duration::from_millis(settings.retry_millis);
    let retry = reconnection_time(base, OVERLOAD, random::u64());
    frames.retry(retry, subscription.given.as_ref());
    frames.comment(&format!("{words}; reconnect to resume"));
    let bytes = Bytes::from(frames.into_bytes());
    let chunks = futures::stream::iter([bytes]).boxed_local();
    event_stream(Body::Stream(chunks, Stall::default()))
}

/// Opens a stream, unless it would have nothing to say.
async fn open(
    subscription: Subscription,
    settings: StreamConfig,
    trace: Trace,
    seat: StreamPermit,
    now: Instant,
) -> Response {
    let (names, given) = (life::names(&subscription), subscription.given.clone());
    let mut channels = subscription.channels.iter();
    let waits = !subscription.live || channels.any(|(_, start)| start.resumes());
    let mut reader = Fetcher::of(&subscription);
    let stream = EventStream::new(subscription, settings, random::u64(), now);
    let mut stream = stream.sharing(tail::frames());
    if waits {
        reader.read_heads(now);
        let until = now.after(FIRST_READ_MILLIS);
        while !reader.is_idle() && clock::monotonic() < until {
            reader.wait(until, stream.feeds()).await;
        }
        if stream.is_finished(clock::now()) {
            return body::empty(StatusCode::NO_CONTENT);
        }
    }
    let stall = Stall::default();
    let life = StreamSpan::begin(names, given.as_ref(), trace, stall.clone());
    let parts = (stream, reader, life, seat);
    let chunks = futures::stream::unfold(parts, |(mut stream, mut reader, mut life, seat)| async {
        let chunk = chunk(&mut stream, &mut reader, &mut life).await;
        let bytes = chunk.as_ref().map_or(0, Bytes::len);
        life.tell(&stream.take_tally(), bytes);
        life.end(stream.end_reason());
        Some((chunk?, (stream, reader, life, seat)))
    });
    event_stream(Body::Stream(chunks.boxed_local(), stall))
}

/// The next bytes to send; `None` ends the response.
async fn chunk(
    stream: &mut EventStream,
    reader: &mut Fetcher,
    life: &mut StreamSpan,
) -> Option<Bytes> {
    loop {
        reader.tell(stream.feeds()).await;
        match stream.next(clock::now()) {
            Step::Emit(bytes) => return Some(bytes.into()),
            Step::End => return None,
            Step::ReadHead(place, newer_than) => reader.read_head(place, newer_than),
            Step::ReadSegments(place, names) => reader.read_segments(place, names),
            Step::Wait(until) => {
                // That it has caught up is told when it has, not with what it sends next.
                life.tell(&stream.take_tally(), 0);
                reader.rest(until, stream.feeds()).await;
            }
        }
    }
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

/// The channels to subscribe to, in order.
fn channels(in_path: Option<Channel>, query: &Query, most: usize) -> Result<Vec<Channel>, Problem> {
    let in_query = query.all("channel");
    if let Some(channel) = in_path {
        return match in_query.is_empty() {
            true => Ok(vec![channel]),
            false => Err(Problem::query(
                "a channel is in the path already; name several as /events?channel=a&channel=b",
            )),
        };
    }
    if in_query.is_empty() || in_query.len() > most {
        return Err(Problem::query(format_args!(
            "{} channels are named; accepted are 1 to {most}, as /events/a or \
             /events?channel=a&channel=b",
            in_query.len()
        )));
    }
    let mut channels = Vec::with_capacity(in_query.len());
    for name in in_query {
        let channel: Channel = name.parse().map_err(Problem::channel)?;
        if channels.contains(&channel) {
            return Err(Problem::query(format_args!(
                "the channel {channel} is named more than once"
            )));
        }
        channels.push(channel);
    }
    Ok(channels)
}

/// The last event ID in the header, else in the query.
fn last_event_id(headers: &HeaderMap, query: &Query) -> Option<String> {
    let header = headers.get(LAST_EVENT_ID);
    let header = header.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let in_query = LAST_EVENT_ID_PARAMETERS.iter();
    let in_query = in_query
        .filter_map(|name| query.get(name))
        .map(str::to_owned);
    let mut given = header.into_iter().chain(in_query);
    given.find(|id| !id.is_empty())
}

/// Where each of the channels starts: by the last event ID, else by `last`, else live.
fn starts(
    last_event_id: Option<&str>,
    channels: usize,
    query: &Query,
    now: Timestamp,
) -> Result<Vec<StartFrom>, Problem> {
    let last = query.number("last", 1..=u64::MAX)?;
    Ok(match (last_event_id, last) {
        (Some("earliest"), _) => vec![StartFrom::Earliest; channels],
        (Some(id), _) => StartFrom::after(id, channels),
        (None, Some(newest)) => vec![StartFrom::Last(newest); channels],
        (None, None) => vec![StartFrom::Live(now); channels],
    })
}

/// The types of events to deliver.
fn types(query: &Query) -> Result<EventFilter, Problem> {
    let wanted = query.all("event");
    if wanted.is_empty() {
        return Ok(EventFilter::All);
    }
    if wanted.len() > MAX_TYPES {
        return Err(Problem::query(format_args!(
            "`event` is given {} times; accepted are up to {MAX_TYPES}",
            wanted.len()
        )));
    }
    for text in &wanted {
        EventType::parse(text).map_err(Problem::event_type)?;
    }
    Ok(EventFilter::Only(
        wanted.into_iter().map(str::to_owned).collect(),
    ))
}
