//! The files in ops/ and docs/observability.md name exactly the metrics that the server exports.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::server::server;

const DASHBOARD: &str = include_str!("../../../ops/grafana/runnel.json");
const ALERTS: &str = include_str!("../../../ops/prometheus/alerts.yml");
const ALERTS_TEST: &str = include_str!("../../../ops/prometheus/alerts_test.yml");
const PAGE: &str = include_str!("../../../docs/observability.md");

/// What Prometheus adds, and what changes with each version.
const LABELS_APART: [&str; 2] = ["job", "version"];

/// The names of series, the labels of each, and the values of these.
type Series = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// A name of a series with labels that are chosen: the label and the values.
type Use = (String, Vec<(String, Vec<String>)>);

/// What the server tells.
async fn told() -> Series {
    let answer = server().get("/metrics").send().await.has(200);
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let mut series = Series::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        for (name, labels) in used(line) {
            let known = series.entry(name).or_default();
            for (label, values) in labels {
                known.entry(label).or_default().extend(values);
            }
        }
    }
    series
}

/// The series that are named in a text.
fn used(text: &str) -> Vec<Use> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = text.match_indices("runnel_").map(|(at, _)| at);
    let starts = starts.filter(|&at| !text[..at].ends_with(is_name));
    let series = starts.map(|at| {
        let rest = &text[at..];
        let (name, rest) = rest.split_at(rest.find(|c| !is_name(c)).unwrap_or(rest.len()));
        let labels = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let labels = labels.map_or("", |(labels, _)| labels).split(',');
        let labels = labels.filter_map(|matcher| {
            let (label, value) = matcher.split_once('"')?;
            let values = value.trim_end_matches('"').split('|');
            let label = label.trim().trim_end_matches(['=', '!', '~']);
            Some((label.to_owned(), values.map(str::to_owned).collect()))
        });
        (name.to_owned(), labels.collect())
    });
    series.collect()
}

/// Holds that all that is named in a text is told.
#[track_caller]
fn assert_told(told: &Series, file: &str, text: &str) {
    for (name, labels) in used(text) {
        let known = told.get(&name);
        let known = known.unwrap_or_else(|| panic!("{file}: there is no {name}"));
        for (label, values) in labels {
            if LABELS_APART.contains(&label.as_str()) {
                continue;
            }
            let known = known.get(&label);
            let known = known.unwrap_or_else(|| panic!("{file}: {name} has no {label}"));
            for value in values {
                assert!(known.contains(&value), "{file}: {name}, {label}: {value}");
            }
        }
    }
}

/// The name of a family: that of a series without what distributions add.
fn family(series: &str) -> &str {
    let ends = ["_bucket", "_sum", "_count"].into_iter();
    ends.fold(series, |name, end| name.strip_suffix(end).unwrap_or(name))
}

/// The panels of the dashboard that show something.
fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels
        .filter(|panel| panel["type"] != "row")
        .cloned()
        .collect()
}

/// The expressions of a panel.
fn expressions(panel: &Value) -> Vec<&str> {
    let targets = panel["targets"].as_array().unwrap().iter();
    targets
        .map(|target| target["expr"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn alerts_and_dashboard_name_series_and_labels_that_there_are() {
    let told = told().await;
    assert!(told.len() > 30, "{told:?}");
    assert_told(&told, "alerts.yml", ALERTS);
    assert_told(&told, "alerts_test.yml", ALERTS_TEST);
    for panel in panels() {
        for expression in expressions(&panel) {
            assert!(!used(expression).is_empty(), "{expression}");
            assert_told(&told, "runnel.json", expression);
        }
    }
}

#[tokio::test]
async fn the_dashboard_shows_every_family_and_the_docs_name_it() {
    let told = told().await;
    let panels = panels();
    let shown = panels.iter().flat_map(expressions).flat_map(used);
    let shown: BTreeSet<_> = shown.map(|(name, _)| family(&name).to_owned()).collect();
    let documented: BTreeSet<_> = used(PAGE).into_iter().map(|(name, _)| name).collect();
    let told: BTreeSet<_> = told.keys().map(|name| family(name).to_owned()).collect();
    assert_eq!(shown, told);
    assert_eq!(documented, told);
}

#[test]
fn every_alert_has_a_test_and_says_what_to_do() {
    let alerts: Vec<_> = ALERTS.split("- alert: ").skip(1).collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        let fires = format!("ALERTS{{alertname=\"{name}\",alertstate=\"firing\",");
        assert!(ALERTS_TEST.contains(&fires), "{name} is never seen to fire");
        for member in [
            "expr: ",
            "for: ",
            "severity: ",
            "summary: ",
            "description: ",
        ] {
            assert_eq!(alert.matches(member).count(), 1, "{member} of {name}");
        }
    }
}

#[test]
fn panels_are_described_have_a_unit_and_know_no_source_of_data_but_the_variable() {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let variable = serde_json::json!({"type": "prometheus", "uid": "${datasource}"});
    let ids = dashboard["panels"].as_array().unwrap().iter();
    let ids: BTreeSet<_> = ids.map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), dashboard["panels"].as_array().unwrap().len());
    for panel in panels() {
        let title = &panel["title"];
        assert!(panel["description"].as_str().unwrap().len() > 10, "{title}");
        let units = [
            &panel["fieldConfig"]["defaults"]["unit"],
            &panel["options"]["yAxis"]["unit"],
        ];
        assert!(units.iter().any(|unit| unit.is_string()), "{title}");
        assert_eq!(panel["datasource"], variable, "{title}");
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"], variable, "{title}");
        }
    }
}
