//! `curl -N`, in a loop that resumes.

use std::process::Stdio;
use std::time::Duration;

use eventsource_stream::Eventsource as _;
use futures::StreamExt as _;
use futures::stream::unfold;
use tokio::io::{AsyncReadExt as _, BufReader};
use tokio::process::{ChildStdout, Command};

use crate::events::Event;
use crate::install;
use crate::subscriber::{Report, Reporter, Subscriber};
use crate::trial::Trial;

const WAIT: Duration = Duration::from_millis(50);

/// Runs curl over and over, each time from where the last one ended.
async fn subscribe(version: String, events: String, reporter: Reporter) {
    reporter.say(Report::Client(format!("curl {version}")));
    let mut had = None;
    loop {
        let mut command = Command::new("curl");
        command.args(["-N", "--silent", "--noproxy", "*"]);
        command.args(["--write-out", "%{stderr}%{http_code}"]);
        if let Some(id) = &had {
            command.arg("--header").arg(format!("last-event-id: {id}"));
        }
        command.arg(&events).kill_on_drop(true);
        let mut curl = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        reporter.say(Report::Open);
        read(curl.stdout.take().unwrap(), &mut had, &reporter).await;
        let output = curl.wait_with_output().await.unwrap();
        if output.stderr == b"204" {
            let how = "curl says 204 and nothing else";
            return reporter.say(Report::Stopped(how.to_owned()));
        }
        tokio::time::sleep(WAIT).await;
    }
}

/// Takes the events out of what curl writes.
async fn read(output: ChildStdout, had: &mut Option<String>, reporter: &Reporter) {
    let chunks = unfold(BufReader::new(output), |mut output| async {
        let mut chunk = vec![0; 16 * 1024];
        let read = output.read(&mut chunk).await;
        let length = *read.as_ref().unwrap_or(&0);
        chunk.truncate(length);
        (length > 0).then_some((read.map(|_| chunk), output))
    });
    let mut parsed = Box::pin(chunks).eventsource();
    while let Some(Ok(event)) = parsed.next().await {
        *had = Some(event.id.clone());
        reporter.say(Report::Event(Event {
            id: event.id,
            kind: event.event,
            data: event.data,
        }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_in_a_loop_gets_every_event_once_over_cuts_and_a_kill() {
    if let Some(version) = install::curl("curl").await {
        Trial::new()
            .of(|invitation| {
                let events = invitation.events.clone();
                Subscriber::within(|reporter| subscribe(version, events, reporter))
            })
            .await;
    }
}
