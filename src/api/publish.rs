//! `POST /publish/{channel}`: events into the log.

use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, LINK};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::body::{self, Request, Response};
use super::format::{Format, Publication};
use super::problem::Problem;
use super::query::Query;
use super::{accept, auth, limits, link, trace};
use crate::core::channel::Channel;
use crate::core::log::{Appended, Batch, CommitError, IdempotencyKey, Retention};
use crate::core::metrics::{Counter, Histogram, Label as _, Publishing};
use crate::core::trace::Trace;
use crate::platform::config::PublishConfig;
use crate::platform::log::{self, Level, Line};
use crate::platform::{RequestBody, clock, committer, config, metrics};

const EVENT_ID: HeaderName = HeaderName::from_static("event-id");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const REPRESENTATION: &str = "return=representation";

/// The longest idempotency key, in bytes.
const MAX_IDEMPOTENCY_KEY_BYTES: usize = 255;

/// Answers a publisher, and tells what became of the publish.
pub(super) async fn publish(channel: &Channel, request: Request) -> Result<Response, Problem> {
    let (began, trace) = (clock::micros(), trace::of(request.extensions()));
    let accepted = accept_events(channel, request, trace).await;
    let took = clock::micros().saturating_sub(began);
    metrics::observe(Histogram::Publish, took);
    let outcome = match &accepted {
        Ok(accepted) => told(channel, accepted, trace, took),
        Err(problem) => problem.kind().into(),
    };
    metrics::count(Counter::Publish(outcome), 1);
    accepted.map(|accepted| accepted.response)
}

/// What a publisher is answered, and what of.
struct Accepted {
    response: Response,
    appended: Appended,
    /// How many bytes of data the events have.
    bytes: u64,
}

/// Tells of events that are in the log.
fn told(channel: &Channel, accepted: &Accepted, trace: Trace, micros: u64) -> Publishing {
    let Accepted {
        appended, bytes, ..
    } = accepted;
    let outcome = match appended.repeated {
        true => Publishing::Repeated,
        false => {
            metrics::count(Counter::PublishedEvents, appended.count);
            metrics::count(Counter::PublishedBytes, *bytes);
            Publishing::Created
        }
    };
    let line = Line {
        event: "published",
        channel: Some(channel.as_str()),
        trace_id: Some(trace.id()),
        reason: Some(outcome.value()),
        first: Some(appended.first_id().to_string()),
        last: Some(appended.last_id().to_string()),
        events: Some(appended.count),
        bytes: Some(*bytes),
        duration_ms: Some(micros / 1_000),
        ..Line::default()
    };
    log::write(Level::Debug, &line);
    outcome
}

async fn accept_events(
    channel: &Channel,
    request: Request,
    trace: Trace,
) -> Result<Accepted, Problem> {
    let config = config::publish().await.map_err(Problem::config)?;
    limits::check(request.uri().query(), request.headers(), config.limits)?;
    let publisher = auth::publisher(channel, &request).await?;
    limits::admit(&publisher, channel, &config).await?;
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query(), &[])?;
    let close = query.flag("close")?.unwrap_or(false);
    let format = Format::from_headers(&parts.headers)?;
    let key = idempotency_key(&parts.headers)?;
    let body = read(&parts, body, &config).await?;
    let mut publication = format.parse(&body, query.get("event"), config.max_event_bytes)?;
    check_count(publication.events.len(), config.max_batch_events)?;
    let repeat = repeat(key, &publication, &parts, &body)?;
    if config.trace_events {
        let trace: Rc<str> = trace.to_string().into();
        for event in &mut publication.events {
            event.trace = Some(trace.clone());
        }
    }
    let sizes = publication.events.iter().map(|event| event.data.len());
    let bytes = sizes.fold(0, usize::saturating_add) as u64;
    let appended = append(
        channel,
        Batch {
            events: publication.events,
            close,
            repeat,
        },
        config.retention,
    )
    .await?;
    let mut response = created(&parts.headers, &appended);
    let subscribing = link::to(format_args!("/events/{channel}"), "monitor");
    response.headers_mut().append(LINK, subscribing);
    Ok(Accepted {
        response,
        appended,
        bytes,
    })
}

/// Appends a batch.
pub(super) async fn append(
    channel: &Channel,
    batch: Batch,
    retention: Retention,
) -> Result<Appended, Problem> {
    let answer = committer::append(channel, batch, retention).await;
    answer
        .map_err(|failure| failed(channel, &failure))?
        .map_err(Problem::append)
}

/// Reports a commit that was given up, to the operator and to the publisher.
pub(super) fn failed(channel: &Channel, failure: &CommitError) -> Problem {
    log::error("commit_failed", Some(channel), format_args!("{failure:?}"));
    Problem::commit(failure)
}

#[derive(Serialize)]
struct Created {
    first: String,
    last: String,
    count: u64,
}

fn created(headers: &HeaderMap, appended: &Appended) -> Response {
    let last = appended.last_id().to_string();
    let prefers = prefers_representation(headers);
    let wants_json = prefers || accept::names(headers, "application/json");
    let mut response = if wants_json {
        let first = appended.first_id().to_string();
        body::json(
            StatusCode::CREATED,
            &Created {
                first,
                last: last.clone(),
                count: appended.count,
            },
        )
    } else {
        body::empty(StatusCode::CREATED)
    };
    if let Ok(value) = HeaderValue::from_str(&last) {
        response.headers_mut().insert(EVENT_ID, value);
    }
    if prefers {
        response
            .headers_mut()
            .insert(PREFERENCE_APPLIED, HeaderValue::from_static(REPRESENTATION));
    }
    response
}

/// Whether the client asks for a body (RFC 7240, `return=representation`).
fn prefers_representation(headers: &HeaderMap) -> bool {
    let preferences = headers.get_all(PREFER).iter();
    let preferences = preferences.filter_map(|value| value.to_str().ok());
    preferences
        .flat_map(|value| value.split(','))
        .any(|preference| {
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            name.trim().eq_ignore_ascii_case("return")
                && value
                    .trim()
                    .trim_matches('"')
                    .eq_ignore_ascii_case("representation")
        })
}

/// What tells a repeat of this request from another: the key in the header or in what is published,
/// and all that is published.
fn repeat(
    in_header: Option<&[u8]>,
    publication: &Publication,
    parts: &Parts,
    body: &[u8],
) -> Result<Option<IdempotencyKey>, Problem> {
    let key: Vec<&[u8]> = match (in_header, &publication.key) {
        (None, None) => return Ok(None),
        (Some(key), None) => vec![key],
        (None, Some(key)) => key.iter().map(String::as_bytes).collect(),
        (Some(_), Some(_)) => {
            return Err(Problem::header(
                "the idempotency key is in the header and in what is published; give it once",
            ));
        }
    };
    let types = publication.events.iter();
    let types = types.filter_map(|event| event.event_type.as_deref());
    let mut content = vec![
        content_type(parts),
        parts.uri.query().unwrap_or_default().as_bytes(),
        body,
    ];
    content.extend(types.map(str::as_bytes));
    Ok(Some(IdempotencyKey {
        key: digest(&key),
        content: digest(&content),
    }))
}

fn check_count(events: usize, most: usize) -> Result<(), Problem> {
    match events <= most {
        true => Ok(()),
        false => Err(Problem::too_large(format_args!(
            "the batch has {events} events; at most {most} are accepted"
        ))),
    }
}

/// Reads the body, up to the limit of bytes and of time.
async fn read(parts: &Parts, body: RequestBody, config: &PublishConfig) -> Result<Bytes, Problem> {
    let limit = config.max_body_bytes;
    let too_large = || Problem::too_large(format_args!("the body has more than {limit} bytes"));
    let announced = parts
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let read = pin!(Limited::new(body, limit).collect());
    let timeout = pin!(clock::sleep_millis(config.body_timeout_millis));
    let Either::Left((read, _)) = select(read, timeout).await else {
        return Err(Problem::body_timeout(Duration::from_millis(
            config.body_timeout_millis,
        )));
    };
    match read {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => Err(Problem::body(format_args!(
            "the body could not be read: {error}"
        ))),
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let key = value.as_bytes();
    if key.is_empty() || key.len() > MAX_IDEMPOTENCY_KEY_BYTES {
        return Err(Problem::header(format_args!(
            "the idempotency key has {} bytes; accepted are 1 to {MAX_IDEMPOTENCY_KEY_BYTES}",
            key.len()
        )));
    }
    Ok(Some(key))
}

fn content_type(parts: &Parts) -> &[u8] {
    parts
        .headers
        .get(CONTENT_TYPE)
        .map_or(&[], HeaderValue::as_bytes)
}

/// 128 bits of the SHA-256 of the parts, each with its length before it.
fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut digest = [0; 16];
    for (byte, hashed) in digest.iter_mut().zip(hash.finalize()) {
        *byte = hashed;
    }
    digest
}
