//! What somebody may try who means harm: the answer, and that nothing was gained by it.
//!
//! Slow heads, bodies and readers are in [`crate::connections`], floods in [`crate::limits`], other bad
//! paths, cursors and bodies in the modules of those names.

mod injection;

use std::time::{Duration, Instant};

use http_body_util::BodyExt as _;

use crate::channel::Channel;
use crate::server::server;
use crate::stream::Stream;

/// What any single request may cost: generous, for the machine may be slow.
const SOON: Duration = Duration::from_secs(10);

/// A channel with one event, which is all that is there at the end.
struct Target {
    channel: Channel,
    id: String,
}

impl Target {
    async fn new() -> Self {
        let channel = Channel::new();
        let id = channel.say("kept").await;
        Self { channel, id }
    }

    /// Nothing was added, and the server still serves.
    async fn is_untouched(&self) {
        let log = self.channel.log().await;
        assert_eq!(log, [(self.id.clone(), "kept".to_owned())]);
    }
}

#[tokio::test]
async fn deeply_nested_json_is_refused_and_stops_no_instance() {
    let target = Target::new().await;
    let mut live = target.channel.subscribe("").await;
    live.begun().await;
    for open in ["[", "{\"a\":"] {
        let nested = open.repeat(100_000);
        let line = format!("{{\"data\":{nested}}}");
        for (content_type, body) in [
            ("application/json", &nested),
            ("application/vnd.x+json", &nested),
            ("application/x-ndjson", &line),
            ("application/cloudevents+json", &nested),
        ] {
            let request = target.channel.publish("").body(content_type, body.clone());
            let begun = Instant::now();
            let answer = request.send().await;
            answer.is_problem(400, "body", "");
            assert!(begun.elapsed() < SOON, "{content_type}");
        }
    }
    // Nesting that is as good as any is data.
    let nested = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let request = Channel::new().publish("").body("application/json", nested);
    request.send().await.has(201);
    target.is_untouched().await;
}

#[tokio::test]
async fn a_million_empty_lines_are_no_batch() {
    let target = Target::new().await;
    for (lines, status, kind) in [
        (1_000_000, 400, "body"),
        (1_048_576, 400, "body"),
        (1_048_577, 413, "too-large"),
        (4_000_000, 413, "too-large"),
    ] {
        let request = target.channel.publish("");
        let request = request.body("application/x-ndjson", "\n".repeat(lines));
        let begun = Instant::now();
        // Above the limit, the connection may end before all of it was sent.
        match request.try_send().await {
            Ok(answer) => answer.is_problem(status, kind, ""),
            Err(error) => assert_eq!(status, 413, "{error}"),
        }
        assert!(begun.elapsed() < SOON, "{lines}");
    }
    let event = format!("{}{{\"data\":\"last\"}}", "\n".repeat(1_000_000));
    let request = Channel::new()
        .publish("")
        .body("application/x-ndjson", event);
    request.send().await.has(201);
    target.is_untouched().await;
}

#[tokio::test]
async fn huge_json_is_data_or_too_large() {
    let target = Target::new().await;
    let number = "1".repeat(60_000);
    let request = Channel::new().publish("").body("application/json", number);
    request.send().await.has(201);
    for body in ["9".repeat(70_000), format!("[{}1]", "1,".repeat(400_000))] {
        let request = target.channel.publish("").body("application/json", body);
        request.send().await.is_problem(413, "too-large", "65536");
    }
    target.is_untouched().await;
}

#[tokio::test]
async fn compressed_bodies_are_refused_and_not_unpacked() {
    let target = Target::new().await;
    // A gzip of nothing but a promise.
    let bomb: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03";
    for encoding in [
        "gzip",
        "GZIP",
        "br",
        "deflate",
        "zstd",
        "identity, gzip",
        "x",
    ] {
        for (content_type, body) in [("text/plain", &b"plain"[..]), ("application/json", bomb)] {
            let request = target.channel.publish("").body(content_type, body);
            let answer = request.header("content-encoding", encoding).send().await;
            answer.is_problem(415, "media-type", "content-encoding");
        }
    }
    let request = Channel::new().publish("").body("text/plain", "plain");
    let request = request.header("content-encoding", "identity");
    request.send().await.has(201);
    target.is_untouched().await;
}

#[tokio::test]
async fn floods_of_cursors_are_a_gap() {
    let target = Target::new().await;
    let several = format!("~0{}", "A".repeat(12 * 5_000));
    for cursor in [
        "x".repeat(65_536),
        "~".repeat(10_000),
        "~0".repeat(10_000),
        "a-1~".repeat(10_000),
        several,
    ] {
        let request = target.channel.events("?live=false");
        let begun = Instant::now();
        let request = request.header("last-event-id", &cursor);
        let mut stream = Stream::of(request.open().await);
        let (_, gap) = stream.signal("runnel.gap").await;
        assert_eq!(gap["reason"], "reset");
        assert!(gap["requested"].as_str().unwrap().len() <= 128);
        assert_eq!(stream.event().await.id, target.id);
        assert!(begun.elapsed() < SOON);
        let rest = stream.rest().await;
        assert!(rest.is_empty(), "{rest:?}");
        // In a query there is less room.
        let query = format!("?live=false&last_event_id={}", &cursor[..9_000]);
        let answer = target.channel.events(&query).send().await;
        answer.is_problem(400, "query", "at most 8192");
    }
    // Many headers of the name count as the first.
    let mut request = target.channel.events("?live=false");
    for _ in 0..50 {
        request = request.header("last-event-id", &target.id);
    }
    request.send().await.has(204);
}

#[tokio::test]
async fn headers_that_only_a_host_or_a_proxy_should_set_change_nothing() {
    let (target, other) = (Target::new().await, Target::new().await);
    let forged = |request: crate::client::Request| {
        let victim = format!("/{}", other.channel.name);
        let url = format!("http://evil.example/events{victim}");
        request
            .header("spin-path-info", &victim)
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
            .header("x-original-url", &victim)
            .header("x-rewrite-url", &victim)
            .header("x-http-method-override", "DELETE")
    };
    let answer = forged(target.channel.events("?live=false&last=9"))
        .send()
        .await;
    let text = format!(
        "{:?} {}",
        answer.headers,
        String::from_utf8_lossy(&answer.body)
    );
    assert!(
        text.contains(&target.id) && !text.contains(&other.id),
        "{text}"
    );
    assert!(!text.contains("evil"), "{text}");
    // No token, no publishing, wherever one claims to be.
    let path = format!("/publish/{}", target.channel.name);
    let request = server().request("POST", &path).body("text/plain", "x");
    forged(request)
        .send()
        .await
        .is_problem(401, "unauthorized", "");
    let state = forged(target.channel.manage("GET", ""))
        .send()
        .await
        .has(200);
    assert_eq!(state.json()["channel"], target.channel.name);
    target.is_untouched().await;
    other.is_untouched().await;
}

#[tokio::test]
async fn cookies_are_neither_a_credential_nor_repeated() {
    let target = Target::new().await;
    let token = target.channel.server.token.clone();
    let path = format!("/publish/{}", target.channel.name);
    for cookie in [
        format!("publish_token={token}"),
        format!("authorization=Bearer {token}; token={token}"),
        format!("x={}", "y".repeat(50_000)),
    ] {
        let request = server().request("POST", &path).body("text/plain", "x");
        let answer = request.header("cookie", &cookie).send().await;
        answer.is_problem(401, "unauthorized", "");
        assert!(!answer.headers.contains_key("set-cookie"));
        assert!(!String::from_utf8_lossy(&answer.body).contains(&token));
    }
    target.is_untouched().await;
}

#[tokio::test]
async fn tricks_with_paths_lead_to_no_other_channel() {
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
        let answer = server().send_raw(request.as_bytes()).await;
        let shown = &path[..path.len().min(80)];
        assert!(
            [400, 404, 414, 431].contains(&answer.status.as_u16()),
            "{shown}: {answer:?}"
        );
        let body = String::from_utf8_lossy(&answer.body);
        assert!(!body.contains("kept"), "{shown}: {body}");
    }
    // Bytes that are no text, and what is not a path at all.
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
        let answer = server().send_raw(&request).await;
        let refused = [400, 404].contains(&answer.status.as_u16());
        assert!(refused, "{path:?}: {answer:?}");
    }
    // The absolute form names the same channel, on whatever host.
    let text = format!(
        "GET http://evil.example/events/{name}?last=1&live=false HTTP/1.1\r\n\
         host: evil.example\r\nconnection: close\r\n\r\n"
    );
    let answer = server().send_raw(text.as_bytes()).await.has(200);
    let text = format!("{:?}", answer.headers);
    assert!(!text.contains("evil"), "{text}");
    target.is_untouched().await;
}

#[tokio::test]
async fn thousands_of_requests_for_channels_that_are_not_there_leave_nothing_behind() {
    let channel = Channel::new();
    for number in 0..1_000 {
        let path = format!("/events/{}/{number}", channel.name);
        let open = server().get(&path).open().await;
        assert_eq!(open.status, 200);
        if number % 10 == 0 {
            let mut body = open.body;
            body.frame().await.unwrap().unwrap();
        }
    }
    for number in [0, 500, 999] {
        let path = format!("/channels/{}/{number}", channel.name);
        let answer = server().get(&path).authorized().send().await;
        answer.is_problem(404, "unknown-channel", &channel.name);
    }
}
