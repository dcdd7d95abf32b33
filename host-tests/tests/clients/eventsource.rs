//! The npm package eventsource.

use std::path::Path;

use serde_json::json;

use crate::events;
use crate::install;
use crate::leash::leashed;
use crate::subscriber::Subscriber;
use crate::trial::{Invitation, Trial, restarts};

fn subscribe(modules: &Path, invitation: &Invitation) -> Subscriber {
    let argument = json!({
        "events": invitation.events,
        "types": events::types(),
    });
    let mut command = leashed("node");
    command.args([
        "--input-type=module",
        "--eval",
        include_str!("eventsource.js"),
    ]);
    command.arg(argument.to_string()).current_dir(modules);
    Subscriber::process(command)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eventsource_gets_every_event_once_over_cuts_and_a_kill_and_is_stopped_by_204() {
    if let Some(modules) = install::node_modules("eventsource").await {
        Trial::new()
            .of(|invitation| subscribe(&modules, invitation))
            .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eventsource_follows_a_server_that_is_killed_and_started_again_on_its_port() {
    if let Some(modules) = install::node_modules("eventsource, no proxy").await {
        restarts("eventsource, no proxy", |invitation| {
            subscribe(&modules, invitation)
        })
        .await;
    }
}
