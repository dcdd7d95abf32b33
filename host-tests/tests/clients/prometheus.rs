//! What Prometheus makes of `/metrics`: the parsers of its official Python client, and promtool, which
//! also checks the files in ops/.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::join_all;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::install;
use crate::say;
use crate::server::{Host, Server};
use crate::stream::Stream;

/// A host that tells what it has counted each second; `None` if another server is named, for it has
/// counted more than a test has done.
async fn host(test: &str) -> Option<Host> {
    if Server::named().is_some() {
        say(&format!("skipped: RUNNEL_URL names a server ({test})"));
        return None;
    }
    let variables = ["metrics_interval_seconds=1", "max_stream_seconds=300"];
    Some(Host::start_with(&variables).await)
}

/// The metrics in a format, in a file.
async fn scrape(server: &Server, accept: &str, folder: &TempDir) -> PathBuf {
    let request = server.get("/metrics").header("accept", accept);
    let answer = request.send().await.expect_status(200);
    let file = folder.path().join("metrics");
    std::fs::write(&file, answer.body).unwrap();
    file
}

/// What the official parser of a format understands of a file.
async fn understood(python: &Path, format: &str, file: &Path) -> Value {
    let script = include_str!("prometheus.py");
    let file = file.to_str().unwrap();
    let printed = install::run(python, &["-c", script, format, file], None).await;
    serde_json::from_str(&printed.unwrap_or_else(|why| panic!("{format}: {why}"))).unwrap()
}

fn path(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops");
    root.join(name)
}

/// Runs promtool, which must find no fault.
async fn promtool(arguments: &[&str], file: &Path) {
    let arguments = [arguments, &[file.to_str().unwrap()]].concat();
    let said = install::run("promtool", &arguments, None).await;
    said.unwrap_or_else(|why| panic!("promtool {arguments:?}: {why}"));
}

/// Publishes and subscribes, several at a time: 42 events in 33 requests, a rejected one, and 12
/// replays of all.
async fn act(server: &Server) {
    let publish = |kind: &'static str, body: String| {
        let request = server.request("POST", "/publish/prometheus").authorized();
        request.body(kind, body).send()
    };
    for _ in 0..4 {
        let events =
            join_all((0..8).map(|number| publish("text/plain", format!("event {number}"))));
        for answer in events.await {
            answer.expect_status(201);
        }
    }
    let batch = "{\"data\":\"of a batch\"}\n".repeat(10);
    publish("application/x-ndjson", batch)
        .await
        .expect_status(201);
    publish("application/json", "{".to_owned())
        .await
        .expect_status(400);
    let replay = "/events/prometheus?last_event_id=earliest&live=false";
    let replays = (0..12).map(|_| async {
        let stream = Stream::of(server.get(replay).open().await);
        assert_eq!(stream.rest().await.len(), 42);
    });
    join_all(replays).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_parsers_read_both_formats_and_find_what_was_done() {
    let Some(python) = install::python("prometheus_client").await else {
        return;
    };
    let Some(host) = host("prometheus_client").await else {
        return;
    };
    act(&host.server).await;
    let folder = tempfile::tempdir().unwrap();
    for (format, accept) in [
        ("openmetrics", "application/openmetrics-text"),
        ("text", "text/plain"),
    ] {
        let mut metrics = Value::Null;
        for _ in 0..30 {
            let file = scrape(&host.server, accept, &folder).await;
            metrics = understood(&python, format, &file).await;
            let samples = &metrics["samples"];
            let is_whole = samples["runnel_streams_opened_total{}"] == 12.0
                && samples["runnel_publish_seconds_count{}"] == 34.0
                && samples["runnel_streams_open{}"] == 0.0;
            if is_whole {
                break;
            }
            sleep(Duration::from_secs(1)).await;
        }
        let samples = &metrics["samples"];
        for (series, value) in [
            ("runnel_build_info{version=\"0.1.0\"}", 1),
            ("runnel_publish_total{outcome=\"created\"}", 33),
            ("runnel_publish_total{outcome=\"rejected\"}", 1),
            ("runnel_rejected_total{reason=\"body\"}", 1),
            ("runnel_publish_seconds_count{}", 34),
            ("runnel_publish_seconds_bucket{le=\"+Inf\"}", 34),
            ("runnel_published_events_total{}", 42),
            ("runnel_published_bytes_total{}", 32 * 7 + 10 * 10),
            ("runnel_commit_events_sum{}", 42),
            ("runnel_streams_opened_total{}", 12),
            ("runnel_streams_open{}", 0),
            ("runnel_streams_ended_total{reason=\"finished\"}", 12),
            ("runnel_stream_duration_seconds_count{}", 12),
            ("runnel_delivered_events_total{}", 12 * 42),
            ("runnel_replayed_events_total{}", 12 * 42),
        ] {
            assert_eq!(samples[series], f64::from(value), "{format}: {series}");
        }
        // No series is there twice.
        let count = samples.as_object().unwrap().len();
        assert_eq!(metrics["count"], count, "{format}");
        assert_eq!(metrics["helped"], true, "{format}: some have no help");
        assert_eq!(metrics["types"]["runnel_streams_open"], "gauge");
        assert_eq!(metrics["types"]["runnel_publish"], "counter", "{format}");
        assert_eq!(metrics["types"]["runnel_publish_seconds"], "histogram");
        if format == "openmetrics" {
            assert_eq!(metrics["units"]["runnel_publish_seconds"], "seconds");
            assert_eq!(metrics["units"]["runnel_published_bytes"], "bytes");
        }
        let unknown = metrics["types"].as_object().unwrap().iter();
        let unknown: Vec<_> = unknown.filter(|(_, kind)| *kind == "unknown").collect();
        assert!(unknown.is_empty(), "{format}: {unknown:?}");
    }
}

#[tokio::test]
async fn promtool_finds_no_fault_with_the_metrics() {
    if !install::promtool("metrics").await {
        return;
    }
    let Some(host) = host("promtool").await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = scrape(&host.server, "text/plain", &folder).await;
    let command = format!("promtool check metrics < {}", file.to_str().unwrap());
    let said = install::run("sh", &["-c", &command], None).await;
    said.unwrap_or_else(|why| panic!("promtool check metrics: {why}"));
}

#[tokio::test]
async fn promtool_accepts_the_configuration_and_the_alerts_and_sees_each_fire() {
    if install::promtool("ops/prometheus").await {
        promtool(&["check", "config"], &path("prometheus/prometheus.yml")).await;
        promtool(&["check", "rules"], &path("prometheus/alerts.yml")).await;
        promtool(&["test", "rules"], &path("prometheus/alerts_test.yml")).await;
    }
}

#[tokio::test]
async fn promtool_accepts_every_expression_of_the_dashboard() {
    if !install::promtool("ops/grafana").await {
        return;
    }
    let dashboard = std::fs::read_to_string(path("grafana/runnel.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array());
    let mut rules = "groups:\n  - name: dashboard\n    rules:\n".to_owned();
    for (number, target) in targets.flatten().enumerate() {
        let expression = target["expr"].as_str().unwrap();
        let expression = expression.replace("$__rate_interval", "5m");
        assert!(
            !expression.replace("$job", "").contains('$'),
            "{expression}"
        );
        let expression = Value::from(expression);
        let rule = format!("      - {{record: panel:{number}, expr: {expression}}}\n");
        rules.write_str(&rule).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dashboard.yml");
    std::fs::write(&file, rules).unwrap();
    promtool(&["check", "rules"], &file).await;
}
