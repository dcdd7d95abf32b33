//! The PyPI package httpx-sse.

use std::path::Path;

use serde_json::json;

use crate::install;
use crate::leash::leashed;
use crate::subscriber::Subscriber;
use crate::trial::{Invitation, Trial};

fn subscribe(python: &Path, invitation: &Invitation) -> Subscriber {
    let argument = json!({"events": invitation.events});
    let mut command = leashed(python);
    command.args(["-c", include_str!("httpx_sse.py")]);
    command.arg(argument.to_string());
    Subscriber::process(command)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn httpx_sse_gets_every_event_once_over_cuts_and_a_kill() {
    if let Some(python) = install::python("httpx-sse").await {
        Trial::new()
            .of(|invitation| subscribe(&python, invitation))
            .await;
    }
}
