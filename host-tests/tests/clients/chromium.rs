//! The `EventSource` of a browser.

use std::path::Path;

use serde_json::{Value, json};

use crate::conformance::{Conformance, Endpoint, assert_follows_restarts};
use crate::events;
use crate::install;
use crate::subscriber::{Subscriber, client_command};

const SCRIPT: &str = concat!(include_str!("browser.js"), include_str!("chromium.js"));

/// Subscribes in a page in Chromium, with one of the clients in chromium.js.
pub(crate) fn subscribe(
    modules: &Path,
    chromium: &Path,
    client: Value,
    endpoint: &Endpoint,
) -> Subscriber {
    let argument = json!({
        "executable": chromium,
        "page": endpoint.page,
        "events": endpoint.events,
        "types": events::types(),
        "client": client,
    });
    let mut command = client_command("node");
    command.args(["--input-type=module", "--eval", SCRIPT]);
    command.arg(argument.to_string()).current_dir(modules);
    Subscriber::process(command)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chromium_receives_every_event_once_and_is_stopped_by_204() {
    let Some(modules) = install::node_modules("Chromium").await else {
        return;
    };
    let Some(chromium) = install::chromium("Chromium") else {
        return;
    };
    let client = json!({"name": "native"});
    Conformance::new()
        .check(|endpoint| subscribe(&modules, &chromium, client, endpoint))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chromium_resumes_when_the_server_is_killed_and_restarted() {
    let Some(modules) = install::node_modules("Chromium, no proxy").await else {
        return;
    };
    let Some(chromium) = install::chromium("Chromium, no proxy") else {
        return;
    };
    let client = json!({"name": "native"});
    assert_follows_restarts("Chromium, no proxy", |endpoint| {
        subscribe(&modules, &chromium, client, endpoint)
    })
    .await;
}
