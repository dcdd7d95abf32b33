//! What is told of this server, and to whom.

use std::cell::OnceCell;

use super::{ConfigError, not_empty, number, text};
use crate::core::access::Secret;
use crate::platform::log::Level;

thread_local! {
    static INTERVAL: OnceCell<Option<u64>> = const { OnceCell::new() };
}

/// How often an instance writes what it has counted, in milliseconds; `None` is never.
///
/// # Errors
/// Names the variable if it is missing or not accepted.
pub async fn metrics_interval() -> Result<Option<u64>, ConfigError> {
    if let Some(interval) = INTERVAL.with(|cell| cell.get().copied()) {
        return Ok(interval);
    }
    // Longer, and gauges would expire in between.
    let seconds = number("metrics_interval_seconds", 0..=15).await?;
    let interval = (seconds > 0).then_some(seconds.saturating_mul(1_000));
    Ok(INTERVAL.with(|cell| *cell.get_or_init(|| interval)))
}

/// The token that reads the metrics; `None` if everybody may.
///
/// # Errors
/// Says so if the variable is missing.
pub async fn metrics_token() -> Result<Option<Secret>, ConfigError> {
    let token = text("metrics_token").await?;
    Ok(not_empty("metrics_token", &token)
        .is_ok()
        .then(|| Secret::new(&token)))
}

/// What is told in the log.
///
/// # Errors
/// Names the variable if it is missing or not accepted.
pub async fn log_level() -> Result<Level, ConfigError> {
    parse(&text("log_level").await?)
}

fn parse(level: &str) -> Result<Level, ConfigError> {
    match level {
        "off" => Ok(Level::Off),
        "error" => Ok(Level::Error),
        "warn" => Ok(Level::Warn),
        "info" => Ok(Level::Info),
        "debug" => Ok(Level::Debug),
        other => Err(ConfigError(format!(
            "the variable log_level is {other:?}; accepted are `off`, `error`, `warn`, `info` and `debug`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_one_of_five() {
        assert_eq!(parse("off"), Ok(Level::Off));
        assert_eq!(parse("debug"), Ok(Level::Debug));
        for level in ["", "INFO", "trace"] {
            let error = parse(level).unwrap_err().to_string();
            assert!(error.starts_with(&format!("the variable log_level is {level:?}; accepted")));
        }
        assert!(Level::Off < Level::Error && Level::Info < Level::Debug);
    }
}
