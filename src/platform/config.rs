//! Configuration: Spin variables as typed values.
//!
//! The defaults stand in spin.toml and nowhere else. A component is given only the variables it
//! needs; each is read once in an instance's life.

mod access;
mod observing;

use std::cell::OnceCell;
use std::fmt;
use std::ops::RangeInclusive;
use std::rc::Rc;

use http::HeaderValue;
use spin_sdk::variables;

pub use access::{AuthConfig, publishers, subscribers};
pub use observing::{log_level, metrics_interval, metrics_token};

use crate::core::limit::Rate;
use crate::core::log::Retention;
use crate::core::sse::MAX_CHANNELS;
use crate::core::stream::StreamConfig;

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60_000;

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
    /// The largest event, in bytes of data.
    pub max_event_bytes: usize,
    /// The largest request body, in bytes.
    pub max_body_bytes: usize,
    /// The most events in a request.
    pub max_batch_events: usize,
    /// How long a body may take to arrive, in milliseconds.
    pub body_timeout_millis: u64,
    /// How often each credential publishes.
    pub publish_rate: Option<Rate>,
    /// How often a channel is published to.
    pub channel_rate: Option<Rate>,
    /// Whether events carry the trace of the request that published them.
    pub trace_events: bool,
    /// What a request may be like.
    pub limits: RequestLimits,
    /// How much of each log is kept.
    pub retention: Retention,
}

/// What subscribing needs.
#[derive(Clone, Copy, Debug)]
pub struct SubscribeConfig {
    /// How streams behave.
    pub settings: StreamConfig,
    /// The most channels in a stream.
    pub max_channels: usize,
    /// The most streams of an instance at a time.
    pub max_streams: usize,
    /// How often a client opens a stream.
    pub stream_rate: Option<Rate>,
    /// A client that takes nothing for so long is let go, in milliseconds.
    pub write_timeout_millis: u64,
    /// What a request may be like.
    pub limits: RequestLimits,
}

/// What a request may be like, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimits {
    /// The longest query.
    pub query_bytes: usize,
    /// The longest header that is read.
    pub header_bytes: usize,
}

/// Whose pages may use this server, beside its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Nobody's.
    None,
    /// Everybody's, but without credentials.
    Any,
    /// Those of these origins, as browsers write them.
    Listed(Vec<HeaderValue>),
}

thread_local! {
    static ORIGINS: OnceCell<Rc<Origins>> = const { OnceCell::new() };
    static PUBLISH: OnceCell<Rc<PublishConfig>> = const { OnceCell::new() };
    static SUBSCRIBE: OnceCell<SubscribeConfig> = const { OnceCell::new() };
}

/// What publishing needs.
///
/// # Errors
/// Names the first variable that is missing or not accepted.
pub async fn publish() -> Result<Rc<PublishConfig>, ConfigError> {
    if let Some(config) = PUBLISH.with(|cell| cell.get().cloned()) {
        return Ok(config);
    }
    let config = Rc::new(PublishConfig {
        max_event_bytes: size("max_event_bytes", 1..=65_536).await?,
        max_body_bytes: size("max_body_bytes", 1..=16_777_216).await?,
        max_batch_events: size("max_batch_events", 1..=1_000_000).await?,
        body_timeout_millis: seconds("body_timeout_seconds", 1..=3_600).await?,
        publish_rate: rate("publish_rate", SECOND).await?,
        channel_rate: rate("channel_rate", SECOND).await?,
        trace_events: flag("trace_events", &text("trace_events").await?)?,
        limits: limits().await?,
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
pub async fn subscribe() -> Result<SubscribeConfig, ConfigError> {
    if let Some(config) = SUBSCRIBE.with(|cell| cell.get().copied()) {
        return Ok(config);
    }
    let poll_min = number("poll_min_ms", 1..=60_000).await?;
    let settings = StreamConfig {
        heartbeat_millis: seconds("heartbeat_seconds", 1..=3_600).await?,
        retry_millis: number("retry_ms", 1..=60_000).await?,
        max_age_millis: seconds("max_stream_seconds", 1..=86_400).await?,
        patience_millis: seconds("store_patience_seconds", 1..=3_600).await?,
        poll_millis: (poll_min, number("poll_max_ms", poll_min..=60_000).await?),
    };
    let config = SubscribeConfig {
        settings,
        max_channels: size("max_channels", 1..=MAX_CHANNELS as u64).await?,
        max_streams: size("max_streams", 1..=100_000).await?,
        stream_rate: rate("stream_rate", MINUTE).await?,
        write_timeout_millis: seconds("write_timeout_seconds", 1..=3_600).await?,
        limits: limits().await?,
    };
    Ok(SUBSCRIBE.with(|cell| *cell.get_or_init(|| config)))
}

/// Whose pages may use this server.
///
/// # Errors
/// Names the variable if it is missing or not accepted.
pub async fn origins() -> Result<Rc<Origins>, ConfigError> {
    if let Some(origins) = ORIGINS.with(|cell| cell.get().cloned()) {
        return Ok(origins);
    }
    let origins = Rc::new(Origins::parse(&text("cors_origins").await?)?);
    Ok(ORIGINS.with(|cell| cell.get_or_init(|| origins).clone()))
}

impl Origins {
    /// Reads `*`, or origins with commas or spaces between them.
    fn parse(value: &str) -> Result<Self, ConfigError> {
        let mut listed = vec![];
        for origin in value.split([',', ' ']).filter(|origin| !origin.is_empty()) {
            let parsed = match origin {
                "*" if value.trim() == "*" => return Ok(Self::Any),
                _ => Self::parse_one(origin),
            };
            listed.push(parsed.ok_or_else(|| {
                ConfigError(format!(
                    "the variable cors_origins has {origin:?}; accepted is `*` alone, or origins \
                     such as https://example.com or http://localhost:8080, with commas between them"
                ))
            })?);
        }
        Ok(match listed.is_empty() {
            true => Self::None,
            false => Self::Listed(listed),
        })
    }

    /// An origin as browsers write it (HTML 7.1.1): scheme, host and port in lower case, and nothing
    /// after them.
    fn parse_one(origin: &str) -> Option<HeaderValue> {
        let (scheme, host) = origin.split_once("://")?;
        let is_host = !host.is_empty()
            && host.bytes().all(
                |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b':' | b'[' | b']'),
            );
        let is_scheme = !scheme.is_empty()
            && scheme
                .bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.'));
        (is_scheme && is_host)
            .then(|| HeaderValue::from_str(origin).ok())
            .flatten()
    }
}

async fn limits() -> Result<RequestLimits, ConfigError> {
    Ok(RequestLimits {
        query_bytes: size("max_query_bytes", 1..=65_536).await?,
        header_bytes: size("max_header_bytes", 256..=65_536).await?,
    })
}

/// So many in each period; 0 is no limit.
async fn rate(name: &str, period_millis: u64) -> Result<Option<Rate>, ConfigError> {
    Ok(Rate::new(number(name, 0..=100_000).await?, period_millis))
}

async fn text(name: &str) -> Result<String, ConfigError> {
    let value = variables::get(name).await;
    value.map_err(|error| ConfigError(format!("the variable {name} cannot be read: {error}")))
}

fn not_empty(name: &str, value: &str) -> Result<(), ConfigError> {
    match value.is_empty() {
        true => Err(ConfigError(format!("the variable {name} is empty"))),
        false => Ok(()),
    }
}

fn flag(name: &str, value: &str) -> Result<bool, ConfigError> {
    match value {
        "true" => Ok(true),
        "false" => Ok(false),
        other => Err(ConfigError(format!(
            "the variable {name} is {other:?}; accepted are `true` and `false`"
        ))),
    }
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
    fn origins_are_none_any_or_listed() {
        let listed = |origins: &[&'static str]| {
            let origins = origins.iter().copied().map(HeaderValue::from_static);
            Ok(Origins::Listed(origins.collect()))
        };
        assert_eq!(Origins::parse(" "), Ok(Origins::None));
        assert_eq!(Origins::parse("*"), Ok(Origins::Any));
        assert_eq!(
            Origins::parse("https://a.example, http://localhost:8080 http://[::1]:3"),
            listed(&[
                "https://a.example",
                "http://localhost:8080",
                "http://[::1]:3"
            ])
        );
        for value in [
            "*, https://a.example",
            "https://a.example/",
            "https://A.example",
            "a.example",
            "https://",
            "://a",
            "null",
            "https://*.example",
            "https://a.example/\u{e9}",
        ] {
            let error = Origins::parse(value).unwrap_err().to_string();
            assert!(
                error.starts_with("the variable cors_origins has "),
                "{error}"
            );
        }
    }

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
