//! `GET /metrics`: the counts of all instances.

use std::fmt::Write as _;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{self, Registry};

use super::Instance;
use super::attempt::Attempt;
use super::body::{Body, Request, Response};
use super::credentials;
use super::problem::Problem;
use crate::core::environment::Environment as _;
use crate::core::metrics::{Counts, FAMILIES, Family, Kind, Slot, Unit};
use crate::core::time::Timestamp;

/// OpenMetrics, which Prometheus prefers since its version 2.5.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text format of Prometheus, for scrapers that do not accept OpenMetrics.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

const MICROS_PER_SECOND: f64 = 1_000_000.0;

/// Answers a scrape.
pub(super) async fn scrape(instance: &Instance, request: &Request) -> Result<Response, Problem> {
    let secret = instance.config.metrics_token().await;
    if let Some(secret) = secret.map_err(Problem::config)? {
        let token = credentials::bearer_token(request)?
            .ok_or_else(|| Problem::missing_token("the header `authorization: Bearer TOKEN`"))?;
        let attempt = Attempt::begin(instance, request.headers(), &token).await?;
        if !secret.matches(&token) {
            attempt.failed().await?;
            return Err(Problem::invalid_token(
                "the token does not read the metrics",
            ));
        }
        attempt.succeeded();
    }
    let slots = instance.metrics_writer.read_slots().await;
    let slots = slots.map_err(|error| {
        instance.logger.error("metrics_failed", None, error);
        Problem::store()
    })?;
    let content_type = content_type(request.headers());
    let mut text = openmetrics(slots, instance.env.clock().wall);
    if content_type == TEXT {
        text = to_text_format(&text);
    }
    let mut response = Response::new(Body::Full(text.into()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Ok(response)
}

fn content_type(headers: &HeaderMap) -> &'static str {
    let accepted = headers.get_all(ACCEPT).iter();
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    if accepted.any(|value| value.contains("application/openmetrics-text")) {
        OPENMETRICS
    } else {
        TEXT
    }
}

/// Converts OpenMetrics to the text format, which declares the names of series rather than of families,
/// knows neither units nor the type `info`, and has no end mark.
fn to_text_format(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help = "";
    for line in openmetrics.lines() {
        let mut words = line.splitn(4, ' ');
        let declared = match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("TYPE"), Some(name), Some("counter")) => (name, "_total", "counter"),
            (Some("#"), Some("TYPE"), Some(name), Some("info")) => (name, "_info", "gauge"),
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => (name, "", kind),
            (Some("#"), keyword, _, rest) => {
                if keyword == Some("HELP") {
                    help = rest.unwrap_or_default();
                }
                continue;
            }
            _ => {
                text.push_str(line);
                text.push('\n');
                continue;
            }
        };
        let (name, suffix, kind) = declared;
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n"
        );
    }
    text
}

/// The sums over all slots.
#[derive(Debug, Default)]
struct Scrape {
    counts: Counts,
    streams_open: u64,
    instances: u64,
}

fn openmetrics(slots: Vec<Slot>, now: Timestamp) -> String {
    let mut scrape = Scrape::default();
    for slot in slots {
        scrape.counts.merge(&slot.counts);
        if let Some(streams) = slot.streams_open(now) {
            scrape.streams_open = scrape.streams_open.saturating_add(streams);
            scrape.instances = scrape.instances.saturating_add(1);
        }
    }
    let mut registry = Registry::default();
    registry.register_collector(Box::new(scrape));
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, &registry);
    text
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        encoder
            .encode_descriptor(
                "runnel_build",
                "The version of this Runnel",
                None,
                MetricType::Info,
            )?
            .encode_info(&version)?;
        let gauges = [
            (
                "runnel_streams_open",
                "Event streams that are open",
                self.streams_open,
            ),
            (
                "runnel_instances",
                "Instances that have written their counts recently",
                self.instances,
            ),
        ];
        for (name, help, value) in gauges {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            encoder
                .encode_descriptor(name, help, None, MetricType::Gauge)?
                .encode_gauge(&value)?;
        }
        for (number, family) in (0..).zip(FAMILIES) {
            let unit = family.unit.map(|unit| match unit {
                Unit::Seconds => registry::Unit::Seconds,
                Unit::Bytes => registry::Unit::Bytes,
            });
            let kind = match family.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Histogram(_) => MetricType::Histogram,
            };
            let mut encoder =
                encoder.encode_descriptor(family.name, family.help, unit.as_ref(), kind)?;
            for series in 0..family.series() {
                self.encode_series(family, (number, series), &mut encoder)?;
            }
        }
        Ok(())
    }
}

impl Scrape {
    fn encode_series(
        &self,
        family: &Family,
        (number, series): (u8, u16),
        encoder: &mut MetricEncoder<'_>,
    ) -> std::fmt::Result {
        let labels = labels(family, series);
        if labels.is_empty() {
            return self.encode_numbers(family, (number, series), encoder);
        }
        let mut encoder = encoder.encode_family(&labels)?;
        self.encode_numbers(family, (number, series), &mut encoder)
    }

    fn encode_numbers(
        &self,
        family: &Family,
        (number, series): (u8, u16),
        encoder: &mut MetricEncoder<'_>,
    ) -> std::fmt::Result {
        let Kind::Histogram(bounds) = family.kind else {
            let value = self.counts.counter(number, series);
            return encoder.encode_counter::<NoLabelSet, _, u64>(&value, None);
        };
        let scale = match family.unit {
            Some(Unit::Seconds) => MICROS_PER_SECOND,
            _ => 1.0,
        };
        let scaled = |number: u64| number as f64 / scale;
        let distribution = self.counts.histogram(number, series);
        let bounds = bounds.iter().map(|bound| scaled(*bound));
        let buckets: Vec<_> = bounds
            .chain([f64::INFINITY])
            .zip(distribution.buckets.iter().copied())
            .collect();
        let count = distribution.buckets.iter().sum();
        encoder.encode_histogram::<NoLabelSet>(scaled(distribution.sum), count, &buckets, None)
    }
}

/// Returns the labels of a series of a family.
fn labels(family: &Family, series: u16) -> Vec<(&'static str, &'static str)> {
    let mut rest = usize::from(series);
    let mut labels = vec![];
    for (name, values) in family.labels.iter().rev() {
        let index = rest.checked_rem(values.len()).unwrap_or_default();
        rest = rest.checked_div(values.len()).unwrap_or_default();
        labels.push((*name, values.get(index).copied().unwrap_or_default()));
    }
    labels.reverse();
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_format_declares_each_series_by_its_full_name() {
        let openmetrics = "# HELP a_build What it is\n\
            # TYPE a_build info\n\
            a_build_info{version=\"1\"} 1\n\
            # HELP a_bytes Bytes, and more\n\
            # TYPE a_bytes counter\n\
            # UNIT a_bytes bytes\n\
            a_bytes_total{to=\"# TYPE b counter\"} 3\n\
            # HELP a_open Open ones\n\
            # TYPE a_open gauge\n\
            a_open 2\n\
            # EOF\n";
        let expected = "# HELP a_build_info What it is\n\
            # TYPE a_build_info gauge\n\
            a_build_info{version=\"1\"} 1\n\
            # HELP a_bytes_total Bytes, and more\n\
            # TYPE a_bytes_total counter\n\
            a_bytes_total{to=\"# TYPE b counter\"} 3\n\
            # HELP a_open Open ones\n\
            # TYPE a_open gauge\n\
            a_open 2\n";
        assert_eq!(to_text_format(openmetrics), expected);
    }
}
