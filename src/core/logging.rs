//! The operator's log: one JSON object a line.
//!
//! Lines contain no event data and no tokens. Channel names are the only text that clients choose.

use std::cell::Cell;
use std::fmt::{self, Display};
use std::rc::Rc;
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;
use thiserror::Error;

use super::channel::Channel;
use super::environment::Environment;
use super::metrics::{Counter, Metrics};

/// The severity of a line. A configured level includes the levels before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing is logged.
    Off,
    /// Failures that need an operator's attention.
    Error,
    /// Conditions that affect clients: gaps, stalls, rejections under overload.
    Warn,
    /// The start and end of each event stream, rejected requests, and changes of channels.
    Info,
    /// Every publish as well.
    Debug,
}

/// A text that is no level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("expected `off`, `error`, `warn`, `info` or `debug`")]
pub struct UnknownLevel;

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        match text {
            "off" => Ok(Self::Off),
            "error" => Ok(Self::Error),
            "warn" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            _ => Err(UnknownLevel),
        }
    }
}

/// The fields of a line besides its time and level. Fields that do not apply are left out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Line<'a> {
    /// The name of the event.
    pub event: &'static str,
    /// The channel, or several with commas between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<&'a str>,
    /// The id of the event stream, 16 hexadecimal digits: its span in the trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// The id of the trace, 32 hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// The reason: a value of the label `reason` or `outcome` of the metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The status of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The id of the first event appended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// The id of the last event, or the position at which a stream resumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// The number of events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
    /// The number of them that were delivered before the subscriber had caught up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replayed: Option<u64>,
    /// The number of bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The number of heartbeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeats: Option<u64>,
    /// The duration in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// The error, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Serialize)]
struct Entry<'a> {
    time: String,
    level: Level,
    #[serde(flatten)]
    line: &'a Line<'a>,
}

/// The logger of an instance. Clones are handles to the same logger.
#[derive(Clone)]
pub struct Logger<E> {
    env: E,
    metrics: Metrics,
    level: Rc<Cell<Level>>,
}

impl<E> fmt::Debug for Logger<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logger")
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

impl<E: Environment> Logger<E> {
    /// Creates a logger with [`Level::Info`], which holds until the configuration is known. The lines that
    /// the host does not take are counted in `metrics`.
    #[must_use]
    pub fn new(env: E, metrics: Metrics) -> Self {
        Self {
            env,
            metrics,
            level: Rc::new(Cell::new(Level::Info)),
        }
    }

    /// Sets the level.
    pub fn set_level(&self, level: Level) {
        self.level.set(level);
    }

    /// Writes a line, unless its level is beyond the configured one.
    pub fn write(&self, level: Level, line: &Line<'_>) {
        if level > self.level.get() {
            return;
        }
        let time = UNIX_EPOCH.checked_add(Duration::from_millis(self.env.clock().wall.0));
        let time = humantime::format_rfc3339_millis(time.unwrap_or(UNIX_EPOCH)).to_string();
        let entry = Entry { time, level, line };
        let mut bytes = serde_json::to_vec(&entry).unwrap_or_default();
        bytes.push(b'\n');
        if self.env.write_log_line(&bytes).is_err() {
            self.metrics.add(Counter::LogLinesDropped, 1);
        }
    }

    /// Reports a failure, with the channel if it concerns one.
    pub fn error(&self, event: &'static str, channel: Option<&Channel>, error: impl Display) {
        let line = Line {
            event,
            channel: channel.map(Channel::as_str),
            error: Some(error.to_string()),
            ..Line::default()
        };
        self.write(Level::Error, &line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulation::{Conditions, Model, World};

    #[test]
    fn levels_are_ordered_and_parsed_by_their_exact_names() {
        let names = ["off", "error", "warn", "info", "debug"];
        let levels = names.map(|name| name.parse::<Level>().unwrap());
        assert!(levels.is_sorted());
        for text in ["", "INFO", "trace"] {
            assert_eq!(text.parse::<Level>(), Err(UnknownLevel), "{text}");
        }
    }

    #[test]
    fn a_line_is_one_json_object_with_the_fields_that_apply() {
        let world = World::new(Model::Sound, Conditions::CALM, fastrand::Rng::with_seed(1));
        let logger = Logger::new(world.instance(), Metrics::new(1));
        let channel: Channel = "orders".parse().unwrap();
        logger.error("read_failed", Some(&channel), "no answer");
        logger.write(Level::Debug, &Line::default());
        logger.set_level(Level::Off);
        logger.error("read_failed", None, "no answer");
        let expected = r#"{"time":"2023-11-14T22:30:00.000Z","level":"error","event":"read_failed","channel":"orders","error":"no answer"}"#;
        assert_eq!(world.log(), [expected]);
    }
}
