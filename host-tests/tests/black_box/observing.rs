//! What an operator is told: metrics, traces, and what is wrong with a setting of theirs.

use http::HeaderMap;

use crate::channel::Channel;
use crate::client::{Answer, Request};
use crate::server::{may_start_hosts, server};
use crate::tokens::mint::Site;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn traceparent() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

/// The fields of the header `traceresponse`.
fn traceresponse(headers: &HeaderMap) -> Vec<String> {
    let values: Vec<_> = headers.get_all("traceresponse").iter().collect();
    let [value] = values[..] else {
        panic!("{headers:?}")
    };
    let fields: Vec<_> = value.to_str().unwrap().split('-').collect();
    let lengths: Vec<_> = fields.iter().map(|field| field.len()).collect();
    assert_eq!(lengths, [2, 32, 16, 2], "{value:?}");
    fields.into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn metrics_are_open_without_a_token_of_theirs() {
    let site = may_start_hosts("open metrics").then(|| Site::with(&[]));
    let Some(site) = site else { return };
    for request in [
        site.request("GET", "/metrics"),
        site.request("GET", "/metrics").bearer("whatever"),
        site.request("GET", "/metrics").header("accept", "*/*"),
    ] {
        let answer = request.send().await.has(200);
        assert_eq!(answer.header("content-type"), Some(TEXT));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(!String::from_utf8_lossy(&answer.body).contains("# EOF"));
    }
}

#[tokio::test]
async fn metrics_come_in_the_format_that_is_accepted() {
    if !may_start_hosts("formats of metrics") {
        return;
    }
    let site = Site::with(&[]);
    // As Prometheus 2 and 3 ask.
    for accept in [
        "application/openmetrics-text",
        "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;\
         version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;q=0.3",
    ] {
        let request = site.request("GET", "/metrics").header("accept", accept);
        let answer = request.send().await.has(200);
        assert_eq!(answer.header("content-type"), Some(OPENMETRICS));
        assert!(answer.body.ends_with(b"\n# EOF\n"));
        let head = site.request("HEAD", "/metrics").header("accept", accept);
        let head = head.send().await.has(200);
        assert_eq!(head.body, "");
        assert_eq!(head.header("content-type"), Some(OPENMETRICS));
    }
    for method in ["POST", "PUT", "DELETE"] {
        let answer = site.request(method, "/metrics").send().await;
        answer.is_problem(405, "method", "GET, HEAD");
    }
}

#[tokio::test]
async fn a_metrics_token_is_asked_for_and_nothing_else_is_good() {
    if !may_start_hosts("the metrics token") {
        return;
    }
    let site = Site::with(&["metrics_token=eyes-only"]);
    let scrape = |method: &str| site.request(method, "/metrics");
    let answer = scrape("GET").bearer("eyes-only").send().await.has(200);
    assert!(!answer.body.is_empty());
    scrape("HEAD").bearer("eyes-only").send().await.has(200);
    let none = "Bearer realm=\"runnel\"";
    let bad = "Bearer realm=\"runnel\", error=\"invalid_token\"";
    let publish_token = site.channel.server.token.clone();
    for (request, challenge) in [
        (scrape("GET"), none),
        (scrape("GET").bearer(""), bad),
        (scrape("GET").bearer("eyes-onl"), bad),
        (scrape("GET").bearer("eyes-only2"), bad),
        (scrape("GET").bearer("Eyes-only"), bad),
        (scrape("GET").bearer(&publish_token), bad),
        (
            scrape("GET").header("authorization", "Basic eyes-only"),
            bad,
        ),
        (scrape("GET").bearer("eyes-only").bearer("eyes-only"), bad),
        (scrape("GET").cookie("eyes-only"), none),
        (site.request("GET", "/metrics?access_token=eyes-only"), none),
    ] {
        let answer = request.send().await;
        answer.is_problem(401, "unauthorized", "");
        assert_eq!(answer.header("www-authenticate"), Some(challenge));
        assert!(!String::from_utf8_lossy(&answer.body).contains("eyes-only"));
    }
    let answer = scrape("HEAD").send().await.has(401);
    assert_eq!(answer.body, "");
    let publish = site.publishing().bearer("eyes-only").send().await;
    publish.is_problem(401, "unauthorized", "");
    assert!(!site.host.errors().contains("eyes-only"));
}

#[tokio::test]
async fn a_bad_setting_of_what_is_told_is_refused_by_name() {
    if !may_start_hosts("bad settings of what is told") {
        return;
    }
    let levels = "accepted are `off`, `error`, `warn`, `info` and `debug`";
    let flag = "accepted are `true` and `false`";
    let seconds = "accepted is a whole number from 0 to 15";
    for (setting, said, accepted, subscribers, console) in [
        (
            "log_level=loud",
            "log_level is \"loud\"",
            levels,
            true,
            true,
        ),
        ("log_level=", "log_level is \"\"", levels, true, true),
        (
            "trace_events=yes",
            "trace_events is \"yes\"",
            flag,
            false,
            false,
        ),
        ("trace_events=", "trace_events is \"\"", flag, false, false),
        (
            "metrics_interval_seconds=16",
            "metrics_interval_seconds is \"16\"",
            seconds,
            true,
            false,
        ),
        (
            "metrics_interval_seconds=-1",
            "metrics_interval_seconds is \"-1\"",
            seconds,
            true,
            false,
        ),
        (
            "metrics_interval_seconds=1.5",
            "metrics_interval_seconds is \"1.5\"",
            seconds,
            true,
            false,
        ),
    ] {
        let site = Site::with(&[setting]);
        let refused = |answer: Answer| {
            answer.is_problem(500, "configuration", said);
            answer.is_problem(500, "configuration", accepted);
        };
        let publish = site.channel.publish("").body("text/plain", "x");
        refused(publish.send().await);
        let replay = site.replaying().send().await;
        match subscribers {
            true => refused(replay),
            false => assert_eq!(replay.status, 204, "{setting}"),
        }
        for path in ["/metrics", "/health", "/health/live", "/openapi.json", "/"] {
            let answer = site.request("GET", path).send().await;
            match console {
                true => refused(answer),
                false => assert_eq!(answer.status, 200, "{setting}"),
            }
        }
    }
}

#[tokio::test]
async fn the_first_and_the_last_accepted_interval_are_accepted() {
    if !may_start_hosts("the interval of metrics") {
        return;
    }
    for setting in ["metrics_interval_seconds=0", "metrics_interval_seconds=15"] {
        let site = Site::with(&[setting]);
        site.channel.say("x").await;
        site.request("GET", "/metrics").send().await.has(200);
        assert_eq!(site.host.errors(), "");
    }
}

#[tokio::test]
async fn liveness_tells_the_version_and_so_does_readiness() {
    for path in ["/health", "/health/live"] {
        let answer = server().get(path).send().await.has(200);
        let version = env!("CARGO_PKG_VERSION");
        let expected = serde_json::json!({"status": "ok", "version": version});
        assert_eq!(answer.json(), expected, "{path}");
    }
}

#[tokio::test]
async fn an_answer_goes_on_with_the_trace_of_its_request_in_a_span_of_its_own() {
    let channel = Channel::new();
    channel.say("x").await;
    let replay = "?live=false&last=1";
    let requests: Vec<Request> = vec![
        channel.publish("").body("text/plain", "x"),
        channel.publish("").body("application/xml", "x"),
        channel.events(replay),
        channel.events(replay).long_poll(),
        channel.manage("GET", ""),
        channel.server.get("/health"),
        channel.server.get("/metrics"),
        channel.server.get("/nothing"),
        channel.server.request("OPTIONS", "/"),
        channel.server.request("DELETE", "/"),
    ];
    for request in requests {
        for flags in ["00", "01"] {
            let parent = format!("00-{TRACE}-{PARENT}-{flags}");
            let answer = request.clone().header("traceparent", parent).send().await;
            let fields = traceresponse(&answer.headers);
            assert_eq!((fields[0].as_str(), fields[1].as_str()), ("00", TRACE));
            assert_ne!(fields[2], PARENT, "{answer:?}");
            assert_eq!(fields[3], flags, "what is sampled stays so");
        }
        let new = request.clone().send().await;
        let other = request.send().await;
        let (new, other) = (traceresponse(&new.headers), traceresponse(&other.headers));
        assert_ne!(new[1], other[1], "each begins a trace");
        assert_ne!(new[2], other[2]);
    }
}

#[tokio::test]
async fn what_is_no_trace_begins_a_new_one() {
    let good = traceparent();
    let of = |request: Request| async {
        let answer = request.send().await.has(200);
        traceresponse(&answer.headers)
    };
    for bad in [
        String::new(),
        "x".repeat(5_000),
        good.to_uppercase(),
        good.replace("00-", "ff-"),
        good.replace(TRACE, &"0".repeat(32)),
        good.replace(PARENT, &"0".repeat(16)),
        format!("{good}-more"),
        format!("{good}, {good}"),
    ] {
        let fields = of(server().get("/health/live").header("traceparent", &bad)).await;
        assert_ne!(fields[1], TRACE, "{bad:?}");
        assert_ne!(fields[1], "0".repeat(32), "{bad:?}");
        assert_eq!(fields[3], "00", "{bad:?}");
    }
    let bytes = server()
        .get("/health/live")
        .header("traceparent", [0xff, 0xfe]);
    assert_ne!(of(bytes).await[1], TRACE);
    let twice = server().get("/health/live").header("traceparent", &good);
    let twice = twice.header("traceparent", &good);
    assert_ne!(of(twice).await[1], TRACE, "of several none is believed");
}

/// The events of a channel, as a stream and as a page.
async fn told(channel: &Channel) -> (String, serde_json::Value) {
    let stream = channel.events("?live=false&last_event_id=earliest");
    let stream = stream.send().await.has(200);
    let text = String::from_utf8(stream.body.to_vec()).unwrap();
    let page = channel.events("?last_event_id=earliest").json().await;
    (text, page)
}

#[tokio::test]
async fn events_carry_the_trace_of_their_publisher_where_that_is_on() {
    if !may_start_hosts("traces of events") {
        return;
    }
    for is_on in [true, false] {
        let site = Site::with(&[&format!("trace_events={is_on}")]);
        let channel = &site.channel;
        let publish = channel.publish("").header("traceparent", traceparent());
        let publish = publish.body("text/plain", "x").send().await.has(201);
        let trace = traceresponse(&publish.headers).join("-");
        let (stream, page) = told(channel).await;
        let field = format!("data: x\ntraceparent: {trace}\nid: ");
        assert_eq!(stream.contains(&field), is_on, "{stream:?}");
        let carried = page["events"][0].get("traceparent");
        assert_eq!(
            carried.and_then(|trace| trace.as_str()),
            is_on.then_some(trace.as_str())
        );
        if is_on {
            let event = channel.subscribe("?last=1").await.event().await;
            assert_eq!(
                (event.data.as_str(), event.event.as_str()),
                ("x", "message")
            );
        } else {
            assert!(!stream.contains("traceparent"), "{stream:?}");
        }
    }
}

#[tokio::test]
async fn a_trace_breaks_no_line_of_a_stream_of_a_header_or_of_the_log() {
    if !may_start_hosts("traces that break lines") {
        return;
    }
    let site = Site::with(&["trace_events=true", "log_level=debug"]);
    let channel = &site.channel;
    for (number, parent) in [
        &format!("{}\rdata: forged", traceparent())[..],
        &format!("{}\ndata: forged", traceparent()),
        &(traceparent() + "-\"},\"forged"),
        &format!("01-{TRACE}-{PARENT}-01-\ndata: forged"),
        &format!("01-{TRACE}-{PARENT}-01-data: forged"),
    ]
    .into_iter()
    .enumerate()
    {
        // A bare CR or LF in a header is refused, or taken for white space, before Runnel sees it.
        let head = format!(
            "POST /publish/{} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
             content-type: text/plain\r\ncontent-length: 1\r\nconnection: close\r\n\
             traceparent: {parent}\r\n\r\n{number}",
            channel.name, channel.server.token
        );
        let answer = channel.server.send_raw(head.as_bytes()).await;
        let text = format!("{answer:?}");
        assert!(!text.contains("forged"), "{text}");
        assert!([201, 400].contains(&answer.status.as_u16()), "{text}");
    }
    channel.say("last").await;
    let (stream, page) = told(channel).await;
    assert!(!format!("{stream}{page}{}", site.host.errors()).contains("forged"));
    for line in site.host.errors().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    for block in stream.split("\n\n").filter(|block| block.contains("data:")) {
        let fields: Vec<_> = block.lines().map(|line| line.split(':').next()).collect();
        assert_eq!(fields, [Some("data"), Some("traceparent"), Some("id")]);
    }
}
