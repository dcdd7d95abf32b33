//! `/metrics` and the files in ops/ with the tools of Prometheus: the parsers of its official Python
//! client, and promtool.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::join_all;
use runnel_testing::{HostProcess, Server, Stream};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::sleep;

use crate::install;
use crate::print_uncaptured;

/// Starts a host that writes its metrics each second. Returns `None` if the environment names a server,
/// which has counted more than this test.
fn host(test: &str) -> Option<HostProcess> {
    if Server::from_env().is_some() {
        print_uncaptured(&format!("skipped: RUNNEL_URL names a server ({test})"));
        return None;
    }
    let variables = ["metrics_interval_seconds=1", "max_stream_seconds=300"];
    Some(HostProcess::start_temporary(&variables))
}

/// Writes the metrics in a format to a file.
async fn scrape(server: &Server, accept: &str, folder: &TempDir) -> PathBuf {
    let request = server.get("/metrics").header("accept", accept);
    let response = request.send().await.expect_status(200);
    let file = folder.path().join("metrics");
    std::fs::write(&file, response.body).unwrap();
    file
}

/// Parses a file with the official parser of its format.
async fn parsed(python: &Path, format: &str, file: &Path) -> Value {
    let script = include_str!("prometheus.py");
    let file = file.to_str().unwrap();
    let printed = install::run(python, &["-c", script, format, file], None).await;
    serde_json::from_str(&printed.unwrap_or_else(|error| panic!("{format}: {error}"))).unwrap()
}

fn ops_file(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops");
    root.join(name)
}

/// Asserts that promtool finds no fault.
async fn promtool(arguments: &[&str], file: &Path) {
    let arguments = [arguments, &[file.to_str().unwrap()]].concat();
    let output = install::run("promtool", &arguments, None).await;
    output.unwrap_or_else(|error| panic!("promtool {arguments:?}: {error}"));
}

/// Publishes 42 events in 33 requests, sends one invalid request, and replays all events 12 times.
async fn use_server(server: &Server) {
    let publish = |kind: &'static str, body: String| {
        let request = server.request("POST", "/publish/prometheus").authorized();
        request.body(kind, body).send()
    };
    for _ in 0..4 {
        let events =
            join_all((0..8).map(|number| publish("text/plain", format!("event {number}"))));
        for response in events.await {
            response.expect_status(201);
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
async fn the_official_parsers_read_both_formats_and_find_the_expected_counts() {
    let Some(python) = install::python("prometheus_client").await else {
        return;
    };
    let Some(host) = host("prometheus_client") else {
        return;
    };
    use_server(&host.server).await;
    let folder = tempfile::tempdir().unwrap();
    for (format, accept) in [
        ("openmetrics", "application/openmetrics-text"),
        ("text", "text/plain"),
    ] {
        let mut metrics = Value::Null;
        for _ in 0..30 {
            let file = scrape(&host.server, accept, &folder).await;
            metrics = parsed(&python, format, &file).await;
            let samples = &metrics["samples"];
            let is_complete = samples["runnel_streams_opened_total{}"] == 12.0
                && samples["runnel_publish_seconds_count{}"] == 34.0
                && samples["runnel_streams_open{}"] == 0.0;
            if is_complete {
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
        // No series is repeated.
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
async fn promtool_accepts_the_metrics() {
    if !install::promtool("metrics").await {
        return;
    }
    let Some(host) = host("promtool") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = scrape(&host.server, "text/plain", &folder).await;
    let command = format!("promtool check metrics < {}", file.to_str().unwrap());
    let output = install::run("sh", &["-c", &command], None).await;
    output.unwrap_or_else(|error| panic!("promtool check metrics: {error}"));
}

#[tokio::test]
async fn promtool_accepts_the_configuration_and_the_alerts_and_each_alert_fires() {
    if install::promtool("ops/prometheus").await {
        promtool(&["check", "config"], &ops_file("prometheus/prometheus.yml")).await;
        promtool(&["check", "rules"], &ops_file("prometheus/alerts.yml")).await;
        promtool(&["test", "rules"], &ops_file("prometheus/alerts_test.yml")).await;
    }
}

#[tokio::test]
async fn promtool_accepts_every_expression_of_the_dashboard() {
    if !install::promtool("ops/grafana").await {
        return;
    }
    let dashboard = std::fs::read_to_string(ops_file("grafana/runnel.json")).unwrap();
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
