//! The same as an event stream, one JSON answer at a time.

use form_urlencoded::Serializer;
use http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH, LINK};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Serialize;

use super::body::{self, Body, Request, Response};
use super::problem::Problem;
use super::query::{LAST_EVENT_ID_PARAMETERS, Query};
use super::reader::Fetcher;
use super::{life, link};
use crate::core::log::StartFrom;
use crate::core::stream::{GapSignal, LongPoll, Page, Step, StreamConfig, Subscription};
use crate::core::time::Instant;
use crate::platform::{clock, random};

/// The longest wait, in seconds.
const MAX_WAIT_SECONDS: u64 = 25;

/// The most events in an answer.
const MAX_EVENTS: u64 = 1_000;

/// An answer that cannot grow any more may be kept by the client's cache, but not for long: a purge
/// ends it.
const MINUTE: HeaderValue = HeaderValue::from_static("private, max-age=60");

/// Any other answer has to be asked for again, by its tag.
pub(super) const REVALIDATE: HeaderValue = HeaderValue::from_static("private, no-cache");

#[derive(Serialize)]
struct Answer<'a> {
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

/// Answers as soon as there is something to tell, or after the `wait` that the query asks for.
pub(super) async fn answer(
    mut subscription: Subscription,
    settings: StreamConfig,
    query: &Query,
    request: &Request,
    now: Instant,
) -> Result<Response, Problem> {
    let wait = query.number("wait", 0..=MAX_WAIT_SECONDS)?.unwrap_or(0);
    let limit = query.number("limit", 1..=MAX_EVENTS)?.unwrap_or(MAX_EVENTS);
    if request.method() == Method::HEAD {
        return Ok(body::json_head());
    }
    subscription.live &= wait > 0;
    let channels: Vec<_> = subscription
        .channels
        .iter()
        .map(|(channel, _)| channel.to_string())
        .collect();
    let resumes = subscription
        .channels
        .iter()
        .all(|(_, start)| matches!(start, StartFrom::After(_)));
    let mut reader = Fetcher::of(&subscription);
    let mut poll = LongPoll::new(
        subscription,
        settings,
        usize::try_from(limit).unwrap_or(usize::MAX),
        known(request.headers()),
        now.after(wait.saturating_mul(1_000)),
        random::u64(),
        now,
    );
    loop {
        reader.tell(poll.feeds()).await;
        match poll.next(clock::now()) {
            Step::ReadHead(place, newer_than) => reader.read_head(place, newer_than),
            Step::ReadSegments(place, names) => reader.read_segments(place, names),
            Step::Wait(until) => reader.wait(until, poll.feeds()).await,
            Step::Emit(_) | Step::End => break,
        }
    }
    let page = poll.into_page().ok_or_else(Problem::store)?;
    Ok(response(&page, &channels, resumes, request))
}

/// The tags of the answers that the client has (RFC 9110, 13.1.2), compared weakly.
fn known(headers: &HeaderMap) -> Vec<String> {
    let values = headers.get_all(IF_NONE_MATCH).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let tags = values.flat_map(|value| value.split(',')).map(str::trim);
    let opaque = |tag: &str| {
        let quoted = tag.strip_prefix("W/").unwrap_or(tag);
        Some(quoted.strip_prefix('"')?.strip_suffix('"')?.to_owned())
    };
    tags.filter_map(opaque).collect()
}

fn response(page: &Page, channels: &[String], resumes: bool, request: &Request) -> Response {
    let cursor = page.cursor.to_string();
    let mut response = if known(request.headers()).contains(&page.tag()) {
        body::empty(StatusCode::NOT_MODIFIED)
    } else {
        let events = page.events.iter().map(|event| Event {
            channel: channels.get(event.channel).map_or("", String::as_str),
            id: event.cursor.to_string(),
            event: event.event_type.as_deref().unwrap_or("message"),
            data: &event.data,
            time: event.time.0,
            traceparent: event.trace.as_deref(),
        });
        let answer = Answer {
            gaps: &page.gaps,
            events: events.collect(),
            cursor: cursor.clone(),
            more: page.more,
            closed: page.closed,
        };
        let response = body::json(StatusCode::OK, &answer);
        if let Body::Full(bytes) = response.body() {
            life::polled(page, bytes.len());
        }
        response
    };
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::from_str(&format!("W/\"{}\"", page.tag())) {
        headers.insert(ETAG, tag);
    }
    // What follows a cursor and is followed by more stays what it is.
    let fixed = page.full && resumes && page.gaps.is_empty();
    let cache = if fixed { MINUTE } else { REVALIDATE };
    headers.insert(CACHE_CONTROL, cache);
    headers.append(LINK, link::to(next(request, &cursor), "next"));
    response
}

/// The path and query that ask for what follows `cursor`.
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
