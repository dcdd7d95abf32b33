//! A client at work, and what it reports.

use std::fmt;

use serde::Deserialize;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::client::PATIENCE;
use crate::events::Event;
use crate::leash::Process;

/// What a client says. One that is a process writes it as a line of JSON.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Report {
    /// Its name and version.
    Client(String),
    /// A stream has begun.
    Open,
    Event(Event),
    /// It will not reconnect, for this reason.
    Stopped(String),
    /// It cannot go on.
    Failed(String),
}

/// All that a client has reported.
#[derive(Clone, Debug, Default)]
pub(crate) struct Account {
    pub(crate) client: String,
    pub(crate) opened: usize,
    /// Those that were published.
    pub(crate) events: Vec<Event>,
    /// Those of Runnel's own.
    pub(crate) signals: Vec<Event>,
    pub(crate) stopped: Option<String>,
    failed: Option<String>,
}

impl Account {
    fn take(&mut self, report: Report) {
        match report {
            Report::Client(name) => self.client = name,
            Report::Open => self.opened += 1,
            Report::Event(event) if event.is_signal() => self.signals.push(event),
            Report::Event(event) => self.events.push(event),
            Report::Stopped(why) => self.stopped = Some(why),
            Report::Failed(why) => self.failed = Some(why),
        }
    }
}

/// Briefly, for the message of a test that has failed.
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} has opened {} streams and got {} events, the last is {:?}; signals: {:?}; \
             stopped: {:?}; failed: {:?}",
            self.client,
            self.opened,
            self.events.len(),
            self.events.last().map(Event::brief),
            self.signals,
            self.stopped,
            self.failed
        )
    }
}

/// Where a client within the tests reports.
#[derive(Clone)]
pub(crate) struct Reporter(watch::Sender<Account>);

impl Reporter {
    pub(crate) fn say(&self, report: Report) {
        self.0.send_modify(|account| account.take(report));
    }

    fn has_stopped(&self) -> bool {
        self.0.borrow().stopped.is_some()
    }
}

/// A running client. Dropped, it is ended.
pub(crate) struct Subscriber {
    account: watch::Receiver<Account>,
    task: AbortHandle,
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Subscriber {
    /// A client that is a [`leashed`](crate::leash::leashed) program.
    pub(crate) fn process(mut command: Command) -> Self {
        let temporary = tempfile::tempdir().unwrap();
        command.env("TMPDIR", temporary.path());
        let (process, mut lines) = Process::start(command);
        Self::within(async move |reporter| {
            while let Ok(Some(line)) = lines.next_line().await {
                let report = serde_json::from_str(&line);
                reporter.say(report.unwrap_or(Report::Failed(line)));
            }
            let (status, complaints) = process.kill().await;
            drop(temporary);
            if !status.success() || !reporter.has_stopped() {
                reporter.say(Report::Failed(format!("{status}: {complaints}")));
            }
        })
    }

    /// A client within the tests.
    pub(crate) fn within<F: Future<Output = ()> + Send + 'static>(
        client: impl FnOnce(Reporter) -> F,
    ) -> Self {
        let (sender, account) = watch::channel(Account::default());
        let task = tokio::spawn(client(Reporter(sender)));
        Self {
            account,
            task: task.abort_handle(),
        }
    }

    pub(crate) fn account(&self) -> Account {
        self.account.borrow().clone()
    }

    /// Waits until the client has got so many events.
    pub(crate) async fn has(&self, events: usize) {
        let enough = |account: &Account| account.events.len() >= events;
        self.wait(&format!("{events} events"), enough).await;
    }

    /// Waits until the client has stopped for good and is gone; why it stopped.
    pub(crate) async fn stopped(&self) -> String {
        let stopped = |account: &Account| account.stopped.is_some();
        let why = self.wait("the end", stopped).await.stopped.unwrap();
        let mut account = self.account.clone();
        let gone = async { while account.changed().await.is_ok() {} };
        let gone = timeout(PATIENCE, gone).await;
        assert!(gone.is_ok(), "{why:?}, but the client does not end");
        why
    }

    async fn wait(&self, what: &str, arrived: impl Fn(&Account) -> bool) -> Account {
        let mut account = self.account.clone();
        let arriving = account.wait_for(|account| arrived(account) || account.failed.is_some());
        let waited = timeout(PATIENCE, arriving).await;
        let account = self.account();
        assert!(
            matches!(waited, Ok(Ok(_))) && arrived(&account),
            "{what} did not come: {account}"
        );
        account
    }
}
