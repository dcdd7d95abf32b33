//! The PyPI package httpx-sse.

use std::path::Path;

use serde_json::json;

use crate::conformance::{Conformance, Endpoint};
use crate::install;
use crate::subscriber::{Subscriber, client_command};

fn subscribe(python: &Path, endpoint: &Endpoint) -> Subscriber {
    let argument = json!({"events": endpoint.events});
    let mut command = client_command(python);
    command.args(["-c", include_str!("httpx_sse.py")]);
    command.arg(argument.to_string());
    Subscriber::process(command)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn httpx_sse_receives_every_event_once() {
    if let Some(python) = install::python("httpx-sse").await {
        Conformance::new()
            .check(|endpoint| subscribe(&python, endpoint))
            .await;
    }
}
