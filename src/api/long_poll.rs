//! `GET /events/…` with `Accept: application/json`: the long-poll.

use std::fmt::Display;
use std::time::Duration;

use form_urlencoded::Serializer;
use http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH, LINK};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Serialize;

use super::body::{self, Body, Request, Response};
use super::problem::Problem;
use super::query::{LAST_EVENT_ID_PARAMETERS, Query};
use super::{Instance, limits, link};
use crate::config::SubscribeConfig;
use crate::core::channel::Channel;
use crate::core::environment::Environment;
use crate::core::log::Retention;
use crate::core::logging::Logger;
use crate::core::metrics::Counter;
use crate::core::stream::{
    Fetcher, GapSignal, LongPoll, LongPollPage, ResumePoint, StreamObserver, StreamStats,
    Subscription,
};
use crate::core::time::{Instant, Timestamp};
use crate::platform::SpinEnvironment;

/// The longest `wait`, in seconds.
const MAX_WAIT_SECONDS: u64 = 25;

/// The largest number of events in a page.
const MAX_EVENTS: u64 = 1_000;

/// The longest time for which a client may cache a page that never changes: a purge invalidates it.
const MAX_FRESH: Duration = Duration::from_secs(60);

/// Any other page has to be revalidated by its entity tag.
pub(super) const REVALIDATE: HeaderValue = HeaderValue::from_static("private, no-cache");

#[derive(Serialize)]
struct PageBody<'a> {
    /// Left out if there are none.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    gaps: &'a [GapSignal],
    events: Vec<Event<'a>>,
    cursor: String,
    more: bool,
    closed: bool,
}

#[derive(Serialize)]
struct Event<'a> {
    channel: &'a str,
    id: String,
    event: &'a str,
    data: &'a str,
    /// Milliseconds since 1970.
    time: u64,
    /// Left out if the publisher's trace is not carried with the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
}

/// Responds as soon as there is something to report, or after the `wait` of the query.
pub(super) async fn respond(
    instance: &Instance,
    mut subscription: Subscription,
    config: &SubscribeConfig,
    query: &Query,
    request: &Request,
    now: Instant,
) -> Result<Response, Problem> {
    let wait = query.number("wait", 0..=MAX_WAIT_SECONDS)?.unwrap_or(0);
    let limit = query.number("limit", 1..=MAX_EVENTS)?.unwrap_or(MAX_EVENTS);
    if request.method() == Method::HEAD {
        let mut response = body::json_head();
        response.headers_mut().insert(CACHE_CONTROL, REVALIDATE);
        return Ok(response);
    }
    let acquired = limits::acquire_subscribe_permit(instance, request.headers(), config).await;
    acquired.map_err(Problem::stream_rate)?;
    // Waiting takes as much room as a stream. What is there already is returned in any case.
    let permit = (wait > 0).then(|| instance.stream_permits.try_acquire(config.max_streams));
    let has_no_room = matches!(permit, Some(None));
    let wait = if has_no_room { 0 } else { wait };
    subscription.live &= wait > 0;
    let channels = subscription.channels.clone();
    let resumes = matches!(subscription.resume, ResumePoint::After(_));
    let fetcher = Fetcher::new(
        instance.env.clone(),
        instance.parking.clone(),
        &instance.log,
        &channels,
        config.stream,
        now,
    );
    let poll = LongPoll::new(
        subscription,
        config.stream,
        usize::try_from(limit).unwrap_or(usize::MAX),
        known_tags(request.headers()),
        now.saturating_add(Duration::from_secs(wait)),
        instance.env.random(),
        now,
    );
    let mut reporter = ErrorReporter(&instance.logger);
    let page = poll.run(&instance.env, fetcher, &mut reporter).await;
    drop(permit);
    let page = page.ok_or_else(Problem::store)?;
    let has_news = !page.events.is_empty() || !page.gaps.is_empty() || page.closed;
    if has_no_room && (!has_news || is_known(&page, request)) {
        return Err(Problem::too_many_streams());
    }
    let mut response = response(instance, &page, &channels, request);
    // A full page after a cursor never changes.
    let is_fixed = page.full && resumes && page.gaps.is_empty();
    let fresh = if is_fixed {
        freshness(&page, config.stream.retention, instance.env.clock().wall)
    } else {
        Duration::ZERO
    };
    response
        .headers_mut()
        .insert(CACHE_CONTROL, cache_control(fresh));
    Ok(response)
}

/// Logs the errors of reads.
struct ErrorReporter<'a>(&'a Logger<SpinEnvironment>);

impl StreamObserver for ErrorReporter<'_> {
    fn report(&mut self, _: &StreamStats, _: usize) {}

    fn read_failed(&mut self, channel: &Channel, error: &dyn Display) {
        self.0.error("read_failed", Some(channel), error);
    }
}

/// Returns the entity tags of the pages that the client has (RFC 9110, 13.1.2), for weak comparison.
fn known_tags(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(IF_NONE_MATCH).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let tags = values.flat_map(|value| value.split(',')).map(str::trim);
    let opaque = |tag: &str| {
        let quoted = tag.strip_prefix("W/").unwrap_or(tag);
        Some(quoted.strip_prefix('"')?.strip_suffix('"')?.to_owned())
    };
    tags.filter_map(opaque).collect()
}

/// Returns whether the client has the page.
fn is_known(page: &LongPollPage, request: &Request) -> bool {
    known_tags(request.headers()).contains(&page.tag())
}

fn response(
    instance: &Instance,
    page: &LongPollPage,
    channels: &[Channel],
    request: &Request,
) -> Response {
    let cursor = page.cursor.to_string();
    let mut response = if is_known(page, request) {
        body::empty(StatusCode::NOT_MODIFIED)
    } else {
        let events = page.events.iter().map(|event| Event {
            channel: channels.get(event.channel).map_or("", Channel::as_str),
            id: event.cursor.to_string(),
            event: event.event_type.as_deref().unwrap_or("message"),
            data: &event.data,
            time: event.time.0,
            traceparent: event.trace.as_deref(),
        });
        let page_body = PageBody {
            gaps: &page.gaps,
            events: events.collect(),
            cursor: cursor.clone(),
            more: page.more,
            closed: page.closed,
        };
        let response = body::json(StatusCode::OK, &page_body);
        if let Body::Full(bytes) = response.body() {
            count(instance, page, bytes.len());
        }
        response
    };
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&format!("W/\"{}\"", page.tag())) {
        headers.insert(ETAG, tag);
    }
    headers.append(LINK, link::to(next(request, &cursor), "next"));
    response
}

/// Returns the time for which a client may cache a page that never changes: until an event in it is too old.
fn freshness(page: &LongPollPage, retention: Retention, now: Timestamp) -> Duration {
    let oldest = page.events.iter().map(|event| event.time).min();
    let left = retention.max_age.zip(oldest).map(|(max_age, oldest)| {
        let end = oldest.saturating_add(max_age);
        end.saturating_duration_since(now)
    });
    left.map_or(MAX_FRESH, |left| left.min(MAX_FRESH))
}

fn cache_control(fresh: Duration) -> HeaderValue {
    let seconds = fresh.as_secs();
    let value = HeaderValue::from_str(&format!("private, max-age={seconds}"));
    value.ok().filter(|_| seconds > 0).unwrap_or(REVALIDATE)
}

/// Counts the events and gaps of a page.
fn count(instance: &Instance, page: &LongPollPage, bytes: usize) {
    let metrics = &instance.metrics;
    metrics.add(Counter::DeliveredEvents, page.events.len() as u64);
    metrics.add(Counter::DeliveredBytes, bytes as u64);
    for gap in &page.gaps {
        metrics.add(Counter::Gaps(gap.gap.reason), 1);
    }
}

/// Returns the path and query that ask for the events after `cursor`.
fn next(request: &Request, cursor: &str) -> String {
    let uri = request.uri();
    let mut query = Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        let starts = name == "last" || LAST_EVENT_ID_PARAMETERS.contains(&name.as_ref());
        if !starts {
            query.append_pair(&name, &value);
        }
    }
    query.append_pair("last_event_id", cursor);
    format!("{}?{}", uri.path(), query.finish())
}
