//! `curl -N` in a loop that resumes.

use std::process::Stdio;
use std::time::Duration;

use eventsource_stream::Eventsource as _;
use futures::StreamExt as _;
use futures::stream::unfold;
use tokio::io::{AsyncReadExt as _, BufReader};
use tokio::process::{ChildStdout, Command};

use crate::conformance::Conformance;
use crate::events::Event;
use crate::install;
use crate::subscriber::{Report, Reporter, Subscriber};

const RECONNECTION_TIME: Duration = Duration::from_millis(50);

/// Runs curl again and again, each time after the last event that it received.
async fn subscribe(version: String, events: String, reporter: Reporter) {
    reporter.report(Report::Client(format!("curl {version}")));
    let mut last_id = None;
    loop {
        let mut command = Command::new("curl");
        command.args(["-N", "--silent", "--noproxy", "*"]);
        command.args(["--write-out", "%{stderr}%{http_code}"]);
        if let Some(id) = &last_id {
            command.arg("--header").arg(format!("last-event-id: {id}"));
        }
        command.arg(&events).kill_on_drop(true);
        let mut curl = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        reporter.report(Report::Open);
        read(curl.stdout.take().unwrap(), &mut last_id, &reporter).await;
        let output = curl.wait_with_output().await.unwrap();
        if output.stderr == b"204" {
            let reason = "curl prints 204 and nothing else";
            return reporter.report(Report::Stopped(reason.to_owned()));
        }
        tokio::time::sleep(RECONNECTION_TIME).await;
    }
}

/// Reports the events in the output of curl.
async fn read(output: ChildStdout, last_id: &mut Option<String>, reporter: &Reporter) {
    let chunks = unfold(BufReader::new(output), |mut output| async {
        let mut chunk = vec![0; 16 * 1024];
        let read = output.read(&mut chunk).await;
        let length = *read.as_ref().unwrap_or(&0);
        chunk.truncate(length);
        (length > 0).then_some((read.map(|_| chunk), output))
    });
    let mut parsed = Box::pin(chunks).eventsource();
    while let Some(Ok(event)) = parsed.next().await {
        *last_id = Some(event.id.clone());
        reporter.report(Report::Event(Event {
            id: event.id,
            kind: event.event,
            data: event.data,
        }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_in_a_loop_receives_every_event_once() {
    if let Some(version) = install::curl("curl").await {
        Conformance::new()
            .check(|endpoint| {
                let events = endpoint.events.clone();
                Subscriber::within(|reporter| subscribe(version, events, reporter))
            })
            .await;
    }
}
