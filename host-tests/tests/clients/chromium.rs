//! The `EventSource` of a browser.

use std::path::Path;

use serde_json::{Value, json};

use crate::events;
use crate::install;
use crate::leash::leashed;
use crate::subscriber::Subscriber;
use crate::trial::{Invitation, Trial, restarts};

const SCRIPT: &str = concat!(include_str!("browser.js"), include_str!("chromium.js"));

/// A page in Chromium that subscribes with a client of chromium.js.
pub(crate) fn subscribe(
    modules: &Path,
    chromium: &Path,
    client: Value,
    invitation: &Invitation,
) -> Subscriber {
    let argument = json!({
        "executable": chromium,
        "page": invitation.page,
        "events": invitation.events,
        "types": events::types(),
        "client": client,
    });
    let mut command = leashed("node");
    command.args(["--input-type=module", "--eval", SCRIPT]);
    command.arg(argument.to_string()).current_dir(modules);
    Subscriber::process(command)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chromium_gets_every_event_once_over_cuts_and_a_kill_and_is_stopped_by_204() {
    let Some(modules) = install::node_modules("Chromium").await else {
        return;
    };
    let Some(chromium) = install::chromium("Chromium") else {
        return;
    };
    let client = json!({"name": "native"});
    Trial::new()
        .of(|invitation| subscribe(&modules, &chromium, client, invitation))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chromium_follows_a_server_that_is_killed_and_started_again_on_its_port() {
    let Some(modules) = install::node_modules("Chromium, no proxy").await else {
        return;
    };
    let Some(chromium) = install::chromium("Chromium, no proxy") else {
        return;
    };
    let client = json!({"name": "native"});
    restarts("Chromium, no proxy", |invitation| {
        subscribe(&modules, &chromium, client, invitation)
    })
    .await;
}
