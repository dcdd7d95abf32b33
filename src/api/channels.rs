//! The state of a channel, closing it, and purging it.

use http::StatusCode;
use serde::Serialize;

use super::body::{self, Request, Response};
use super::problem::Problem;
use super::{auth, limits, publish, trace};
use crate::core::channel::Channel;
use crate::core::log::{Batch, Head};
use crate::core::sse::EventId;
use crate::platform::log::{self, Level, Line};
use crate::platform::{committer, config, tail};

/// What a channel's log holds.
#[derive(Serialize)]
struct State<'a> {
    channel: &'a str,
    /// The id of the oldest event kept; null if there is none.
    first: Option<String>,
    /// The id of the newest event; null if there is none.
    last: Option<String>,
    /// How many events are kept.
    count: u64,
    /// How many bytes they take.
    bytes: u64,
    closed: bool,
    /// When the newest event was published: milliseconds since 1970; null if there was none.
    last_published_ms: Option<u64>,
}

impl<'a> State<'a> {
    fn new(channel: &'a Channel, head: &Head) -> Self {
        let count = head.next().since(head.first());
        let id = |seq| {
            (count > 0).then(|| {
                EventId {
                    epoch: head.epoch,
                    seq,
                }
                .to_string()
            })
        };
        Self {
            channel: channel.as_str(),
            first: id(head.first()),
            last: id(head.next().minus(1)),
            count,
            bytes: head.bytes(),
            closed: head.closed,
            last_published_ms: (head.newest.0 > 0).then_some(head.newest.0),
        }
    }
}

/// `GET /channels/{channel}`
pub(super) async fn state(channel: &Channel, request: &Request) -> Result<Response, Problem> {
    auth::publisher(channel, request).await?;
    let read = tail::read(channel).await.map_err(|error| {
        log::error("read_failed", Some(channel), error);
        Problem::store()
    })?;
    let head = read.1.ok_or_else(|| Problem::unknown_channel(channel))?;
    Ok(body::json(StatusCode::OK, &State::new(channel, &head)))
}

/// `POST /channels/{channel}/close`
pub(super) async fn close(channel: &Channel, request: &Request) -> Result<Response, Problem> {
    let publisher = auth::publisher(channel, request).await?;
    let config = config::publish().await.map_err(Problem::config)?;
    limits::admit(&publisher, channel, &config).await?;
    let batch = Batch {
        close: true,
        ..Batch::default()
    };
    publish::append(channel, batch, config.retention).await?;
    tell("channel_closed", channel, request);
    Ok(body::empty(StatusCode::NO_CONTENT))
}

/// `DELETE /channels/{channel}`
pub(super) async fn purge(channel: &Channel, request: &Request) -> Result<Response, Problem> {
    let publisher = auth::publisher(channel, request).await?;
    let config = config::publish().await.map_err(Problem::config)?;
    limits::admit(&publisher, channel, &config).await?;
    let purged = committer::purge(channel, config.retention).await;
    purged.map_err(|failure| publish::failed(channel, &failure))?;
    tell("channel_purged", channel, request);
    Ok(body::empty(StatusCode::NO_CONTENT))
}

fn tell(event: &'static str, channel: &Channel, request: &Request) {
    let line = Line {
        event,
        channel: Some(channel.as_str()),
        trace_id: Some(trace::of(request.extensions()).id()),
        ..Line::default()
    };
    log::write(Level::Info, &line);
}
