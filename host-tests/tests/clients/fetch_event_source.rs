//! The npm package @microsoft/fetch-event-source, which needs a browser.
//!
//! It deviates from the standard in three ways. It remembers an id as soon as it has read the line of the
//! id, not when it dispatches the event: cut in between, it skips the event. It drops empty lines at the
//! start of data. And it decodes each line separately, which removes a byte order mark at the start
//! of a line.

use serde_json::json;

use crate::chromium::subscribe;
use crate::conformance::Conformance;
use crate::install;

/// Returns data as the library dispatches it.
fn dispatched(data: &str) -> String {
    let lines = data
        .split('\n')
        .map(|line| line.strip_prefix('\u{feff}').unwrap_or(line));
    let lines: Vec<_> = lines.skip_while(|line| line.is_empty()).collect();
    lines.join("\n")
}

async fn check(conformance: Conformance, sends_dispatched_id: bool) {
    let Some(modules) = install::node_modules("fetch-event-source").await else {
        return;
    };
    let Some(chromium) = install::chromium("fetch-event-source") else {
        return;
    };
    let client = json!({"name": "library", "sendsDispatchedId": sends_dispatched_id});
    conformance
        .with_modules(modules.clone())
        .with_data_changed_by(dispatched)
        .check(|endpoint| subscribe(&modules, &chromium, client, endpoint))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_event_source_receives_every_event_once_if_it_is_cut_between_events() {
    check(Conformance::new().cut_between_events(), false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetch_event_source_receives_every_event_once_if_its_fetch_sends_the_id_of_the_last_dispatched_event()
 {
    check(Conformance::new(), true).await;
}
