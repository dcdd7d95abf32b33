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
use super::format::{ContentKey, Format, Publication};
use super::problem::Problem;
use super::query::Query;
use super::{Instance, accept, auth, coding, limits, link, trace};
use crate::config::{BasePath, PublishConfig};
use crate::core::channel::Channel;
use crate::core::environment::Environment as _;
use crate::core::log::{AppendError, Appended, Batch, IdempotencyKey, Log as _};
use crate::core::logging::{Level, Line};
use crate::core::metrics::{Counter, Histogram, Label as _, PublishOutcome};
use crate::core::time::millis;
use crate::core::trace::Trace;
use crate::platform::RequestBody;

const EVENT_ID: HeaderName = HeaderName::from_static("event-id");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const REPRESENTATION: &str = "return=representation";

/// The longest idempotency key, in bytes.
const MAX_IDEMPOTENCY_KEY_BYTES: usize = 255;

/// Answers a publisher, and counts and logs the outcome of the publish.
pub(super) async fn publish(
    instance: &Instance,
    base: &BasePath,
    channel: &Channel,
    request: Request,
) -> Result<Response, Problem> {
    let (began, trace) = (instance.env.uptime(), trace::of(request.extensions()));
    let accepted = accept_events(instance, base, channel, request, trace).await;
    let duration = instance.env.uptime().saturating_sub(began);
    let metrics = &instance.metrics;
    metrics.observe_duration(Histogram::Publish, duration);
    let outcome = match &accepted {
        Ok(accepted) => record(instance, channel, accepted, trace, duration),
        Err(problem) => problem.kind().into(),
    };
    metrics.add(Counter::Publish(outcome), 1);
    accepted.map(|accepted| accepted.response)
}

/// A publish whose events are in the log.
struct Accepted {
    response: Response,
    appended: Appended,
    /// The bytes of the events' data.
    bytes: u64,
}

/// Counts and logs events that are in the log.
fn record(
    instance: &Instance,
    channel: &Channel,
    accepted: &Accepted,
    trace: Trace,
    duration: Duration,
) -> PublishOutcome {
    let Accepted {
        appended, bytes, ..
    } = accepted;
    let outcome = if appended.repeated {
        PublishOutcome::Repeated
    } else {
        let metrics = &instance.metrics;
        metrics.add(Counter::PublishedEvents, appended.count);
        metrics.add(Counter::PublishedBytes, *bytes);
        PublishOutcome::Created
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
        duration_ms: Some(millis(duration)),
        ..Line::default()
    };
    instance.logger.write(Level::Debug, &line);
    outcome
}

async fn accept_events(
    instance: &Instance,
    base: &BasePath,
    channel: &Channel,
    request: Request,
    trace: Trace,
) -> Result<Accepted, Problem> {
    let config = instance.config.publish().await.map_err(Problem::config)?;
    limits::check(request.uri().query(), request.headers(), config.limits)?;
    let publisher = auth::publisher(instance, channel, &request).await?;
    limits::acquire_publish_permits(instance, &publisher, channel, &config).await?;
    let (parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query(), &[])?;
    let close = query.flag("close")?.unwrap_or(false);
    coding::check(&parts.headers)?;
    let format = Format::from_headers(&parts.headers)?;
    let key = idempotency_key_header(&parts.headers)?;
    let body = read_body(instance, &parts, body, &config).await?;
    let mut publication = format.parse(&body, query.get("event"), config.max_event_bytes)?;
    check_count(publication.events.len(), config.max_batch_events)?;
    let idempotency_key = idempotency_key(key, &publication, close, &parts, &body)?;
    if config.trace_events {
        let trace: Rc<str> = trace.to_string().into();
        for event in &mut publication.events {
            event.trace = Some(trace.clone());
        }
    }
    let sizes = publication.events.iter().map(|event| event.data.len());
    let bytes = sizes.fold(0, usize::saturating_add) as u64;
    let batch = Batch {
        events: publication.events,
        close,
        idempotency_key,
    };
    let appended = instance.log.append(channel, batch, config.retention).await;
    let appended = appended.map_err(|error| append_failed(instance, channel, &error))?;
    let mut response = created(&parts.headers, &appended);
    let events = link::to(format_args!("{base}/events/{channel}"), "monitor");
    response.headers_mut().append(LINK, events);
    Ok(Accepted {
        response,
        appended,
        bytes,
    })
}

/// Returns the problem of a change that was not made. A commit that was given up is logged.
pub(super) fn append_failed(
    instance: &Instance,
    channel: &Channel,
    error: &AppendError,
) -> Problem {
    if let AppendError::Commit(error) = error {
        instance.logger.error("commit_failed", Some(channel), error);
    }
    Problem::append(error)
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

/// Returns whether the client prefers a body (RFC 7240, `return=representation`).
fn prefers_representation(headers: &HeaderMap) -> bool {
    let preferences = headers.get_all(PREFER).iter();
    let preferences = preferences.filter_map(|value| value.to_str().ok());
    preferences
        .flat_map(|value| value.split(','))
        .any(|preference| {
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
            let value = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("return")
                && value.eq_ignore_ascii_case("representation")
        })
}

/// Returns the digests of the key, which is in the header or in the content, and of what has to be the
/// same when the request is repeated.
fn idempotency_key(
    in_header: Option<&[u8]>,
    publication: &Publication,
    close: bool,
    parts: &Parts,
    body: &[u8],
) -> Result<Option<IdempotencyKey>, Problem> {
    let key = match (in_header, &publication.key) {
        (None, None) => return Ok(None),
        (Some(key), None) => key,
        (None, Some(ContentKey::Form(key))) => key.as_bytes(),
        (None, Some(ContentKey::CloudEvent { source, id })) => {
            return Ok(Some(IdempotencyKey {
                key: digest(&[b"cloudevents", source.as_bytes(), id.as_bytes()]),
                content: digest(&[if close { b"close" } else { b"" }]),
            }));
        }
        (Some(_), Some(_)) => {
            return Err(Problem::header(
                "the idempotency key is in the header and in the content; give it once",
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
        key: digest(&[key]),
        content: digest(&content),
    }))
}

fn check_count(events: usize, limit: usize) -> Result<(), Problem> {
    if events > limit {
        return Err(Problem::too_large(format_args!(
            "the batch has {events} events; at most {limit} are accepted (`max_batch_events`)"
        )));
    }
    Ok(())
}

/// Reads the body, within the limits of bytes and time.
async fn read_body(
    instance: &Instance,
    parts: &Parts,
    body: RequestBody,
    config: &PublishConfig,
) -> Result<Bytes, Problem> {
    let limit = config.max_body_bytes;
    let too_large = || {
        Problem::too_large(format_args!(
            "the body has more than {limit} bytes (`max_body_bytes`)"
        ))
    };
    let announced = parts
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let read = pin!(Limited::new(body, limit).collect());
    let timeout = pin!(instance.env.sleep(config.body_timeout));
    let Either::Left((read, _)) = select(read, timeout).await else {
        return Err(Problem::body_timeout(config.body_timeout));
    };
    match read {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => Err(Problem::body(format_args!(
            "the body could not be read: {error}"
        ))),
    }
}

fn idempotency_key_header(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let key = value.as_bytes();
    if key.is_empty() || key.len() > MAX_IDEMPOTENCY_KEY_BYTES {
        return Err(Problem::header(format_args!(
            "the idempotency key has {} bytes; expected 1 to {MAX_IDEMPOTENCY_KEY_BYTES}",
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

/// Returns 128 bits of the SHA-256 of the parts, each preceded by its length.
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
