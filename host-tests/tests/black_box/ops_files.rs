//! The files in ops/ and docs/observability.md name exactly the metrics that the server exports.

use std::collections::{BTreeMap, BTreeSet};

use runnel_testing::shared_server;
use serde_json::Value;

const DASHBOARD: &str = include_str!("../../../ops/grafana/runnel.json");
const ALERTS: &str = include_str!("../../../ops/prometheus/alerts.yml");
const ALERTS_TEST: &str = include_str!("../../../ops/prometheus/alerts_test.yml");
const DOCS: &str = include_str!("../../../docs/observability.md");

/// Labels that are not compared: one is added by Prometheus, one changes with each version.
const IGNORED_LABELS: [&str; 2] = ["job", "version"];

/// The labels of each series, and the values of each label.
type Series = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// The name of a series and the matchers for it, each with a label and its values.
type Selector = (String, Vec<(String, Vec<String>)>);

/// Returns the series that the server exports.
async fn exported_series() -> Series {
    let response = shared_server()
        .get("/metrics")
        .send()
        .await
        .expect_status(200);
    let text = String::from_utf8(response.body.to_vec()).unwrap();
    let mut series = Series::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        for (name, labels) in selectors(line) {
            let known_labels = series.entry(name).or_default();
            for (label, values) in labels {
                known_labels.entry(label).or_default().extend(values);
            }
        }
    }
    series
}

/// Finds all selectors of Runnel's series in a text.
fn selectors(text: &str) -> Vec<Selector> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = text.match_indices("runnel_").map(|(start, _)| start);
    let starts = starts.filter(|&start| !text[..start].ends_with(is_name));
    let series = starts.map(|start| {
        let rest = &text[start..];
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

/// Asserts that every series, label and value in a text is exported.
#[track_caller]
fn assert_exported(exported: &Series, file: &str, text: &str) {
    for (name, labels) in selectors(text) {
        let known_labels = exported.get(&name);
        let known_labels = known_labels.unwrap_or_else(|| panic!("{file}: there is no {name}"));
        for (label, values) in labels {
            if IGNORED_LABELS.contains(&label.as_str()) {
                continue;
            }
            let known_values = known_labels.get(&label);
            let known_values =
                known_values.unwrap_or_else(|| panic!("{file}: {name} has no {label}"));
            for value in values {
                assert!(
                    known_values.contains(&value),
                    "{file}: {name} has no {label}={value}"
                );
            }
        }
    }
}

/// Returns the metric family of a series: its name without the suffixes of histograms.
fn family(series: &str) -> &str {
    let suffixes = ["_bucket", "_sum", "_count"].into_iter();
    suffixes.fold(series, |name, suffix| {
        name.strip_suffix(suffix).unwrap_or(name)
    })
}

/// Returns the panels of the dashboard, without the rows that group them.
fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    panels
        .filter(|panel| panel["type"] != "row")
        .cloned()
        .collect()
}

/// Returns the PromQL expressions of a panel.
fn expressions(panel: &Value) -> Vec<&str> {
    let targets = panel["targets"].as_array().unwrap().iter();
    targets
        .map(|target| target["expr"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn alerts_and_dashboard_use_existing_series_and_labels() {
    let exported = exported_series().await;
    assert!(exported.len() > 30, "{exported:?}");
    assert_exported(&exported, "alerts.yml", ALERTS);
    assert_exported(&exported, "alerts_test.yml", ALERTS_TEST);
    for panel in panels() {
        for expression in expressions(&panel) {
            assert!(!selectors(expression).is_empty(), "{expression}");
            assert_exported(&exported, "runnel.json", expression);
        }
    }
}

#[tokio::test]
async fn every_metric_family_is_on_the_dashboard_and_in_the_docs() {
    let exported = exported_series().await;
    let panels = panels();
    let shown = panels.iter().flat_map(expressions).flat_map(selectors);
    let shown: BTreeSet<_> = shown.map(|(name, _)| family(&name).to_owned()).collect();
    let documented = selectors(DOCS).into_iter().map(|(name, _)| name);
    let documented: BTreeSet<_> = documented.collect();
    let exported: BTreeSet<_> = exported
        .keys()
        .map(|name| family(name).to_owned())
        .collect();
    assert_eq!(shown, exported);
    assert_eq!(documented, exported);
}

#[test]
fn every_alert_is_tested_and_described() {
    let alerts: Vec<_> = ALERTS.split("- alert: ").skip(1).collect();
    assert!(alerts.len() > 10);
    for alert in alerts {
        let name = alert.lines().next().unwrap();
        let fires = format!("ALERTS{{alertname=\"{name}\",alertstate=\"firing\",");
        assert!(
            ALERTS_TEST.contains(&fires),
            "no test expects {name} to fire"
        );
        for field in [
            "expr: ",
            "for: ",
            "severity: ",
            "summary: ",
            "description: ",
        ] {
            assert_eq!(alert.matches(field).count(), 1, "{field} of {name}");
        }
    }
}

#[test]
fn every_panel_has_a_description_a_unit_and_the_variable_data_source() {
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
