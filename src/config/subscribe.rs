//! The configuration of subscribing.

use std::time::Duration;

use super::variables::{millis, rate, request_limits, retention, seconds, size};
use super::{ConfigError, RequestLimits, Variables};
use crate::core::limit::Rate;
use crate::core::log::PollInterval;
use crate::core::sse::MAX_CHANNELS;
use crate::core::stream::StreamConfig;
use crate::core::time;

/// The configuration of subscribing.
#[derive(Clone, Copy, Debug)]
pub struct SubscribeConfig {
    /// The behaviour of streams.
    pub stream: StreamConfig,
    /// The largest number of channels in a stream.
    pub max_channels: usize,
    /// The largest number of open streams in an instance.
    pub max_streams: usize,
    /// The rate at which each client can open streams; `None` is no limit.
    pub stream_rate: Option<Rate>,
    /// The time after which a stream ends if its client reads nothing.
    pub write_timeout: Duration,
    /// The largest sizes of parts of a request.
    pub limits: RequestLimits,
}

impl SubscribeConfig {
    pub(super) async fn parse(variables: &dyn Variables) -> Result<Self, ConfigError> {
        let min = millis(variables, "poll_min_ms", 1..=60_000).await?;
        let stream = StreamConfig {
            heartbeat: seconds(variables, "heartbeat_seconds", 1..=3_600).await?,
            retry: millis(variables, "retry_ms", 1..=60_000).await?,
            max_age: seconds(variables, "max_stream_seconds", 1..=86_400).await?,
            store_patience: seconds(variables, "store_patience_seconds", 1..=3_600).await?,
            poll: PollInterval {
                min,
                max: millis(variables, "poll_max_ms", time::millis(min)..=60_000).await?,
            },
            retention: retention(variables).await?,
        };
        let minute = Duration::from_secs(60);
        Ok(Self {
            stream,
            max_channels: size(variables, "max_channels", 1..=MAX_CHANNELS as u64).await?,
            max_streams: size(variables, "max_streams", 1..=100_000).await?,
            stream_rate: rate(variables, "stream_rate", minute).await?,
            write_timeout: seconds(variables, "write_timeout_seconds", 1..=3_600).await?,
            limits: request_limits(variables).await?,
        })
    }
}
