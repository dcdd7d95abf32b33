//! A session at a terminal: a server, a working directory, and the streams and epoch so far.

use std::fs;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use runnel_testing::{ChildProcess, HostProcess};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::expected::{SAMPLE_EPOCH, has_lines, last_epoch};

/// The address that the pages use.
const SAMPLE_URL: &str = "http://127.0.0.1:3000";

/// Bounds the run of a block.
const BLOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// Bounds the wait of a background stream for the lines that are expected of it.
const STREAM_TIMEOUT: Duration = Duration::from_secs(60);

/// Makes curl fail on HTTP errors, bounds its run, and keeps it from using proxies.
const CURL_CONFIG: &str = "fail-with-body\nmax-time = 50\nsilent\nshow-error\nnoproxy = \"*\"\n";

/// A `curl -N` in the background. Dropping it ends curl.
struct Stream {
    received: Arc<Mutex<String>>,
    /// Runs until curl exits.
    receiving: JoinHandle<()>,
    _process: ChildProcess,
}

/// A server and everything that the blocks of a page share.
pub(crate) struct Session {
    host: HostProcess,
    folder: TempDir,
    /// The epoch of the event ID seen last.
    epoch: Option<String>,
    streams: Vec<Stream>,
}

impl Session {
    /// Starts a server with these variables, each as `name=value`, beside the pages' publish token.
    pub(crate) async fn start(variables: &[String]) -> Self {
        let token = ["publish_token=secret"].into_iter();
        let variables: Vec<_> = token.chain(variables.iter().map(String::as_str)).collect();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(".curlrc"), CURL_CONFIG).unwrap();
        Self {
            host: HostProcess::start_temporary(&variables),
            folder,
            epoch: None,
            streams: vec![],
        }
    }

    /// Saves a file in the folder.
    pub(crate) fn save(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Runs a block to its end and returns its standard output.
    pub(crate) async fn run(&mut self, block: &str) -> Result<String> {
        let mut command = Command::new("sh");
        command.arg("-e").arg("-c").arg(self.adapt(block));
        self.set_directory(command.as_std_mut());
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(BLOCK_TIMEOUT, command.output()).await;
        let output = output.context("the block does not end")??;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{}: {text}{errors}", output.status);
        if let Some(epoch) = last_epoch(&text) {
            self.epoch = Some(epoch.to_owned());
        }
        Ok(text)
    }

    /// Starts a block, one `curl -N`, in the background and waits for its first line.
    pub(crate) async fn stream(&mut self, block: &str) -> Result<()> {
        let mut command = ChildProcess::command("sh");
        command.arg("-c").arg(format!("exec {}", self.adapt(block)));
        self.set_directory(&mut command);
        let (sender, mut lines) = mpsc::unbounded_channel();
        let process = ChildProcess::spawn(command, move |line| _ = sender.send(line));
        let received = Arc::new(Mutex::new(String::new()));
        let into = received.clone();
        let receiving = tokio::spawn(async move {
            while let Some(line) = lines.recv().await {
                let mut text = into.lock().unwrap();
                text.push_str(&line);
                text.push('\n');
            }
        });
        self.streams.push(Stream {
            received,
            receiving,
            _process: process,
        });
        self.receive(": runnel\n", |text, start| text.starts_with(start))
            .await
    }

    /// Waits until the last stream has received these lines.
    pub(crate) async fn receive_lines(&self, expected: &str) -> Result<()> {
        self.receive(expected, has_lines).await
    }

    async fn receive(&self, expected: &str, is_met: fn(&str, &str) -> bool) -> Result<()> {
        let stream = self
            .streams
            .last()
            .context("there is no `curl -N` before")?;
        let until = Instant::now() + STREAM_TIMEOUT;
        loop {
            let is_over = stream.receiving.is_finished() || Instant::now() > until;
            let received = stream.received.lock().unwrap().clone();
            if is_met(&received, expected) {
                return Ok(());
            }
            ensure!(!is_over, "expected:\n{expected}\nreceived:\n{received}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Replaces the samples of the page by this server's address and the epoch seen last.
    fn adapt(&self, block: &str) -> String {
        let url = format!("http://{}", self.host.server.authority);
        let block = block.replace(SAMPLE_URL, &url);
        match &self.epoch {
            Some(epoch) => block.replace(SAMPLE_EPOCH, epoch),
            None => block,
        }
    }

    /// Runs the command in the folder, with its `.curlrc`.
    fn set_directory(&self, command: &mut std::process::Command) {
        let folder = self.folder.path();
        command.current_dir(folder).env("CURL_HOME", folder);
    }
}
