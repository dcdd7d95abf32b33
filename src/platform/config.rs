//! Configuration: Spin variables as typed values.
//!
//! The defaults stand in spin.toml and nowhere else. A component is given only the variables it
//! needs; each is read once in an instance's life.

use std::cell::OnceCell;
use std::fmt;
use std::ops::RangeInclusive;
use std::rc::Rc;

use spin_sdk::variables;

use crate::core::log::Retention;
use crate::core::stream::Settings;

/// A variable that is missing or has a value that is not accepted. Secrets are not quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// What publishing needs.
#[derive(Clone, Debug)]
pub struct PublishConfig {
    /// The token a publisher presents.
    pub token: String,
    /// The largest event, in bytes of data.
    pub max_event_bytes: usize,
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// How much of each log is kept.
    pub retention: Retention,
}

thread_local! {
    static PUBLISH: OnceCell<Rc<PublishConfig>> = const { OnceCell::new() };
    static SUBSCRIBE: OnceCell<Settings> = const { OnceCell::new() };
}

/// What publishing needs.
///
/// # Errors
/// Names the first variable that is missing or not accepted.
pub async fn publish() -> Result<Rc<PublishConfig>, ConfigError> {
    if let Some(config) = PUBLISH.with(|cell| cell.get().cloned()) {
        return Ok(config);
    }
    let token = text("publish_token").await?;
    if token.is_empty() {
        return Err(ConfigError(
            "the variable publish_token is empty".to_owned(),
        ));
    }
    let config = Rc::new(PublishConfig {
        token,
        max_event_bytes: size("max_event_bytes", 1..=65_536).await?,
        max_body_bytes: size("max_body_bytes", 1..=16_777_216).await?,
        retention: Retention {
            events: number("retention_events", 1..=10_000_000).await?,
            bytes: number("retention_bytes", 65_536..=67_108_864).await?,
            seconds: number("retention_seconds", 0..=u64::from(u32::MAX)).await?,
        },
    });
    Ok(PUBLISH.with(|cell| cell.get_or_init(|| config).clone()))
}

/// What subscribing needs.
///
/// # Errors
/// Names the first variable that is missing or not accepted.
pub async fn subscribe() -> Result<Settings, ConfigError> {
    if let Some(settings) = SUBSCRIBE.with(|cell| cell.get().copied()) {
        return Ok(settings);
    }
    let poll_min = number("poll_min_ms", 1..=60_000).await?;
    let settings = Settings {
        heartbeat_millis: seconds("heartbeat_seconds", 1..=3_600).await?,
        retry_millis: number("retry_ms", 1..=60_000).await?,
        max_age_millis: seconds("max_stream_seconds", 1..=86_400).await?,
        patience_millis: seconds("store_patience_seconds", 1..=3_600).await?,
        poll_millis: (poll_min, number("poll_max_ms", poll_min..=60_000).await?),
    };
    Ok(SUBSCRIBE.with(|cell| *cell.get_or_init(|| settings)))
}

async fn text(name: &str) -> Result<String, ConfigError> {
    let value = variables::get(name).await;
    value.map_err(|error| ConfigError(format!("the variable {name} cannot be read: {error}")))
}

async fn number(name: &str, accepted: RangeInclusive<u64>) -> Result<u64, ConfigError> {
    parse(name, &text(name).await?, accepted)
}

async fn size(name: &str, accepted: RangeInclusive<u64>) -> Result<usize, ConfigError> {
    let number = number(name, accepted).await?;
    usize::try_from(number).map_err(|_| ConfigError(format!("the variable {name} is too large")))
}

async fn seconds(name: &str, accepted: RangeInclusive<u64>) -> Result<u64, ConfigError> {
    Ok(number(name, accepted).await?.saturating_mul(1000))
}

fn parse(name: &str, value: &str, accepted: RangeInclusive<u64>) -> Result<u64, ConfigError> {
    match value.parse() {
        Ok(number) if accepted.contains(&number) => Ok(number),
        _ => Err(ConfigError(format!(
            "the variable {name} is {value:?}; accepted is a whole number from {} to {}",
            accepted.start(),
            accepted.end()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_value_is_refused_by_name_with_what_is_accepted() {
        assert_eq!(parse("retry_ms", "2000", 1..=60_000), Ok(2_000));
        for value in ["", "0", "60001", "-1", "2s", "1.5", " 5"] {
            let error = parse("retry_ms", value, 1..=60_000).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "the variable retry_ms is {value:?}; accepted is a whole number from 1 to 60000"
                )
            );
        }
    }
}
