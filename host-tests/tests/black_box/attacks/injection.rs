//! Line endings and NUL in all fields that reach the event stream, a header or the log.

use runnel_testing::{Channel, Response, shared_server};
use serde_json::Value;

use super::Target;

/// Publishes one byte with additional raw header lines.
async fn publish_raw(target: &Target, header_lines: &str) -> Response {
    let request = format!(
        "POST /publish/{} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {}\r\n{header_lines}\r\n\
         content-type: text/plain\r\nconnection: close\r\n\r\nx",
        target.channel.name, target.channel.server.token
    );
    shared_server().send_raw(request.as_bytes()).await
}

fn assert_not_injected(response: &Response) {
    assert!(!response.headers.contains_key("x-injected"), "{response:?}");
    let body = String::from_utf8_lossy(&response.body);
    assert!(!body.contains("\nx-injected"), "{body}");
}

#[tokio::test]
async fn line_endings_and_nul_cannot_be_injected_into_headers_or_fields() {
    let target = Target::new().await;
    let injections = [
        "%0d%0ax-injected:1",
        "%0ax-injected:1",
        "%0dx-injected:1",
        "%00",
    ];
    for injection in injections {
        for path in [
            format!("/events/a{injection}"),
            format!("/events?channel=a{injection}"),
            format!("/events/a?event=x{injection}"),
            format!("/events/a?live={injection}"),
            format!("/events/a?last={injection}"),
            format!("/events/{}?wait={injection}", target.channel.name),
            format!("/channels/a{injection}"),
        ] {
            let response = shared_server()
                .get(&path)
                .authorized()
                .accept_json()
                .send()
                .await;
            assert_eq!(response.status, 400, "{path}: {response:?}");
            assert_not_injected(&response);
        }
        // Links repeat the query percent-encoded, and an unreadable cursor is a gap.
        let query = format!("?live=false&last_event_id=x{injection}&x=y{injection}");
        let response = target
            .channel
            .events(&query)
            .send()
            .await
            .expect_status(200);
        assert_not_injected(&response);
        let response = target.channel.events(&query.replace("live=false&", ""));
        assert_not_injected(&response.accept_json().send().await.expect_status(200));
        let typed = target.channel.publish(&format!("?event=x{injection}"));
        let response = typed.body("text/plain", "x").send().await;
        response.assert_problem(400, "event-type", "");
        let form = format!("data=x&event=y{injection}");
        let request = target.channel.publish("");
        let request = request.body("application/x-www-form-urlencoded", form);
        request.send().await.assert_problem(400, "event-type", "");
    }
    for event in ["a\\r\\nid: 0", "a\\nb", "a\\rb", "a\\u0000"] {
        let line = format!("{{\"data\":1,\"event\":\"{event}\"}}");
        let request = target
            .channel
            .publish("")
            .body("application/x-ndjson", line);
        request.send().await.assert_problem(400, "body", "line 1");
        let json = format!(
            "{{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"{event}\",\"data\":1}}"
        );
        let request = target.channel.publish("");
        let request = request.body("application/cloudevents+json", json);
        request.send().await.assert_problem(400, "event-type", "");
    }
    target.assert_unchanged().await;
}

#[tokio::test]
async fn data_cannot_inject_fields_or_events() {
    let channel = Channel::new();
    let data =
        "a\r\nid: 0-0\revent: runnel.end\n\nretry: 1\n\ndata: b\r\r\n: c\u{2028}\u{85}\0\u{feff}";
    channel.publish_text(data).await;
    channel.publish_text("after").await;
    let stream = channel.subscribe("?last=2&live=false").await;
    let events = stream.rest().await;
    assert_eq!(events.len(), 2, "{events:?}");
    let expected = data.replace("\r\n", "\n").replace('\r', "\n");
    assert_eq!(events[0].data, expected);
    assert_eq!(
        (events[0].event.as_str(), events[1].data.as_str()),
        ("message", "after")
    );
    assert_eq!(events[0].retry, None);
    let page = channel.events("?last=2").fetch_json().await;
    assert_eq!(page["events"][0]["data"], Value::from(data));
}

#[tokio::test]
async fn malformed_headers_and_framing_append_nothing() {
    let target = Target::new().await;
    for header in [
        "idempotency-key: a\0b",
        "idempotency-key: a\rb",
        "cookie: a=b\0",
        "last-event-id: a\0b",
        "x\0y: z",
        "x y: z",
        ": z",
    ] {
        let response = publish_raw(&target, &format!("{header}\r\ncontent-length: 1")).await;
        assert_eq!(response.status, 400, "{header:?}");
    }
    // Ambiguous framing enables request smuggling.
    for framing in [
        "content-length: 1\r\ncontent-length: 2",
        "content-length: 1, 2",
        "content-length: -1",
        "content-length: 18446744073709551616",
        "transfer-encoding: gzip",
        "transfer-encoding: chunked, identity",
    ] {
        let response = publish_raw(&target, framing).await;
        assert!(response.status.is_client_error(), "{framing}: {response:?}");
    }
    target.assert_unchanged().await;
}
