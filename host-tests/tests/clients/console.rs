//! The console page in a browser. An error or warning on the browser's console, a failed request, or a
//! violation of the content security policy fails a test.
//!
//! With `RUNNEL_PICTURES`, the tests leave screenshots of the page in that folder.

use std::time::Duration;

use runnel_testing::{ChildProcess, HostProcess, MountedApplication, Server};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::install;
use crate::print_uncaptured;
use crate::subscriber::client_command;

const SCENARIOS: &str = concat!(
    include_str!("browser.js"),
    include_str!("console/page.js"),
    include_str!("console/publishing.js"),
    include_str!("console/streaming.js"),
    include_str!("console/visual.js"),
    include_str!("console/run.js"),
);

/// Bounds a scenario.
const TIMEOUT: Duration = Duration::from_secs(180);

const SUBSCRIBER_TOKEN: &str = "subscribers-token";

/// Frequent heartbeats, and a reconnection time that is long enough to be seen.
const VARIABLES: [&str; 2] = ["heartbeat_seconds=1", "retry_ms=300"];

const OPEN: &[&str] = &[];
const PRIVATE: &[&str] = &["subscribe_auth=token", "subscribe_token=subscribers-token"];

/// A message of a scenario to the test.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Message {
    Print(String),
    Request(Action),
}

/// An action that a scenario cannot carry out itself.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Restart,
}

/// Runs a scenario with the server that the environment names, or with a host of its own.
async fn run(scenario: &str) {
    match Server::from_env() {
        Some(server) => run_on(scenario, server, "", None).await,
        None => run_with(scenario, OPEN).await,
    }
}

/// Runs a scenario that needs a host of its own, with these variables.
async fn run_with(scenario: &str, variables: &[&str]) {
    if !can_start_a_server(scenario) {
        return;
    }
    let host = HostProcess::start_temporary(&[&VARIABLES, variables].concat());
    run_on(scenario, host.server.clone(), "", Some(host)).await;
}

/// Runs a scenario with a server that is mounted below the path of an application.
async fn run_mounted(scenario: &str) {
    if !can_start_a_server(scenario) {
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let application = MountedApplication::new();
    let host = HostProcess::start_mounted(&application, state.path(), &VARIABLES);
    let base = MountedApplication::BASE;
    run_on(scenario, host.server.clone(), base, Some(host)).await;
}

fn can_start_a_server(scenario: &str) -> bool {
    let is_external = Server::from_env().is_some();
    if is_external {
        print_uncaptured(&format!(
            "skipped: console {scenario} (it needs a server of its own, and RUNNEL_URL names one)"
        ));
    }
    !is_external
}

async fn run_on(scenario: &str, server: Server, base: &str, mut host: Option<HostProcess>) {
    let test = format!("console {scenario}");
    let Some(modules) = install::node_modules(&test).await else {
        return;
    };
    let Some(chromium) = install::chromium(&test) else {
        return;
    };
    let argument = json!({
        "executable": chromium,
        "origin": format!("http://{}{base}", server.authority),
        "token": server.token,
        "subscriberToken": SUBSCRIBER_TOKEN,
        "scenario": scenario,
        "screenshots": std::env::var_os("RUNNEL_PICTURES").map(std::path::PathBuf::from),
    });
    let temporary = tempfile::tempdir().unwrap();
    let mut command = client_command("node");
    command.args(["--input-type=module", "--eval", SCENARIOS]);
    command.arg(argument.to_string()).current_dir(&modules);
    command.env("TMPDIR", temporary.path());
    let (sender, mut lines) = mpsc::unbounded_channel();
    let process = ChildProcess::spawn(command, move |line| _ = sender.send(line));
    let running = async {
        while let Some(line) = lines.recv().await {
            match serde_json::from_str(&line) {
                Ok(Message::Print(text)) => print_uncaptured(&text),
                Ok(Message::Request(Action::Restart)) => {
                    host.as_mut().unwrap().kill_and_restart();
                }
                Err(_) => print_uncaptured(&line),
            }
        }
    };
    let ended = timeout(TIMEOUT, running).await;
    let (status, stderr) = process.kill();
    assert!(
        ended.is_ok() && status.success(),
        "{scenario}: {status}: {stderr}"
    );
}

/// Defines a test that runs a scenario.
macro_rules! scenarios {
    ($($(#[$attribute:meta])* $name:ident $run:ident($($argument:expr),*);)*) => {$(
        $(#[$attribute])*
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            $run($($argument),*).await;
        }
    )*};
}

scenarios! {
    a_first_event_is_published_with_a_token_and_one_click run("first_event");
    every_template_can_be_published_and_is_shown run("templates");
    event_data_is_shown_as_text_and_never_as_markup run("markup");
    a_wrong_token_is_reported_at_its_input run("wrong_token");
    the_subscriber_token_is_sent_to_a_server_that_requires_one run_with("subscriber_token", PRIVATE);
    a_console_below_the_base_path_requests_and_shows_only_urls_below_it run_mounted("mounted");
    a_stream_below_the_base_path_is_cut_and_replayed run_mounted("cut_and_replay");
    events_of_several_channels_are_distinguished_and_have_their_own_ids run("several_channels");
    the_events_missed_during_a_cut_are_replayed_with_exact_ids run("cut_and_replay");
    a_purge_during_a_cut_is_shown_as_a_gap run("purge_while_cut");
    the_stream_resumes_after_a_restart_of_the_server run_with("restart", OPEN);
    a_request_that_waits_for_one_of_six_connections_is_reported_with_the_cure run("six_connections");
    a_slow_response_is_reported_until_it_arrives run("slow_server");
    ten_thousand_events_are_counted_and_the_page_keeps_the_newest run("burst");
    the_light_and_dark_themes_are_accessible run_with("appearance", OPEN);
    a_narrow_screen_needs_no_horizontal_scrolling run("narrow");
    everything_can_be_done_with_the_keyboard run("keyboard");
}
