//! A running client and its reports.

use std::ffi::OsStr;
use std::fmt;
use std::process::Command;

use runnel_testing::{ChildProcess, TIMEOUT, is_bookkeeping};
use serde::Deserialize;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::events::Event;

/// A report of a client. A child process prints it as a line of JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Report {
    /// Its name and version.
    Client(String),
    /// A stream has been opened.
    Open,
    Event(Event),
    /// The client will not reconnect, for this reason.
    Stopped(String),
    /// The client cannot continue, for this reason.
    Failed(String),
}

/// All reports of a client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transcript {
    pub(crate) client: String,
    pub(crate) opened: usize,
    /// The published events.
    pub(crate) events: Vec<Event>,
    /// The control events, but those that every stream has.
    pub(crate) control_events: Vec<Event>,
    pub(crate) stopped: Option<String>,
    failed: Option<String>,
}

impl Transcript {
    fn add(&mut self, report: Report) {
        match report {
            Report::Client(name) => self.client = name,
            Report::Open => self.opened += 1,
            Report::Event(event) if is_bookkeeping(&event.kind) => {}
            Report::Event(event) if event.is_control_event() => self.control_events.push(event),
            Report::Event(event) => self.events.push(event),
            Report::Stopped(reason) => self.stopped = Some(reason),
            Report::Failed(reason) => self.failed = Some(reason),
        }
    }
}

/// A summary for failure messages.
impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} opened {} streams and received {} events, the last is {:?}; control events: {:?}; \
             stopped: {:?}; failed: {:?}",
            self.client,
            self.opened,
            self.events.len(),
            self.events.last().map(Event::abbreviated),
            self.control_events,
            self.stopped,
            self.failed
        )
    }
}

/// Takes the reports of a client.
#[derive(Clone)]
pub(crate) struct Reporter(watch::Sender<Transcript>);

impl Reporter {
    pub(crate) fn report(&self, report: Report) {
        self.0.send_modify(|transcript| transcript.add(report));
    }

    fn has_stopped(&self) -> bool {
        self.0.borrow().stopped.is_some()
    }
}

/// A running client. Dropping it ends the client.
pub(crate) struct Subscriber {
    transcript: watch::Receiver<Transcript>,
    task: AbortHandle,
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Subscriber {
    /// Starts a client as a child process, with a [`client_command`].
    pub(crate) fn process(mut command: Command) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        command.env("TMPDIR", temporary.path());
        let (sender, mut lines) = mpsc::unbounded_channel();
        let process = ChildProcess::spawn(command, move |line| _ = sender.send(line));
        Self::within(async move |reporter| {
            while let Some(line) = lines.recv().await {
                let report = serde_json::from_str(&line);
                reporter.report(report.unwrap_or(Report::Failed(line)));
            }
            let (status, stderr) = process.kill();
            drop(temporary);
            if !status.success() || !reporter.has_stopped() {
                reporter.report(Report::Failed(format!("{status}: {stderr}")));
            }
        })
    }

    /// Starts a client as a task of the test.
    pub(crate) fn within<F: Future<Output = ()> + Send + 'static>(
        client: impl FnOnce(Reporter) -> F,
    ) -> Self {
        let (sender, transcript) = watch::channel(Transcript::default());
        let task = tokio::spawn(client(Reporter(sender)));
        Self {
            transcript,
            task: task.abort_handle(),
        }
    }

    /// Returns the reports so far.
    pub(crate) fn transcript(&self) -> Transcript {
        self.transcript.borrow().clone()
    }

    /// Waits until the client has received this number of events.
    pub(crate) async fn has_received(&self, events: usize) {
        self.wait_for(&format!("{events} events"), |transcript| {
            transcript.events.len() >= events
        })
        .await;
    }

    /// Waits until the client has stopped and ended. Returns the reason.
    pub(crate) async fn stopped(&self) -> String {
        let has_stopped = |transcript: &Transcript| transcript.stopped.is_some();
        let transcript = self.wait_for("a stop", has_stopped).await;
        let reason = transcript.stopped.unwrap();
        let mut transcript = self.transcript.clone();
        let ended = async { while transcript.changed().await.is_ok() {} };
        let ended = timeout(TIMEOUT, ended).await;
        assert!(ended.is_ok(), "{reason:?}, but the client does not end");
        reason
    }

    async fn wait_for(&self, name: &str, condition: impl Fn(&Transcript) -> bool) -> Transcript {
        let mut changes = self.transcript.clone();
        let reported =
            changes.wait_for(|transcript| condition(transcript) || transcript.failed.is_some());
        let reported = timeout(TIMEOUT, reported).await;
        let transcript = self.transcript();
        assert!(
            matches!(reported, Ok(Ok(_))) && condition(&transcript),
            "the client does not report {name}: {transcript}"
        );
        transcript
    }
}

/// Returns a command for a client in a child process, which must not use a proxy of this machine.
pub(crate) fn client_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = ChildProcess::command(program);
    for (name, _) in std::env::vars_os() {
        if name
            .to_string_lossy()
            .to_ascii_lowercase()
            .ends_with("_proxy")
        {
            command.env_remove(name);
        }
    }
    command
}
