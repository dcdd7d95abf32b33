//! The configuration of metrics and the log.

use std::time::Duration;

use super::variables::{keyword, optional, seconds};
use super::{ConfigError, Variables};
use crate::core::access::Secret;
use crate::core::logging::Level;

pub(super) async fn metrics_interval(
    variables: &dyn Variables,
) -> Result<Option<Duration>, ConfigError> {
    // With a longer interval gauges would expire between two writes.
    let interval = seconds(variables, "metrics_interval_seconds", 0..=15).await?;
    Ok(Some(interval).filter(|interval| !interval.is_zero()))
}

pub(super) async fn metrics_token(
    variables: &dyn Variables,
) -> Result<Option<Secret>, ConfigError> {
    let token = optional(variables, "metrics_token").await?;
    Ok(token.map(|token| Secret::new(&token)))
}

pub(super) async fn log_level(variables: &dyn Variables) -> Result<Level, ConfigError> {
    let level = keyword(variables, "log_level").await?;
    level
        .parse()
        .map_err(|error| ConfigError(format!("the variable log_level is {level:?}; {error}")))
}
