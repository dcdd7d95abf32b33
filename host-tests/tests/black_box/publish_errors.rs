//! Publish requests that are rejected. A rejected request leaves the channel unknown.

use runnel_testing::{Channel, Request, Response, TIMEOUT};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The value of `max_body_bytes` in spin.toml.
const MAX_BODY_BYTES: usize = 1_048_576;

/// Asserts that every request gets this problem and that the channel is still unknown.
async fn assert_all_rejected(
    channel: &Channel,
    status: u16,
    kind: &str,
    requests: impl IntoIterator<Item = (Request, &str)>,
) {
    for (request, about) in requests {
        request.send().await.assert_problem(status, kind, about);
    }
    let state = channel.manage("GET", "").send().await;
    state.assert_problem(404, "unknown-channel", &channel.name);
}

#[tokio::test]
async fn publishing_and_channel_management_require_the_publish_token() {
    let channel = Channel::new();
    let wrong = format!("{}x", channel.server.token);
    let shortened = &channel.server.token[..channel.server.token.len() - 1];
    let credentials = [
        (None, "Bearer TOKEN"),
        (Some(String::new()), "Bearer TOKEN"),
        (Some("Bearer".to_owned()), "not the publish token"),
        (Some(format!("Bearer {wrong}")), "not the publish token"),
        (Some(format!("Bearer {shortened}")), "not the publish token"),
        (
            Some(format!("Basic {}", channel.server.token)),
            "Bearer TOKEN",
        ),
        (Some(channel.server.token.clone()), "Bearer TOKEN"),
    ];
    for (method, path) in [
        ("POST", format!("/publish/{}", channel.name)),
        ("GET", format!("/channels/{}", channel.name)),
        ("DELETE", format!("/channels/{}", channel.name)),
        ("POST", format!("/channels/{}/close", channel.name)),
    ] {
        for (credential, about) in &credentials {
            let mut request = channel
                .server
                .request(method, &path)
                .body("text/plain", "x");
            if let Some(credential) = credential {
                request = request.header("authorization", credential);
            }
            let response = request.send().await;
            response.assert_problem(401, "unauthorized", about);
            let challenge = response.header("www-authenticate").unwrap();
            assert!(challenge.starts_with("Bearer"), "{challenge}");
            let body = String::from_utf8_lossy(&response.body);
            assert!(!body.contains(&channel.server.token));
        }
    }
    assert_all_rejected(&channel, 0, "", []).await;
}

#[tokio::test]
async fn a_publish_token_in_the_query_is_not_accepted() {
    let channel = Channel::new();
    let path = format!("/publish/{}?token={}", channel.name, channel.server.token);
    let request = channel
        .server
        .request("POST", &path)
        .body("text/plain", "x");
    assert_all_rejected(&channel, 401, "unauthorized", [(request, "Bearer TOKEN")]).await;
}

#[tokio::test]
async fn an_unsupported_media_type_is_rejected_with_the_supported_ones() {
    let channel = Channel::new();
    let repeated = channel.publish("").body("text/plain", "x");
    let mut requests = vec![
        (channel.publish(""), "no content-type header"),
        (
            repeated.header("content-type", "text/plain"),
            "more than one",
        ),
    ];
    for content_type in [
        "application/xml",
        "application/octet-stream",
        "multipart/form-data; boundary=x",
        "application/cloudevents+xml",
        "text",
        "",
    ] {
        requests.push((
            channel.publish("").body(content_type, "x"),
            "application/x-ndjson",
        ));
    }
    let latin = channel.publish("").body("text/plain; charset=latin1", "x");
    requests.push((latin, "only utf-8"));
    assert_all_rejected(&channel, 415, "media-type", requests).await;
}

#[tokio::test]
async fn a_part_of_a_content_is_rejected() {
    let channel = Channel::new();
    let request = channel.publish("").body("text/plain", "x");
    let request = request.header("content-range", "bytes 0-0/10");
    assert_all_rejected(&channel, 400, "header", [(request, "content-range")]).await;
}

#[tokio::test]
async fn a_body_that_does_not_match_its_content_type_is_rejected() {
    let channel = Channel::new();
    let body = |content_type, body: &'static [u8]| channel.publish("").body(content_type, body);
    let requests = [
        (body("text/plain", b"ab\xffc"), "not UTF-8 from byte 2"),
        (body("text/plain", b"\xed\xa0\x80"), "not UTF-8"),
        (body("application/json", b"\"\xff\""), "not UTF-8"),
        (body("application/json", b""), "not JSON"),
        (body("application/json", b"{"), "not JSON"),
        (body("application/json", b"{'a':1}"), "not JSON"),
        (body("application/json", b"1 2"), "not JSON"),
        (body("application/json", b"NaN"), "not JSON"),
    ];
    assert_all_rejected(&channel, 400, "body", requests).await;
}

#[tokio::test]
async fn an_invalid_batch_line_is_named_and_the_whole_batch_is_rejected() {
    let channel = Channel::new();
    let batch = |lines: &'static str| channel.publish("").body("application/x-ndjson", lines);
    let requests = [
        (batch(""), "no lines"),
        (batch("\n\r\n"), "no lines"),
        (batch("{\"data\":1}\n{\"data\":\n{\"data\":2}"), "line 2"),
        (batch("{\"data\":1}\n\n{}"), "line 3"),
        (batch("{\"data\":1}\n[1]"), "line 2"),
        (batch("{\"data\":1,\"id\":\"x\"}"), "line 1"),
        (batch("{\"data\":1}\n{\"data\":1,\"event\":7}"), "line 2"),
        (batch("{\"data\":1,\"event\":\"a\\nb\"}"), "line 1"),
        (
            batch("{\"data\":1}\n{\"data\":2,\"event\":\"runnel.end\"}"),
            "line 2",
        ),
    ];
    assert_all_rejected(&channel, 400, "body", requests).await;
    let typed = channel
        .publish("?event=x")
        .body("application/x-ndjson", "{\"data\":1}");
    assert_all_rejected(&channel, 400, "query", [(typed, "batch")]).await;
}

#[tokio::test]
async fn event_types_with_line_breaks_or_reserved_names_are_rejected() {
    let channel = Channel::new();
    let overlong = format!("?event={}", "x".repeat(256));
    let requests = [
        ("?event=", "empty"),
        ("?event=a%0Ab", "line feed"),
        ("?event=a%0D", "carriage return"),
        ("?event=%00", "NUL"),
        ("?event=open", "reserved"),
        ("?event=error", "reserved"),
        ("?event=runnel.gap", "reserved"),
        ("?event=runnel.anything", "reserved"),
        (&overlong, "256 bytes"),
    ];
    let requests =
        requests.map(|(query, about)| (channel.publish(query).body("text/plain", "x"), about));
    assert_all_rejected(&channel, 400, "event-type", requests).await;
}

#[tokio::test]
async fn an_invalid_query_parameter_of_a_publish_is_rejected() {
    let channel = Channel::new();
    let requests = [
        ("?event=a&event=b", "`event` is given more than once"),
        ("?close=yes", "`close` is \"yes\""),
        ("?close=true&close=true", "`close` is given more than once"),
    ];
    let requests =
        requests.map(|(query, about)| (channel.publish(query).body("text/plain", "x"), about));
    assert_all_rejected(&channel, 400, "query", requests).await;
}

#[tokio::test]
async fn an_idempotency_key_must_have_1_to_255_bytes() {
    let channel = Channel::new();
    let keyed = |key: String| {
        let request = channel.publish("").header("idempotency-key", key);
        request.body("text/plain", "x")
    };
    let requests = [
        (keyed(String::new()), "0 bytes"),
        (keyed("k".repeat(256)), "256 bytes"),
    ];
    assert_all_rejected(&channel, 400, "header", requests).await;
    keyed("k".repeat(255)).send().await.expect_status(201);
}

#[tokio::test]
async fn an_event_over_the_size_limit_is_rejected() {
    let channel = Channel::new();
    let text = channel.publish("").body("text/plain", "x".repeat(65_537));
    let line = format!("{{\"data\":1}}\n{{\"data\":\"{}\"}}", "x".repeat(65_537));
    let batch = channel.publish("").body("application/x-ndjson", line);
    let requests = [(text, "65537 bytes; at most 65536"), (batch, "line 2")];
    assert_all_rejected(&channel, 413, "too-large", requests).await;
}

#[tokio::test]
async fn a_batch_over_a_limit_is_rejected_with_the_limit() {
    let channel = Channel::new();
    let batch = |lines: String| channel.publish("").body("application/x-ndjson", lines);
    let bytes = batch("{\"data\":\"\"}\n".repeat(4_097));
    let one_event = format!("{{\"data\":\"{}\"}}", "x".repeat(65_537));
    let body = batch("\n".repeat(MAX_BODY_BYTES + 1));
    let requests = [
        (bytes, "line 4097: with this line the batch has 65552 bytes"),
        (
            batch(one_event),
            "at most 65536 are accepted (`max_event_bytes`)",
        ),
        (body, "more than 1048576 bytes (`max_body_bytes`)"),
    ];
    assert_all_rejected(&channel, 413, "too-large", requests).await;
}

/// Returns the head of a publish request with these framing headers.
fn publish_head(channel: &Channel, framing: &str) -> String {
    format!(
        "POST /publish/{} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n\
         content-type: text/plain\r\nconnection: close\r\n{framing}\r\n\r\n",
        channel.name, channel.server.authority, channel.server.token
    )
}

async fn connect(channel: &Channel) -> TcpStream {
    TcpStream::connect(&channel.server.authority).await.unwrap()
}

async fn read_response(connection: &mut TcpStream) -> Response {
    let response = timeout(TIMEOUT, Response::read_from(connection)).await;
    response.expect("the server waits for the rest of the body")
}

#[tokio::test]
async fn a_body_is_rejected_by_its_content_length_without_being_read() {
    let channel = Channel::new();
    let framing = format!("content-length: {}", MAX_BODY_BYTES + 1);
    let mut connection = connect(&channel).await;
    let start = format!("{}a little of it", publish_head(&channel, &framing));
    connection.write_all(start.as_bytes()).await.unwrap();
    let response = read_response(&mut connection).await;
    response.assert_problem(413, "too-large", &MAX_BODY_BYTES.to_string());
    assert_all_rejected(&channel, 0, "", []).await;
}

#[tokio::test]
async fn an_endless_chunked_body_is_rejected_at_the_size_limit() {
    let channel = Channel::new();
    let mut connection = connect(&channel).await;
    let start = publish_head(&channel, "transfer-encoding: chunked");
    connection.write_all(start.as_bytes()).await.unwrap();
    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    // One chunk over the limit, without a final chunk.
    for _ in 0..=MAX_BODY_BYTES / 0x4000 {
        connection.write_all(chunk.as_bytes()).await.unwrap();
    }
    let response = read_response(&mut connection).await;
    response.assert_problem(413, "too-large", &MAX_BODY_BYTES.to_string());
    assert_all_rejected(&channel, 0, "", []).await;
}

#[tokio::test]
async fn a_publisher_that_disconnects_mid_body_publishes_nothing() {
    let channel = Channel::new();
    for framing in ["content-length: 10", "transfer-encoding: chunked"] {
        let mut connection = connect(&channel).await;
        let start = format!("{}5\r\nhello", publish_head(&channel, framing));
        connection.write_all(start.as_bytes()).await.unwrap();
        connection.flush().await.unwrap();
        drop(connection);
    }
    let first = channel.publish_text("whole").await;
    assert_eq!(channel.log().await, [(first, "whole".to_owned())]);
}
