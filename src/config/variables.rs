//! Variables, and values of common types in them.

use std::ops::RangeInclusive;
use std::time::Duration;

use futures::future::LocalBoxFuture;
use thiserror::Error;

use super::{ConfigError, RequestLimits};
use crate::core::limit::Rate;
use crate::core::log::Retention;

/// A variable that cannot be read, in the words of the host.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct VariableError(pub String);

/// The variables that a component is given.
pub trait Variables: 'static {
    /// Reads a variable.
    fn get<'a>(&'a self, name: &'a str) -> LocalBoxFuture<'a, Result<String, VariableError>>;
}

/// Reads a text, without the white space around it: a value from a file usually ends in a line feed,
/// and some editors put a byte order mark before it.
pub(super) async fn text(variables: &dyn Variables, name: &str) -> Result<String, ConfigError> {
    let value = variables.get(name).await;
    let value = value
        .map_err(|error| ConfigError(format!("the variable {name} cannot be read: {error}")))?;
    let trimmed = value.trim_start_matches('\u{feff}').trim();
    Ok(trimmed.to_owned())
}

/// Reads a word from a fixed set, in lower case: tools that generate configuration write `True` or `INFO`.
pub(super) async fn keyword(variables: &dyn Variables, name: &str) -> Result<String, ConfigError> {
    let value = text(variables, name).await?;
    Ok(value.to_ascii_lowercase())
}

/// Reads a text that is not empty.
pub(super) async fn non_empty(
    variables: &dyn Variables,
    name: &str,
) -> Result<String, ConfigError> {
    let value = text(variables, name).await?;
    if value.is_empty() {
        return Err(ConfigError(format!("the variable {name} is empty")));
    }
    Ok(value)
}

/// Reads a text; `None` if it is empty.
pub(super) async fn optional(
    variables: &dyn Variables,
    name: &str,
) -> Result<Option<String>, ConfigError> {
    let value = text(variables, name).await?;
    Ok(Some(value).filter(|value| !value.is_empty()))
}

pub(super) async fn flag(variables: &dyn Variables, name: &str) -> Result<bool, ConfigError> {
    match keyword(variables, name).await?.as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(ConfigError(format!(
            "the variable {name} is {other:?}; expected `true` or `false`"
        ))),
    }
}

pub(super) async fn number(
    variables: &dyn Variables,
    name: &str,
    accepted: RangeInclusive<u64>,
) -> Result<u64, ConfigError> {
    let value = text(variables, name).await?;
    match value.parse() {
        Ok(number) if accepted.contains(&number) => Ok(number),
        _ => Err(ConfigError(format!(
            "the variable {name} is {value:?}; expected a whole number from {} to {}",
            accepted.start(),
            accepted.end()
        ))),
    }
}

pub(super) async fn size(
    variables: &dyn Variables,
    name: &str,
    accepted: RangeInclusive<u64>,
) -> Result<usize, ConfigError> {
    let number = number(variables, name, accepted).await?;
    usize::try_from(number).map_err(|_| ConfigError(format!("the variable {name} is too large")))
}

pub(super) async fn seconds(
    variables: &dyn Variables,
    name: &str,
    accepted: RangeInclusive<u64>,
) -> Result<Duration, ConfigError> {
    let seconds = number(variables, name, accepted).await?;
    Ok(Duration::from_secs(seconds))
}

pub(super) async fn millis(
    variables: &dyn Variables,
    name: &str,
    accepted: RangeInclusive<u64>,
) -> Result<Duration, ConfigError> {
    let millis = number(variables, name, accepted).await?;
    Ok(Duration::from_millis(millis))
}

/// Reads the number of permits in each `period`; 0 is no limit.
pub(super) async fn rate(
    variables: &dyn Variables,
    name: &str,
    period: Duration,
) -> Result<Option<Rate>, ConfigError> {
    let permits = number(variables, name, 0..=100_000).await?;
    Ok(Rate::new(permits, period))
}

pub(super) async fn request_limits(
    variables: &dyn Variables,
) -> Result<RequestLimits, ConfigError> {
    Ok(RequestLimits {
        query_bytes: size(variables, "max_query_bytes", 1..=65_536).await?,
        header_bytes: size(variables, "max_header_bytes", 256..=65_536).await?,
    })
}

pub(super) async fn retention(variables: &dyn Variables) -> Result<Retention, ConfigError> {
    let events = number(variables, "retention_events", 1..=10_000_000).await?;
    let bytes = number(variables, "retention_bytes", 65_536..=67_108_864).await?;
    let max_age = seconds(variables, "retention_seconds", 0..=u64::from(u32::MAX)).await?;
    Ok(Retention {
        events,
        bytes,
        max_age: Some(max_age).filter(|age| !age.is_zero()),
    })
}
