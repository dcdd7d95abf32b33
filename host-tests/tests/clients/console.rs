//! The console page, in a browser. Whatever it complains of on the browser's console, every request of it that
//! fails, and every violation of its content security policy fails a test.
//!
//! With `RUNNEL_PICTURES` the tests leave pictures of the page in that folder.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use crate::install;
use crate::leash::{Process, leashed};
use crate::say;
use crate::server::{Host, Server};

const SCENARIOS: &str = concat!(
    include_str!("browser.js"),
    include_str!("console/visitor.js"),
    include_str!("console/publishing.js"),
    include_str!("console/streaming.js"),
    include_str!("console/looks.js"),
    include_str!("console/play.js"),
);

/// How long a scenario may take.
const PATIENCE: Duration = Duration::from_secs(180);

const SUBSCRIBER_TOKEN: &str = "subscribers-token";

/// Heartbeats that come soon, and a reconnection time that is long enough to be seen.
const SETTINGS: [&str; 2] = ["heartbeat_seconds=1", "retry_ms=300"];

const OPEN: &[&str] = &[];
const PRIVATE: &[&str] = &["subscribe_auth=token", "subscribe_token=subscribers-token"];

/// What a scenario tells.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Told {
    Say(String),
    Ask(Wish),
}

/// What a scenario cannot do itself.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Wish {
    Restart,
}

/// Plays a scenario against the server that the environment names, or a host of its own.
async fn plays(scenario: &str) {
    match Server::named() {
        Some(server) => play(scenario, server, None).await,
        None => plays_with(scenario, OPEN).await,
    }
}

/// Plays a scenario that needs a host of its own, with these settings.
async fn plays_with(scenario: &str, settings: &[&str]) {
    if Server::named().is_some() {
        return say(&format!(
            "skipped: console {scenario} (it needs a server of its own, and RUNNEL_URL names one)"
        ));
    }
    let host = Host::start_with(&[&SETTINGS, settings].concat()).await;
    play(scenario, host.server.clone(), Some(host)).await;
}

async fn play(scenario: &str, server: Server, mut host: Option<Host>) {
    let test = format!("console {scenario}");
    let Some(modules) = install::node_modules(&test).await else {
        return;
    };
    let Some(chromium) = install::chromium(&test) else {
        return;
    };
    let argument = json!({
        "executable": chromium,
        "origin": format!("http://{}", server.authority),
        "token": server.token,
        "subscriberToken": SUBSCRIBER_TOKEN,
        "scenario": scenario,
        "pictures": std::env::var_os("RUNNEL_PICTURES").map(std::path::PathBuf::from),
    });
    let temporary = tempfile::tempdir().unwrap();
    let mut command = leashed("node");
    command.args(["--input-type=module", "--eval", SCENARIOS]);
    command.arg(argument.to_string()).current_dir(&modules);
    command.env("TMPDIR", temporary.path());
    let (process, mut lines) = Process::start(command);
    let playing = async {
        while let Ok(Some(line)) = lines.next_line().await {
            match serde_json::from_str(&line) {
                Ok(Told::Say(words)) => say(&words),
                Ok(Told::Ask(Wish::Restart)) => {
                    let running = host.take().unwrap();
                    host = Some(running.kill_and_restart().await);
                }
                Err(_) => say(&line),
            }
        }
    };
    let ended = timeout(PATIENCE, playing).await;
    let (status, complaints) = process.kill().await;
    assert!(
        ended.is_ok() && status.success(),
        "{scenario}: {status}: {complaints}"
    );
}

/// A test that plays a scenario.
macro_rules! scenarios {
    ($($(#[$attribute:meta])* $name:ident $play:ident($($argument:expr),*);)*) => {$(
        $(#[$attribute])*
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            $play($($argument),*).await;
        }
    )*};
}

scenarios! {
    a_first_event_flows_after_the_token_and_one_click plays("first_event");
    every_template_can_be_published_and_is_seen plays("templates");
    what_is_in_an_event_is_shown_as_text_and_never_as_markup plays("markup");
    a_wrong_token_is_told_of_where_it_was_typed plays("wrong_token");
    a_server_that_asks_subscribers_for_a_token_gets_the_one_that_was_typed plays_with("subscriber_token", PRIVATE);
    events_of_several_channels_are_told_apart_and_have_their_own_ids plays("several_channels");
    a_cut_leaves_a_hole_that_the_replay_fills_with_exact_ids plays("cut_and_replay");
    a_purge_during_a_cut_is_a_gap_and_not_a_filled_hole plays("purge_while_cut");
    a_server_that_is_started_again_is_waited_for_and_resumed_from plays_with("restart", OPEN);
    ten_thousand_events_are_counted_and_do_not_fill_the_page plays("burst");
    light_and_dark_break_no_rule_of_accessibility plays_with("appearance", OPEN);
    a_phone_shows_everything_without_scrolling_sideways plays("narrow");
    all_can_be_done_with_the_keyboard plays("keyboard");
}
