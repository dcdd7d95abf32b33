//! Malicious requests: their responses, and their lack of any effect.
//!
//! Slow requests and slow readers are in [`crate::connections`], floods in [`crate::limits`], other
//! invalid paths in [`crate::routing`], cursors in [`crate::cursors`] and bodies in
//! [`crate::publish_errors`].

mod injection;

use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;
use runnel_testing::{Channel, Stream, shared_server};

/// Bounds the time of one request. A cost that grows with the square of the input would be far above it.
const MAX_RESPONSE_TIME: Duration = Duration::from_secs(30);

/// A channel with one event, which must be all it contains at the end of the test.
struct Target {
    channel: Channel,
    id: String,
}

impl Target {
    async fn new() -> Self {
        let channel = Channel::new();
        let id = channel.publish_text("kept").await;
        Self { channel, id }
    }

    /// Asserts that the log is unchanged and the server still responds.
    async fn assert_unchanged(&self) {
        let log = self.channel.log().await;
        assert_eq!(log, [(self.id.clone(), "kept".to_owned())]);
    }
}

#[tokio::test]
async fn deeply_nested_json_is_rejected_without_a_crash() {
    let target = Target::new().await;
    let mut live = target.channel.subscribe("").await;
    live.opened().await;
    for opening in ["[", "{\"a\":"] {
        let nested = opening.repeat(100_000);
        let line = format!("{{\"data\":{nested}}}");
        for (content_type, body) in [
            ("application/json", &nested),
            ("application/vnd.x+json", &nested),
            ("application/x-ndjson", &line),
            ("application/cloudevents+json", &nested),
        ] {
            let request = target.channel.publish("").body(content_type, body.clone());
            let start = Instant::now();
            let response = request.send().await;
            response.assert_problem(400, "body", "");
            assert!(start.elapsed() < MAX_RESPONSE_TIME, "{content_type}");
        }
    }
    // Moderate nesting is accepted.
    let nested = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let request = Channel::new().publish("").body("application/json", nested);
    request.send().await.expect_status(201);
    target.assert_unchanged().await;
}

#[tokio::test]
async fn a_batch_of_a_million_empty_lines_is_rejected_quickly() {
    let target = Target::new().await;
    for (lines, status, kind) in [
        (1_000_000, 400, "body"),
        (1_048_576, 400, "body"),
        (1_048_577, 413, "too-large"),
        (4_000_000, 413, "too-large"),
    ] {
        let request = target.channel.publish("");
        let request = request.body("application/x-ndjson", "\n".repeat(lines));
        let start = Instant::now();
        // Above the limit, the connection may end before the body has been sent completely.
        match request.try_send().await {
            Ok(response) => response.assert_problem(status, kind, ""),
            Err(error) => assert_eq!(status, 413, "{error}"),
        }
        assert!(start.elapsed() < MAX_RESPONSE_TIME, "{lines}");
    }
    let event = format!("{}{{\"data\":\"last\"}}", "\n".repeat(1_000_000));
    let request = Channel::new()
        .publish("")
        .body("application/x-ndjson", event);
    request.send().await.expect_status(201);
    target.assert_unchanged().await;
}

#[tokio::test]
async fn huge_json_is_published_verbatim_or_rejected_as_too_large() {
    let target = Target::new().await;
    let number = "1".repeat(60_000);
    let request = Channel::new().publish("").body("application/json", number);
    request.send().await.expect_status(201);
    for body in ["9".repeat(70_000), format!("[{}1]", "1,".repeat(400_000))] {
        let request = target.channel.publish("").body("application/json", body);
        request
            .send()
            .await
            .assert_problem(413, "too-large", "65536");
    }
    target.assert_unchanged().await;
}

#[tokio::test]
async fn compressed_bodies_are_rejected_without_decompression() {
    let target = Target::new().await;
    // A gzip header without content.
    let gzip: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03";
    for encoding in [
        "gzip",
        "GZIP",
        "br",
        "deflate",
        "zstd",
        "identity, gzip",
        "gzip, identity",
        "x",
    ] {
        for (content_type, body) in [("text/plain", &b"plain"[..]), ("application/json", gzip)] {
            let request = target.channel.publish("").body(content_type, body);
            let response = request.header("content-encoding", encoding).send().await;
            response.assert_problem(415, "media-type", "content-encoding");
            assert_eq!(response.header("accept-encoding"), Some("identity"));
        }
    }
    for encoding in ["identity", "", "identity, Identity"] {
        let request = Channel::new().publish("").body("text/plain", "plain");
        let request = request.header("content-encoding", encoding);
        request.send().await.expect_status(201);
    }
    target.assert_unchanged().await;
}

#[tokio::test]
async fn an_oversized_cursor_is_reported_as_a_reset_gap() {
    let target = Target::new().await;
    let multi_channel = format!("~0{}", "A".repeat(12 * 5_000));
    for cursor in [
        "x".repeat(65_536),
        "~".repeat(10_000),
        "~0".repeat(10_000),
        "a-1~".repeat(10_000),
        multi_channel,
    ] {
        let request = target.channel.events("?live=false");
        let start = Instant::now();
        let request = request.header("last-event-id", &cursor);
        let mut stream = Stream::of(request.open().await);
        let (_, gap) = stream.control_event("runnel.gap").await;
        assert_eq!(gap["reason"], "reset");
        assert!(gap["requested"].as_str().unwrap().len() <= 128);
        assert_eq!(stream.event().await.id, target.id);
        assert!(start.elapsed() < MAX_RESPONSE_TIME);
        let rest = stream.rest().await;
        assert!(rest.is_empty(), "{rest:?}");
        // The limit for queries is lower.
        let query = format!("?live=false&last_event_id={}", &cursor[..9_000]);
        let response = target.channel.events(&query).send().await;
        response.assert_problem(400, "query", "at most 8192");
    }
    // Of repeated headers, the first one counts.
    let mut request = target.channel.events("?live=false");
    for _ in 0..50 {
        request = request.header("last-event-id", &target.id);
    }
    request.send().await.expect_status(204);
}

#[tokio::test]
async fn forged_host_and_proxy_headers_have_no_effect() {
    let (target, other) = (Target::new().await, Target::new().await);
    let with_forged_headers = |request: runnel_testing::Request| {
        let other_channel = format!("/{}", other.channel.name);
        let url = format!("http://evil.example/events{other_channel}");
        request
            .header("spin-path-info", &other_channel)
            .header("spin-full-url", &url)
            .header("spin-matched-route", "/publish/...")
            .header("spin-component-route", "/publish")
            .header("spin-raw-component-route", "/publish/...")
            .header("spin-base-path", "/evil")
            .header("spin-client-addr", "0.0.0.0:0")
            .header("x-forwarded-for", "127.0.0.1")
            .header("x-forwarded-host", "evil.example")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-prefix", "/evil")
            .header("forwarded", "for=127.0.0.1;host=evil.example")
            .header("x-original-url", &other_channel)
            .header("x-rewrite-url", &other_channel)
            .header("x-http-method-override", "DELETE")
    };
    let response = with_forged_headers(target.channel.events("?live=false&last=9"))
        .send()
        .await;
    let text = format!(
        "{:?} {}",
        response.headers,
        String::from_utf8_lossy(&response.body)
    );
    assert!(
        text.contains(&target.id) && !text.contains(&other.id),
        "{text}"
    );
    assert!(!text.contains("evil"), "{text}");
    // Without a token, publishing stays unauthorized.
    let path = format!("/publish/{}", target.channel.name);
    let request = shared_server()
        .request("POST", &path)
        .body("text/plain", "x");
    with_forged_headers(request)
        .send()
        .await
        .assert_problem(401, "unauthorized", "");
    let state = with_forged_headers(target.channel.manage("GET", ""))
        .send()
        .await
        .expect_status(200);
    assert_eq!(state.json()["channel"], target.channel.name);
    target.assert_unchanged().await;
    other.assert_unchanged().await;
}

#[tokio::test]
async fn a_cookie_neither_authorizes_publishing_nor_appears_in_the_response() {
    let target = Target::new().await;
    let token = target.channel.server.token.clone();
    let path = format!("/publish/{}", target.channel.name);
    for cookie in [
        format!("publish_token={token}"),
        format!("authorization=Bearer {token}; token={token}"),
        format!("x={}", "y".repeat(50_000)),
    ] {
        let request = shared_server()
            .request("POST", &path)
            .body("text/plain", "x");
        let response = request.header("cookie", &cookie).send().await;
        response.assert_problem(401, "unauthorized", "");
        assert!(!response.headers.contains_key("set-cookie"));
        assert!(!String::from_utf8_lossy(&response.body).contains(&token));
    }
    target.assert_unchanged().await;
}

#[tokio::test]
async fn path_tricks_do_not_reach_another_channel() {
    let target = Target::new().await;
    let name = &target.channel.name;
    let long = "x/".repeat(30_000);
    for path in [
        format!("/events/x/%2e%2e/{name}"),
        format!("/events/x/%2E%2E/{name}"),
        format!("/events/.%2e/{name}"),
        format!("/events/x/..%2f{name}"),
        format!("//events/{name}"),
        format!("/events//{name}"),
        format!("/events/{name}/"),
        format!("/./events/{name}"),
        format!("/x/../events/{name}"),
        format!("/events;a=b/{name}"),
        format!("/events/{name};a=b"),
        format!("/events\\{name}"),
        format!("/events/{name}%00"),
        format!("/events/%c0%ae%c0%ae/{name}"),
        format!("/events/%e0%80%ae/{name}"),
        format!("/events/{name}%ef%bc%8f"),
        format!("/%65vents/{name}"),
        format!("/events%2f{name}"),
        format!("/EVENTS/{name}"),
        format!("/events/{long}"),
        format!("/{long}"),
    ] {
        let request = format!(
            "GET {path}?last=1&live=false HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n"
        );
        let response = shared_server().send_raw(request.as_bytes()).await;
        let excerpt = &path[..path.len().min(80)];
        assert!(
            [400, 404, 414, 431].contains(&response.status.as_u16()),
            "{excerpt}: {response:?}"
        );
        let body = String::from_utf8_lossy(&response.body);
        assert!(!body.contains("kept"), "{excerpt}: {body}");
    }
    // Paths that are not UTF-8, and request targets that are not paths.
    for path in [
        &b"/events/\xff\xfe"[..],
        b"/events/\xc3\x28",
        b"events/a",
        b"*",
        b"http://",
    ] {
        let mut request = b"GET ".to_vec();
        request.extend(path);
        request.extend(b" HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        let response = shared_server().send_raw(&request).await;
        let is_rejected = [400, 404].contains(&response.status.as_u16());
        assert!(is_rejected, "{path:?}: {response:?}");
    }
    // The absolute form addresses the same channel, whatever its host.
    let text = format!(
        "GET http://evil.example/events/{name}?last=1&live=false HTTP/1.1\r\n\
         host: evil.example\r\nconnection: close\r\n\r\n"
    );
    let response = shared_server()
        .send_raw(text.as_bytes())
        .await
        .expect_status(200);
    let text = format!("{:?}", response.headers);
    assert!(!text.contains("evil"), "{text}");
    target.assert_unchanged().await;
}

#[tokio::test]
async fn requests_for_unknown_channels_create_nothing() {
    let channel = Channel::new();
    for number in 0..1_000 {
        let path = format!("/events/{}/{number}", channel.name);
        let response = shared_server().get(&path).open().await;
        assert_eq!(response.status, 200);
        if number % 10 == 0 {
            let mut body = response.body;
            body.frame().await.unwrap().unwrap();
        }
    }
    for number in [0, 500, 999] {
        let path = format!("/channels/{}/{number}", channel.name);
        let response = shared_server().get(&path).authorized().send().await;
        response.assert_problem(404, "unknown-channel", &channel.name);
    }
}
