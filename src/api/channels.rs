//! The state of a channel, closing it, and purging it.

use http::StatusCode;
use serde::Serialize;

use super::body::{self, Request, Response};
use super::problem::Problem;
use super::{Instance, auth, limits, publish, trace};
use crate::core::channel::Channel;
use crate::core::environment::Environment as _;
use crate::core::log::{self, Log as _, Retention, Summary};
use crate::core::logging::{Level, Line};
use crate::core::sse::EventId;

/// The state of a channel's log.
#[derive(Serialize)]
struct State<'a> {
    channel: &'a str,
    /// The id of the oldest event that is served; null if there is none.
    first: Option<String>,
    /// The id of the newest event; null if there is none.
    last: Option<String>,
    /// The number of events that are served.
    count: u64,
    /// The bytes of their records.
    bytes: u64,
    closed: bool,
    /// The time of the newest event, in milliseconds since 1970; null if none was ever published.
    last_published_ms: Option<u64>,
}

impl<'a> State<'a> {
    fn new(channel: &'a Channel, log: &Summary) -> Self {
        let count = log.next.since(log.first);
        let id = |seq| {
            let epoch = log.epoch;
            (count > 0).then(|| EventId { epoch, seq }.to_string())
        };
        Self {
            channel: channel.as_str(),
            first: id(log.first),
            last: id(log.next.minus(1)),
            count,
            bytes: log.bytes,
            closed: log.closed,
            last_published_ms: Some(log.newest.0).filter(|newest| *newest > 0),
        }
    }
}

/// `GET /channels/{channel}`
pub(super) async fn state(
    instance: &Instance,
    channel: &Channel,
    request: &Request,
) -> Result<Response, Problem> {
    auth::publisher(instance, channel, request).await?;
    let config = instance.config.publish().await.map_err(Problem::config)?;
    let now = instance.env.clock();
    let state = log::summary(&instance.log, channel, config.retention, now).await;
    let state = state.map_err(|error| {
        let problem = Problem::read(&error);
        instance.logger.error("read_failed", Some(channel), error);
        problem
    })?;
    let state = state.ok_or_else(|| Problem::unknown_channel(channel))?;
    Ok(body::json(StatusCode::OK, &State::new(channel, &state)))
}

/// `POST /channels/{channel}/close`
pub(super) async fn close(
    instance: &Instance,
    channel: &Channel,
    request: &Request,
) -> Result<Response, Problem> {
    let retention = authorize_change(instance, channel, request).await?;
    let closed = instance.log.close(channel, retention).await;
    closed.map_err(|error| publish::append_failed(instance, channel, &error))?;
    log_change(instance, "channel_closed", channel, request);
    Ok(body::empty(StatusCode::NO_CONTENT))
}

/// `DELETE /channels/{channel}`
pub(super) async fn purge(
    instance: &Instance,
    channel: &Channel,
    request: &Request,
) -> Result<Response, Problem> {
    let retention = authorize_change(instance, channel, request).await?;
    let purged = instance.log.purge(channel, retention).await;
    purged.map_err(|error| publish::append_failed(instance, channel, &error.into()))?;
    log_change(instance, "channel_purged", channel, request);
    Ok(body::empty(StatusCode::NO_CONTENT))
}

/// Authenticates a publisher and applies its rate limits; returns the retention for the commit.
async fn authorize_change(
    instance: &Instance,
    channel: &Channel,
    request: &Request,
) -> Result<Retention, Problem> {
    let publisher = auth::publisher(instance, channel, request).await?;
    let config = instance.config.publish().await.map_err(Problem::config)?;
    limits::acquire_publish_permits(instance, &publisher, channel, &config).await?;
    Ok(config.retention)
}

fn log_change(instance: &Instance, event: &'static str, channel: &Channel, request: &Request) {
    let line = Line {
        event,
        channel: Some(channel.as_str()),
        trace_id: Some(trace::of(request.extensions()).id()),
        ..Line::default()
    };
    instance.logger.write(Level::Info, &line);
}
