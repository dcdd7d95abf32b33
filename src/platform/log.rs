//! Lines for the operator, on standard error: one JSON object each. They have no data of events, no
//! tokens, and nothing that a client made up but the names of channels.

use std::cell::Cell;
use std::fmt::Display;
use std::io::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::{clock, config};
use crate::core::channel::Channel;

/// What is told; each level tells what those before it tell, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing.
    Off,
    /// What an operator has to see to.
    Error,
    /// What clients lose by: gaps, stalls, refusals for overload.
    Warn,
    /// The life of each event stream, and what was changed in channels.
    Info,
    /// Each publish as well.
    Debug,
}

/// What a line tells beside its time and level; what does not apply is left out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Line<'a> {
    /// What happened.
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
    /// Why it happened: a value of the label `reason` or `outcome` of the metrics.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The status of the response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The id of the first event appended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
    /// The id of the last event, or where a stream resumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// How many events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
    /// How many of them were delivered before the subscriber had caught up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replayed: Option<u64>,
    /// How many bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How many heartbeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heartbeats: Option<u64>,
    /// How long it took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// What went wrong, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[derive(Serialize)]
struct Dated<'a> {
    time: String,
    level: Level,
    #[serde(flatten)]
    line: &'a Line<'a>,
}

thread_local! {
    static LEVEL: Cell<Option<Level>> = const { Cell::new(None) };
}

/// Learns the level from the configuration; until then it is [`Level::Info`].
///
/// # Errors
/// When the variable is missing or not accepted.
pub async fn configure() -> Result<(), config::ConfigError> {
    if LEVEL.get().is_none() {
        LEVEL.set(Some(config::log_level().await?));
    }
    Ok(())
}

/// Writes a line, if its level is asked for.
pub fn write(level: Level, line: &Line<'_>) {
    if level > LEVEL.get().unwrap_or(Level::Info) {
        return;
    }
    let time = UNIX_EPOCH.checked_add(Duration::from_millis(clock::now().wall.0));
    let time = humantime::format_rfc3339_millis(time.unwrap_or(UNIX_EPOCH)).to_string();
    let mut bytes = serde_json::to_vec(&Dated { time, level, line }).unwrap_or_default();
    bytes.push(b'\n');
    // In one write, so that the lines of instances do not mix. `eprintln` would panic where the host
    // cannot take the line, as on a full disk.
    _ = std::io::stderr().write_all(&bytes);
}

/// Reports that something went wrong, and why; with a channel if it has to do with one.
pub fn error(event: &'static str, channel: Option<&Channel>, why: impl Display) {
    let line = Line {
        event,
        channel: channel.map(Channel::as_str),
        error: Some(why.to_string()),
        ..Line::default()
    };
    write(Level::Error, &line);
}
