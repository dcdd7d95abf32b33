//! The npm package @microsoft/fetch-event-source, which needs a browser.
//!
//! It has three peculiarities that matter to a server. It takes an id for had when it has read the
//! id's line, not when it has handed on the event: cut in between, it skips the event. It does not
//! tell an empty first line of data from none. And it decodes each line by itself, so that a byte
//! order mark at the start of a line is gone.

use serde_json::json;

use crate::chromium::subscribe;
use crate::install;
use crate::trial::Trial;

/// Data as the library hands it on.
fn passed_on(data: &str) -> String {
    let lines = data
        .split('\n')
        .map(|line| line.strip_prefix('\u{feff}').unwrap_or(line));
    let lines: Vec<_> = lines.skip_while(|line| line.is_empty()).collect();
    lines.join("\n")
}

async fn get_every_event(trial: Trial, guarded: bool) {
    let Some(modules) = install::node_modules("fetch-event-source").await else {
        return;
    };
    let Some(chromium) = install::chromium("fetch-event-source") else {
        return;
    };
    let client = json!({"name": "library", "guarded": guarded});
    trial
        .with_modules(modules.clone())
        .with_data_passed_on(passed_on)
        .of(|invitation| subscribe(&modules, &chromium, client, invitation))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_event_source_gets_every_event_once_if_it_is_cut_between_events() {
    get_every_event(Trial::new().cut_between_events(), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_event_source_gets_every_event_once_if_its_fetch_sends_the_id_it_had() {
    get_every_event(Trial::new(), true).await;
}
