//! The npm package eventsource.

use std::path::Path;

use serde_json::json;

use crate::conformance::{Conformance, Endpoint, assert_follows_restarts};
use crate::events;
use crate::install;
use crate::subscriber::{Subscriber, client_command};

fn subscribe(modules: &Path, endpoint: &Endpoint) -> Subscriber {
    let argument = json!({
        "events": endpoint.events,
        "types": events::types(),
    });
    let mut command = client_command("node");
    command.args([
        "--input-type=module",
        "--eval",
        include_str!("eventsource.js"),
    ]);
    command.arg(argument.to_string()).current_dir(modules);
    Subscriber::process(command)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eventsource_receives_every_event_once_and_is_stopped_by_204() {
    if let Some(modules) = install::node_modules("eventsource").await {
        Conformance::new()
            .check(|endpoint| subscribe(&modules, endpoint))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eventsource_resumes_when_the_server_is_killed_and_restarted() {
    if let Some(modules) = install::node_modules("eventsource, no proxy").await {
        assert_follows_restarts("eventsource, no proxy", |endpoint| {
            subscribe(&modules, endpoint)
        })
        .await;
    }
}
