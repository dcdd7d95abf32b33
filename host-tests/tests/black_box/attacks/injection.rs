//! Line ends and NUL in every field that reaches the wire, a header or the log.

use serde_json::Value;

use super::Target;
use crate::channel::Channel;
use crate::client::Answer;
use crate::server::server;

/// Publishes with these header lines as they are.
async fn publish(target: &Target, lines: &str) -> Answer {
    let request = format!(
        "POST /publish/{} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {}\r\n{lines}\r\n\
         content-type: text/plain\r\nconnection: close\r\n\r\nx",
        target.channel.name, target.channel.server.token
    );
    server().send_raw(request.as_bytes()).await
}

fn has_no_injection(answer: &Answer) {
    assert!(!answer.headers.contains_key("x-injected"), "{answer:?}");
    let body = String::from_utf8_lossy(&answer.body);
    assert!(!body.contains("\nx-injected"), "{body}");
}

#[tokio::test]
async fn line_ends_and_nul_reach_no_header_and_no_field_of_the_wire() {
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
            let answer = server().get(&path).authorized().long_poll().send().await;
            assert_eq!(answer.status, 400, "{path}: {answer:?}");
            has_no_injection(&answer);
        }
        // What is repeated in a link is still encoded, and a cursor is a gap.
        let query = format!("?live=false&last_event_id=x{injection}&x=y{injection}");
        let answer = target.channel.events(&query).send().await.has(200);
        has_no_injection(&answer);
        let answer = target.channel.events(&query.replace("live=false&", ""));
        has_no_injection(&answer.long_poll().send().await.has(200));
        let typed = target.channel.publish(&format!("?event=x{injection}"));
        let answer = typed.body("text/plain", "x").send().await;
        answer.is_problem(400, "event-type", "");
        let form = format!("data=x&event=y{injection}");
        let request = target.channel.publish("");
        let request = request.body("application/x-www-form-urlencoded", form);
        request.send().await.is_problem(400, "event-type", "");
    }
    for event in ["a\\r\\nid: 0", "a\\nb", "a\\rb", "a\\u0000"] {
        let line = format!("{{\"data\":1,\"event\":\"{event}\"}}");
        let request = target
            .channel
            .publish("")
            .body("application/x-ndjson", line);
        request.send().await.is_problem(400, "body", "line 1");
        let json = format!(
            "{{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"s\",\"type\":\"{event}\",\"data\":1}}"
        );
        let request = target.channel.publish("");
        let request = request.body("application/cloudevents+json", json);
        request.send().await.is_problem(400, "event-type", "");
    }
    target.is_untouched().await;
}

#[tokio::test]
async fn data_cannot_pass_for_fields_or_other_events() {
    let channel = Channel::new();
    let data =
        "a\r\nid: 0-0\revent: runnel.end\n\nretry: 1\n\ndata: b\r\r\n: c\u{2028}\u{85}\0\u{feff}";
    channel.say(data).await;
    channel.say("after").await;
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
    let page = channel.events("?last=2").json().await;
    assert_eq!(page["events"][0]["data"], Value::from(data));
}

#[tokio::test]
async fn raw_line_ends_and_nul_in_headers_never_reach_the_log() {
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
        let answer = publish(&target, &format!("{header}\r\ncontent-length: 1")).await;
        assert_eq!(answer.status, 400, "{header:?}");
    }
    // Two lengths, or a length and chunks, are how requests are smuggled.
    for framing in [
        "content-length: 1\r\ncontent-length: 2",
        "content-length: 1, 2",
        "content-length: -1",
        "content-length: 18446744073709551616",
        "transfer-encoding: gzip",
        "transfer-encoding: chunked, identity",
    ] {
        let answer = publish(&target, framing).await;
        assert!(answer.status.is_client_error(), "{framing}: {answer:?}");
    }
    target.is_untouched().await;
}
