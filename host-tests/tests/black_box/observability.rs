//! Metrics, health checks, traces, and the settings for them.

use http::HeaderMap;
use runnel_testing::{Channel, Request, Response, can_start_hosts, shared_server};

use crate::tokens::fixture::Fixture;

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn traceparent() -> String {
    format!("00-{TRACE}-{PARENT}-01")
}

/// Returns the fields of the header `traceresponse`.
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
async fn metrics_are_public_without_a_metrics_token() {
    if !can_start_hosts("public metrics") {
        return;
    }
    let fixture = Fixture::with(&[]);
    for request in [
        fixture.request("GET", "/metrics"),
        fixture.request("GET", "/metrics").bearer("whatever"),
        fixture.request("GET", "/metrics").header("accept", "*/*"),
    ] {
        let response = request.send().await.expect_status(200);
        assert_eq!(response.header("content-type"), Some(TEXT));
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert!(!String::from_utf8_lossy(&response.body).contains("# EOF"));
    }
}

#[tokio::test]
async fn the_accept_header_selects_the_metrics_format() {
    if !can_start_hosts("metrics formats") {
        return;
    }
    let fixture = Fixture::with(&[]);
    // As sent by Prometheus 2 and 3.
    for accept in [
        "application/openmetrics-text",
        "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;\
         version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;q=0.3",
    ] {
        let request = fixture.request("GET", "/metrics").header("accept", accept);
        let response = request.send().await.expect_status(200);
        assert_eq!(response.header("content-type"), Some(OPENMETRICS));
        assert!(response.body.ends_with(b"\n# EOF\n"));
        let head = fixture.request("HEAD", "/metrics").header("accept", accept);
        let head = head.send().await.expect_status(200);
        assert_eq!(head.body, "");
        assert_eq!(head.header("content-type"), Some(OPENMETRICS));
    }
    for method in ["POST", "PUT", "DELETE"] {
        let response = fixture.request(method, "/metrics").send().await;
        response.assert_problem(405, "method", "GET, HEAD");
    }
}

#[tokio::test]
async fn metrics_require_exactly_the_metrics_token() {
    if !can_start_hosts("the metrics token") {
        return;
    }
    let fixture = Fixture::with(&["metrics_token=eyes-only"]);
    let scrape = |method: &str| fixture.request(method, "/metrics");
    let response = scrape("GET")
        .bearer("eyes-only")
        .send()
        .await
        .expect_status(200);
    assert!(!response.body.is_empty());
    scrape("HEAD")
        .bearer("eyes-only")
        .send()
        .await
        .expect_status(200);
    let no_token = "Bearer realm=\"runnel\"";
    let invalid_token = "Bearer realm=\"runnel\", error=\"invalid_token\"";
    let publish_token = fixture.channel.server.token.clone();
    for (request, challenge) in [
        (scrape("GET"), no_token),
        (scrape("GET").bearer(""), invalid_token),
        (scrape("GET").bearer("eyes-onl"), invalid_token),
        (scrape("GET").bearer("eyes-only2"), invalid_token),
        (scrape("GET").bearer("Eyes-only"), invalid_token),
        (scrape("GET").bearer(&publish_token), invalid_token),
        (
            scrape("GET").header("authorization", "Basic eyes-only"),
            no_token,
        ),
        (
            scrape("GET").bearer("eyes-only").bearer("eyes-only"),
            invalid_token,
        ),
        (scrape("GET").cookie("eyes-only"), no_token),
        (
            fixture.request("GET", "/metrics?access_token=eyes-only"),
            no_token,
        ),
    ] {
        let response = request.send().await;
        response.assert_problem(401, "unauthorized", "");
        assert_eq!(response.header("www-authenticate"), Some(challenge));
        assert!(!String::from_utf8_lossy(&response.body).contains("eyes-only"));
    }
    let response = scrape("HEAD").send().await.expect_status(401);
    assert_eq!(response.body, "");
    let publish = fixture.publish().bearer("eyes-only").send().await;
    publish.assert_problem(401, "unauthorized", "");
    assert!(!fixture.host.stderr().contains("eyes-only"));
}

#[tokio::test]
async fn an_invalid_observability_setting_is_reported_with_its_variable() {
    if !can_start_hosts("invalid observability settings") {
        return;
    }
    let levels = "expected `off`, `error`, `warn`, `info` or `debug`";
    let flag = "expected `true` or `false`";
    let seconds = "expected a whole number from 0 to 15";
    for (setting, problem, accepted, affects_streams, affects_other_paths) in [
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
        let fixture = Fixture::with(&[setting]);
        let assert_reported = |response: Response| {
            response.assert_problem(500, "configuration", problem);
            response.assert_problem(500, "configuration", accepted);
        };
        let publish = fixture.channel.publish("").body("text/plain", "x");
        assert_reported(publish.send().await);
        let replay = fixture.replay().send().await;
        if affects_streams {
            assert_reported(replay);
        } else {
            assert_eq!(replay.status, 204, "{setting}");
        }
        for path in ["/metrics", "/health", "/health/live", "/openapi.json", "/"] {
            let response = fixture.request("GET", path).send().await;
            if affects_other_paths {
                assert_reported(response);
            } else {
                assert_eq!(response.status, 200, "{setting}");
            }
        }
    }
}

#[tokio::test]
async fn the_bounds_of_the_metrics_interval_are_accepted() {
    if !can_start_hosts("the metrics interval") {
        return;
    }
    for setting in ["metrics_interval_seconds=0", "metrics_interval_seconds=15"] {
        let fixture = Fixture::with(&[setting]);
        fixture.channel.publish_text("x").await;
        fixture
            .request("GET", "/metrics")
            .send()
            .await
            .expect_status(200);
        assert_eq!(fixture.host.stderr(), "");
    }
}

#[tokio::test]
async fn the_health_check_is_ok_while_the_store_responds() {
    let response = shared_server()
        .get("/health")
        .send()
        .await
        .expect_status(200);
    assert_eq!(response.json()["status"], "ok");
    let version = response.json()["version"].as_str().map(str::to_owned);
    assert!(version.is_some_and(|version| version.starts_with("0.")));
}

#[tokio::test]
async fn both_health_checks_report_the_version() {
    for path in ["/health", "/health/live"] {
        let response = shared_server().get(path).send().await.expect_status(200);
        let version = env!("CARGO_PKG_VERSION");
        let expected = serde_json::json!({"status": "ok", "version": version});
        assert_eq!(response.json(), expected, "{path}");
    }
}

#[tokio::test]
async fn a_response_continues_the_trace_of_its_request_in_a_new_span() {
    let channel = Channel::new();
    channel.publish_text("x").await;
    let replay = "?live=false&last=1";
    let requests: Vec<Request> = vec![
        channel.publish("").body("text/plain", "x"),
        channel.publish("").body("application/xml", "x"),
        channel.events(replay),
        channel.events(replay).accept_json(),
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
            let response = request.clone().header("traceparent", parent).send().await;
            let fields = traceresponse(&response.headers);
            assert_eq!((fields[0].as_str(), fields[1].as_str()), ("00", TRACE));
            assert_ne!(fields[2], PARENT, "{response:?}");
            assert_eq!(fields[3], flags, "the sampled flag is kept");
        }
        let first = request.clone().send().await;
        let second = request.send().await;
        let (first, second) = (
            traceresponse(&first.headers),
            traceresponse(&second.headers),
        );
        assert_ne!(
            first[1], second[1],
            "each request without a trace starts its own"
        );
        assert_ne!(first[2], second[2]);
    }
}

#[tokio::test]
async fn an_invalid_traceparent_starts_a_new_trace() {
    let valid = traceparent();
    let send = |request: Request| async {
        let response = request.send().await.expect_status(200);
        traceresponse(&response.headers)
    };
    for invalid in [
        String::new(),
        "x".repeat(5_000),
        valid.to_uppercase(),
        valid.replace("00-", "ff-"),
        valid.replace(TRACE, &"0".repeat(32)),
        valid.replace(PARENT, &"0".repeat(16)),
        format!("{valid}-more"),
        format!("{valid}, {valid}"),
    ] {
        let fields = send(
            shared_server()
                .get("/health/live")
                .header("traceparent", &invalid),
        )
        .await;
        assert_ne!(fields[1], TRACE, "{invalid:?}");
        assert_ne!(fields[1], "0".repeat(32), "{invalid:?}");
        assert_eq!(fields[3], "00", "{invalid:?}");
    }
    let bytes = shared_server()
        .get("/health/live")
        .header("traceparent", "\u{e9}".as_bytes());
    assert_ne!(send(bytes).await[1], TRACE);
    let twice = shared_server()
        .get("/health/live")
        .header("traceparent", &valid);
    let twice = twice.header("traceparent", &valid);
    assert_ne!(
        send(twice).await[1],
        TRACE,
        "several traceparent headers are ignored"
    );
}

/// Returns the events of a channel as the text of a stream and as a page.
async fn stream_and_page(channel: &Channel) -> (String, serde_json::Value) {
    let stream = channel.events("?live=false&last_event_id=earliest");
    let stream = stream.send().await.expect_status(200);
    let text = String::from_utf8(stream.body.to_vec()).unwrap();
    let page = channel.events("?last_event_id=earliest").fetch_json().await;
    (text, page)
}

#[tokio::test]
async fn events_carry_the_trace_of_their_publish_when_enabled() {
    if !can_start_hosts("event traces") {
        return;
    }
    for is_enabled in [true, false] {
        let fixture = Fixture::with(&[&format!("trace_events={is_enabled}")]);
        let channel = &fixture.channel;
        let publish = channel.publish("").header("traceparent", traceparent());
        let publish = publish
            .body("text/plain", "x")
            .send()
            .await
            .expect_status(201);
        let trace = traceresponse(&publish.headers).join("-");
        let (stream, page) = stream_and_page(channel).await;
        let field = format!("data: x\ntraceparent: {trace}\nid: ");
        assert_eq!(stream.contains(&field), is_enabled, "{stream:?}");
        let in_page = page["events"][0].get("traceparent");
        assert_eq!(
            in_page.and_then(|trace| trace.as_str()),
            is_enabled.then_some(trace.as_str())
        );
        if is_enabled {
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
async fn a_traceparent_cannot_inject_lines_into_streams_headers_or_logs() {
    if !can_start_hosts("traceparent injection") {
        return;
    }
    let fixture = Fixture::with(&["trace_events=true", "log_level=debug"]);
    let channel = &fixture.channel;
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
        // The HTTP server rejects a bare CR or LF in a header, or replaces it with a space.
        let head = format!(
            "POST /publish/{} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
             content-type: text/plain\r\ncontent-length: 1\r\nconnection: close\r\n\
             traceparent: {parent}\r\n\r\n{number}",
            channel.name, channel.server.token
        );
        let response = channel.server.send_raw(head.as_bytes()).await;
        let text = format!("{response:?}");
        assert!(!text.contains("forged"), "{text}");
        assert!([201, 400].contains(&response.status.as_u16()), "{text}");
    }
    channel.publish_text("last").await;
    let (stream, page) = stream_and_page(channel).await;
    assert!(!format!("{stream}{page}{}", fixture.host.stderr()).contains("forged"));
    for line in fixture.host.stderr().lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    let (_, events) = stream.split_once("\n\n").unwrap();
    for block in events.split("\n\n").filter(|block| block.contains("data:")) {
        let fields: Vec<_> = block.lines().map(|line| line.split(':').next()).collect();
        assert_eq!(fields, [Some("data"), Some("traceparent"), Some("id")]);
    }
}
