//! The configuration of publishing.

use std::time::Duration;

use super::variables::{flag, rate, request_limits, retention, seconds, size};
use super::{ConfigError, RequestLimits, Variables};
use crate::core::limit::Rate;
use crate::core::log::Retention;

/// The configuration of publishing.
#[derive(Clone, Debug)]
pub struct PublishConfig {
    /// The largest event, in bytes of data.
    pub max_event_bytes: usize,
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// The largest number of events in a request.
    pub max_batch_events: usize,
    /// The time within which a body must arrive.
    pub body_timeout: Duration,
    /// The rate limit of each credential; `None` is no limit.
    pub publish_rate: Option<Rate>,
    /// The rate limit of each channel; `None` is no limit.
    pub channel_rate: Option<Rate>,
    /// Stores the trace of the request with its events.
    pub trace_events: bool,
    /// The largest sizes of parts of a request.
    pub limits: RequestLimits,
    /// The part of each log that is kept.
    pub retention: Retention,
}

impl PublishConfig {
    pub(super) async fn parse(variables: &dyn Variables) -> Result<Self, ConfigError> {
        let second = Duration::from_secs(1);
        Ok(Self {
            max_event_bytes: size(variables, "max_event_bytes", 1..=65_536).await?,
            max_body_bytes: size(variables, "max_body_bytes", 1..=16_777_216).await?,
            max_batch_events: size(variables, "max_batch_events", 1..=1_000_000).await?,
            body_timeout: seconds(variables, "body_timeout_seconds", 1..=3_600).await?,
            publish_rate: rate(variables, "publish_rate", second).await?,
            channel_rate: rate(variables, "channel_rate", second).await?,
            trace_events: flag(variables, "trace_events").await?,
            limits: request_limits(variables).await?,
            retention: retention(variables).await?,
        })
    }
}
