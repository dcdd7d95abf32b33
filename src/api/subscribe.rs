//! `GET /events/{channel}` and `GET /events?channel=…`: the event stream.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LINK, VARY};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::body::{self, Body, Request, Response};
use super::problem::Problem;
use super::query::{LAST_EVENT_ID_PARAMETERS, Query};
use super::stream_span::{self, StreamSpan};
use super::{Instance, accept, auth, limits, link, long_poll, trace};
use crate::config::{BasePath, SubscribeConfig};
use crate::core::access::{Permission, Principal};
use crate::core::channel::Channel;
use crate::core::environment::Environment;
use crate::core::logging::{Level, Line};
use crate::core::metrics::Counter;
use crate::core::problem::ProblemKind;
use crate::core::sse::{Cursor, EventType, Frames, reconnection_time};
use crate::core::stream::{
    EventFilter, ResumePoint, StreamConfig, Subscriber, Subscription, encode_reconnect,
};
use crate::core::time::{ClockReading, Instant, Timestamp};
use crate::core::trace::Trace;
use crate::instance::StreamPermit;
use crate::platform::{Stall, WriteTimeout};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The query parameters that may be given more than once.
const REPEATABLE: [&str; 2] = ["channel", "event"];

/// The largest number of event types to filter by.
const MAX_TYPES: usize = 32;

/// The time that a resuming subscriber waits for the first pages before its first byte.
const FIRST_PAGE_TIMEOUT: Duration = Duration::from_millis(500);

/// The steps of [`reconnection_time`] for subscribers that are turned away.
const OVERLOAD_PRESSURE: u32 = 3;

/// Answers a subscriber to the channel in the path, otherwise to those in the query.
pub(super) async fn subscribe(
    instance: &Instance,
    base: &BasePath,
    in_path: Option<Channel>,
    request: &Request,
) -> Result<Response, Problem> {
    let config = instance.config.subscribe().await.map_err(Problem::config)?;
    limits::check(request.uri().query(), request.headers(), config.limits)?;
    let as_json = accepts_json_only(request.headers());
    let opens_stream = !as_json && request.method() == Method::GET;
    let trace = trace::of(request.extensions());
    let principal = match auth::subscriber(instance, request).await {
        Err(problem) if opens_stream && problem.kind() == ProblemKind::WrongTokens => {
            let reason = problem.kind();
            return Ok(turn_away(
                instance,
                in_path.as_slice(),
                None,
                config.stream,
                trace,
                reason,
            ));
        }
        principal => principal?,
    };
    let now = instance.env.clock();
    let query = Query::parse(request.uri().query(), &REPEATABLE)?;
    let channels = channels(in_path, &query, config.max_channels)?;
    auth::require(&principal, Permission::Subscribe, &channels)?;
    let subscription = Subscription {
        resume: resume_point(request.headers(), &query, channels.len(), now.wall)?,
        filter: filter(&query)?,
        live: query.flag("live")?.unwrap_or(true),
        expires: expiry(&principal, now),
        channels: channels.clone(),
    };
    let (stream, opened) = (config.stream, now.monotonic);
    let mut response = if as_json {
        long_poll::respond(instance, subscription, &config, &query, request, opened).await?
    } else if !opens_stream {
        event_stream(body::of_unknown_length())
    } else {
        match acquire_permits(instance, request.headers(), &config).await {
            Ok(permit) => open(instance, subscription, stream, trace, permit, opened).await,
            Err(reason) => {
                let cursor = subscription.resume.cursor();
                turn_away(instance, &channels, cursor, stream, trace, reason)
            }
        }
    };
    let timeout = WriteTimeout(config.write_timeout);
    response.extensions_mut().insert(timeout);
    add_vary(&mut response, &principal, as_json);
    add_links(&mut response, base, request, &channels);
    Ok(response)
}

/// Opens a stream, unless the client has everything and nothing will follow.
async fn open(
    instance: &Instance,
    subscription: Subscription,
    config: StreamConfig,
    trace: Trace,
    permit: StreamPermit,
    now: Instant,
) -> Response {
    let channels = subscription.channels.clone();
    let cursor = subscription.resume.cursor().cloned();
    let may_be_finished = !subscription.live || subscription.resume.resumes();
    let mut subscriber = Subscriber::open(
        instance.env.clone(),
        instance.parking.clone(),
        &instance.log,
        instance.frames.clone(),
        subscription,
        config,
        now,
    );
    if may_be_finished {
        let until = now.saturating_add(FIRST_PAGE_TIMEOUT);
        if subscriber.read_first_pages(until).await {
            return body::empty(StatusCode::NO_CONTENT);
        }
    }
    let stall = Stall::default();
    let span = StreamSpan::begin(instance, &channels, cursor.as_ref(), trace, stall.clone());
    let state = (subscriber, span, permit);
    let chunks = futures::stream::unfold(state, async |(mut subscriber, mut span, permit)| {
        let chunk = subscriber.next_chunk(&mut span).await;
        span.ended(subscriber.end_reason());
        Some((chunk?, (subscriber, span, permit)))
    });
    event_stream(Body::Stream(chunks.boxed_local(), stall))
}

/// Takes a permit for a stream, and one from the client's rate limit.
async fn acquire_permits(
    instance: &Instance,
    headers: &HeaderMap,
    config: &SubscribeConfig,
) -> Result<StreamPermit, ProblemKind> {
    let permit = instance.stream_permits.try_acquire(config.max_streams);
    let permit = permit.ok_or(ProblemKind::TooManyStreams)?;
    let acquired = limits::acquire_subscribe_permit(instance, headers, config).await;
    acquired.map_err(|_| ProblemKind::StreamRate)?;
    Ok(permit)
}

/// Asks a subscriber to come back later, in a stream: an `EventSource` gives up after any other response.
fn turn_away(
    instance: &Instance,
    channels: &[Channel],
    cursor: Option<&Cursor>,
    config: StreamConfig,
    trace: Trace,
    reason: ProblemKind,
) -> Response {
    instance.metrics.add(Counter::Rejected(reason), 1);
    let line = Line {
        event: "stream_refused",
        channel: Some(&stream_span::names(channels)),
        trace_id: Some(trace.id()),
        reason: Some(reason.name()),
        ..Line::default()
    };
    instance.logger.write(Level::Warn, &line);
    let retry = reconnection_time(config.retry, OVERLOAD_PRESSURE, instance.env.random());
    let mut frames = Frames::default();
    encode_reconnect(&mut frames, reason.name(), retry, cursor);
    let chunks = futures::stream::iter([Bytes::from(frames.into_bytes())]);
    event_stream(Body::Stream(chunks.boxed_local(), Stall::default()))
}

fn event_stream(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("no-store, no-transform"),
    );
    headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
    response
}

/// Adds the header `vary`. The response to one principal must not be shown to the next, not even from
/// the browser's own cache.
fn add_vary(response: &mut Response, principal: &Principal, as_json: bool) {
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("accept, last-event-id"));
    if principal.identity().is_some() {
        headers.append(VARY, HeaderValue::from_static("authorization, cookie"));
        if as_json {
            headers.insert(CACHE_CONTROL, long_poll::REVALIDATE);
        }
    }
}

/// Adds links to the request itself, and to publish to each channel.
fn add_links(response: &mut Response, base: &BasePath, request: &Request, channels: &[Channel]) {
    let headers = response.headers_mut();
    let own = request.uri().path_and_query();
    let own = own.map_or("/", PathAndQuery::as_str);
    headers.append(LINK, link::to(own, "self"));
    for channel in channels {
        let publish = format_args!("{base}/publish/{channel}");
        headers.append(LINK, link::to(publish, "edit"));
    }
}

/// Returns whether the response is a page of JSON rather than a stream.
fn accepts_json_only(headers: &HeaderMap) -> bool {
    accept::names(headers, "application/json") && !accept::names(headers, "text/event-stream")
}

/// Returns the time at which the principal's permissions expire, on the monotonic clock.
fn expiry(principal: &Principal, now: ClockReading) -> Option<Instant> {
    let left = principal.expires()?.saturating_duration_since(now.wall);
    Some(now.monotonic.saturating_add(left))
}

/// Returns the channels to subscribe to, in order.
fn channels(in_path: Option<Channel>, query: &Query, max: usize) -> Result<Vec<Channel>, Problem> {
    let in_query = query.all("channel");
    if let Some(channel) = in_path {
        return if in_query.is_empty() {
            Ok(vec![channel])
        } else {
            Err(Problem::query(
                "a channel is in the path already; name several as /events?channel=a&channel=b",
            ))
        };
    }
    if in_query.is_empty() || in_query.len() > max {
        let named = match in_query.len() {
            0 => "no channel is".to_owned(),
            count => format!("{count} channels are"),
        };
        return Err(Problem::query(format_args!(
            "{named} named; expected 1 to {max}, as in /events/a or /events?channel=a&channel=b"
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

/// Returns the position to start at: by the last event ID, otherwise by `last`, otherwise live.
fn resume_point(
    headers: &HeaderMap,
    query: &Query,
    channels: usize,
    now: Timestamp,
) -> Result<ResumePoint, Problem> {
    let last = query.number("last", 1..=u64::MAX)?;
    Ok(match (last_event_id(headers, query), last) {
        (Some(id), _) => ResumePoint::parse(&id, channels),
        (None, Some(count)) => ResumePoint::Last(count),
        (None, None) => ResumePoint::Live(now),
    })
}

/// Returns the last event ID in the header, otherwise that in the query.
fn last_event_id(headers: &HeaderMap, query: &Query) -> Option<String> {
    let header = headers.get(LAST_EVENT_ID);
    let header = header.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let in_query = LAST_EVENT_ID_PARAMETERS.iter();
    let in_query = in_query
        .filter_map(|name| query.get(name))
        .map(str::to_owned);
    let mut ids = header.into_iter().chain(in_query);
    ids.find(|id| !id.is_empty())
}

/// Returns the types of the events to deliver.
fn filter(query: &Query) -> Result<EventFilter, Problem> {
    let types = query.all("event");
    if types.is_empty() {
        return Ok(EventFilter::All);
    }
    if types.len() > MAX_TYPES {
        return Err(Problem::query(format_args!(
            "`event` is given {} times; expected at most {MAX_TYPES}",
            types.len()
        )));
    }
    for text in &types {
        EventType::parse(text).map_err(Problem::event_type)?;
    }
    Ok(EventFilter::Types(
        types.into_iter().map(str::to_owned).collect(),
    ))
}
