//! CloudEvents 1.0 over HTTP, in structured and binary content mode.

use runnel_testing::{Channel, Request};
use serde_json::json;

const STRUCTURED: &str = "application/cloudevents+json";

fn structured(channel: &Channel, body: impl Into<String>) -> Request {
    channel.publish("").body(STRUCTURED, body.into())
}

/// Builds a publish request for a CloudEvent in binary mode. Attributes that are `None` are omitted.
fn binary(
    channel: &Channel,
    [version, id, source, event_type]: [Option<&str>; 4],
    content_type: &str,
    body: &'static str,
) -> Request {
    let mut request = channel.publish("").body(content_type, body);
    for (name, value) in [
        ("ce-specversion", version),
        ("ce-id", id),
        ("ce-source", source),
        ("ce-type", event_type),
    ] {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    request
}

const ATTRIBUTES: [Option<&str>; 4] = [
    Some("1.0"),
    Some("42"),
    Some("/shop"),
    Some("order.created"),
];

/// Returns the type and the data of the newest event.
async fn newest_event(channel: &Channel) -> (String, String) {
    let stream = channel.subscribe("?last=1&live=false").await;
    let event = stream.rest().await.remove(0);
    (event.event, event.data)
}

#[tokio::test]
async fn a_structured_cloud_event_is_published_verbatim_under_its_type() {
    let channel = Channel::new();
    for (content_type, body) in [
        (
            STRUCTURED,
            r#"{ "specversion":"1.0","id":"1","source":"/s","type":"com.example.a","data":{"n":1}}"#,
        ),
        (
            "Application/CloudEvents+JSON; charset=utf-8",
            r#"{"type":"größe","source":"s","id":"\u00e4","specversion":"1.0","ext":[1]}"#,
        ),
        (
            STRUCTURED,
            r#"{"specversion":"1.0","id":"3","source":"/s","type":"a","data_base64":"AAAA"}"#,
        ),
    ] {
        let request = channel.publish("").body(content_type, body);
        request.send().await.expect_status(201);
        let event: serde_json::Value = serde_json::from_str(body).unwrap();
        let event_type = event["type"].as_str().unwrap().to_owned();
        assert_eq!(newest_event(&channel).await, (event_type, body.to_owned()));
    }
}

#[tokio::test]
async fn a_binary_cloud_event_is_published_with_its_body_as_data() {
    let channel = Channel::new();
    for (content_type, body) in [
        ("application/json", r#"{"n": 1}"#),
        ("application/vnd.shop+json", "[]"),
        ("text/plain; charset=utf-8", "text"),
    ] {
        let id = format!("id of {content_type}");
        let attributes = [
            Some("1.0"),
            Some(id.as_str()),
            Some("/shop"),
            Some("order.created"),
        ];
        let request = binary(&channel, attributes, content_type, body);
        let request = request.header("ce-time", "2026-01-01T00:00:00Z");
        request.send().await.expect_status(201);
        let expected = ("order.created".to_owned(), body.to_owned());
        assert_eq!(newest_event(&channel).await, expected);
    }
}

#[tokio::test]
async fn cloud_event_headers_are_percent_decoded() {
    let channel = Channel::new();
    let encoded = [
        Some("1.0"),
        Some("Euro%20%E2%82%AC"),
        Some("/s"),
        Some("gr%C3%b6%C3%9Fe%201"),
    ];
    let first = binary(&channel, encoded, "text/plain", "x");
    let first = first.send().await.expect_status(201).event_id();
    assert_eq!(newest_event(&channel).await.0, "größe 1");
    // The same id, encoded differently.
    let same = [
        Some("1.0"),
        Some("%45uro %e2%82%ac"),
        Some("%2Fs"),
        Some("gr%C3%B6%C3%9Fe 1"),
    ];
    let same = binary(&channel, same, "text/plain", "x")
        .send()
        .await
        .expect_status(201);
    assert_eq!(same.event_id(), first);
}

#[tokio::test]
async fn a_quoted_cloud_event_header_is_unquoted() {
    // CloudEvents HTTP protocol binding 1.0.2, 3.1.3.2.
    let channel = Channel::new();
    let attributes = [
        Some("\"1.0\""),
        Some("1"),
        Some("/s"),
        Some("\"quoted \\\"type\\\"\""),
    ];
    let request = binary(&channel, attributes, "text/plain", "x");
    request.send().await.expect_status(201);
    assert_eq!(newest_event(&channel).await.0, "quoted \"type\"");
}

#[tokio::test]
async fn a_cloud_event_with_the_same_source_and_id_is_a_retry() {
    let channel = Channel::new();
    let body = |source: &str, id: &str| {
        let event = json!({"specversion": "1.0", "id": id, "source": source, "type": "t"});
        structured(&channel, event.to_string())
    };
    let first = body("/a", "1").send().await.expect_status(201).event_id();
    channel.publish_text("in between").await;
    assert_eq!(
        body("/a", "1").send().await.expect_status(201).event_id(),
        first
    );
    let mut others = vec![];
    for (source, id) in [("/b", "1"), ("/a", "2"), ("/a1", ""), ("/", "a1")] {
        if !id.is_empty() {
            others.push(body(source, id).send().await.expect_status(201).event_id());
        }
    }
    assert_eq!(channel.log().await.len(), 2 + others.len());
    let binary_first = binary(&channel, ATTRIBUTES, "text/plain", "x");
    let binary_first = binary_first.send().await.expect_status(201).event_id();
    let again = binary(&channel, ATTRIBUTES, "text/plain", "x").send().await;
    assert_eq!(again.expect_status(201).event_id(), binary_first);
    // An idempotency key never equals the id of a CloudEvent.
    let keyed = channel.publish("").header("idempotency-key", "1");
    keyed
        .body("text/plain", "x")
        .send()
        .await
        .expect_status(201);
}

#[tokio::test]
async fn a_cloud_event_that_is_delivered_again_may_differ_in_all_but_source_and_id() {
    let channel = Channel::new();
    let event = |more: serde_json::Value| {
        let mut event = json!({"specversion": "1.0", "id": "1", "source": "/a", "type": "t"});
        event
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        structured(&channel, event.to_string())
    };
    let first = event(json!({"time": "2026-01-01T00:00:00Z", "data": {"n": 1}}));
    let first = first.send().await.expect_status(201);
    for again in [
        event(json!({"time": "2026-01-01T00:00:05Z", "data": {"n": 1}})),
        event(json!({"time": "2026-01-01T00:00:00Z", "traceparent": "00-1", "attempt": 2})),
        event(json!({"type": "other", "data": 2})),
        // An unknown query parameter, and another content type.
        channel.publish("?attempt=2").body(
            "Application/CloudEvents+JSON; charset=utf-8",
            r#"{"id":"1","source":"/a","specversion":"1.0","type":"t"}"#,
        ),
        binary(
            &channel,
            [Some("1.0"), Some("1"), Some("/a"), Some("t")],
            "text/plain",
            "other",
        ),
    ] {
        let again = again.header("ce-time", "2026-01-01T00:00:09Z").send().await;
        assert_eq!(again.expect_status(201).event_id(), first.event_id());
    }
    assert_eq!(channel.log().await.len(), 1);
    // A redelivery that closes the channel is a different request.
    let closing = channel.publish("?close=true");
    let closing = closing.body(
        STRUCTURED,
        r#"{"id":"1","source":"/a","specversion":"1.0","type":"t"}"#,
    );
    let closing = closing.send().await;
    closing.assert_problem(422, "idempotency-key-reused", "use a new key");
}

#[tokio::test]
async fn a_binary_cloud_event_needs_neither_data_nor_a_content_type() {
    let channel = Channel::new();
    for (id, content_type, body, data) in [
        ("1", None, "", ""),
        ("2", Some("application/json"), "", ""),
        ("3", Some("text/plain"), "", ""),
        ("4", Some(""), "", ""),
        ("5", None, "{\"n\": 1}", "{\"n\": 1}"),
        ("6", Some("application/xml"), "<a/>", "<a/>"),
        ("7", Some("application/x-ndjson"), "{\"a\":1}", "{\"a\":1}"),
        ("8", Some("application/x-www-form-urlencoded"), "a=1", "a=1"),
    ] {
        let path = format!("/publish/{}", channel.name);
        let mut request = channel.server.request("POST", &path).authorized();
        if let Some(content_type) = content_type {
            request = request.body(content_type, body);
        } else {
            request = request.untyped_body(body);
        }
        for (name, value) in [
            ("ce-specversion", "1.0"),
            ("ce-id", id),
            ("ce-source", "/shop"),
            ("ce-type", "order.created"),
        ] {
            request = request.header(name, value);
        }
        request.send().await.expect_status(201);
        let expected = ("order.created".to_owned(), data.to_owned());
        assert_eq!(newest_event(&channel).await, expected, "{id}");
    }
}

#[tokio::test]
async fn a_structured_cloud_event_may_repeat_its_attributes_in_headers() {
    // CloudEvents HTTP protocol binding 1.0.2, 3.2.3.
    let channel = Channel::new();
    let body = r#"{"specversion":"1.0","id":"1","source":"s","type":"t"}"#;
    let request = binary(&channel, ATTRIBUTES, STRUCTURED, body);
    request.send().await.expect_status(201);
    let expected = ("t".to_owned(), body.to_owned());
    assert_eq!(newest_event(&channel).await, expected);
}

#[tokio::test]
async fn a_cloud_event_without_a_required_attribute_is_rejected() {
    let channel = Channel::new();
    for (index, name) in ["specversion", "id", "source", "type"].iter().enumerate() {
        for missing in [None, Some("")] {
            let mut attributes = ATTRIBUTES;
            attributes[index] = missing;
            let response = binary(&channel, attributes, "text/plain", "x").send().await;
            response.assert_problem(400, "header", &format!("no {name}"));
        }
        for missing in [json!(null), json!("")] {
            let mut event = json!({"specversion": "1.0", "id": "1", "source": "s", "type": "t"});
            event[name] = missing;
            let response = structured(&channel, event.to_string()).send().await;
            response.assert_problem(400, "body", &format!("no {name}"));
            event.as_object_mut().unwrap().remove(*name);
            let response = structured(&channel, event.to_string()).send().await;
            response.assert_problem(400, "body", &format!("no {name}"));
        }
        let mut event = json!({"specversion": "1.0", "id": "1", "source": "s", "type": "t"});
        event[name] = json!(1);
        let response = structured(&channel, event.to_string()).send().await;
        response.assert_problem(400, "body", "not a CloudEvent");
    }
    for version in ["0.3", "1", "1.1", "2.0"] {
        let event = json!({"specversion": version, "id": "1", "source": "s", "type": "t"});
        let response = structured(&channel, event.to_string()).send().await;
        response.assert_problem(400, "body", version);
        let attributes = [Some(version), ATTRIBUTES[1], ATTRIBUTES[2], ATTRIBUTES[3]];
        let response = binary(&channel, attributes, "text/plain", "x").send().await;
        response.assert_problem(400, "header", version);
    }
    assert_unknown(&channel).await;
}

#[tokio::test]
async fn an_invalid_cloud_event_is_rejected() {
    let channel = Channel::new();
    let valid = r#"{"specversion":"1.0","id":"1","source":"s","type":"t"}"#;
    let twice = r#"{"specversion":"1.0","id":"1","source":"s","type":"t","id":"2"}"#;
    let both =
        r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data":1,"data_base64":""}"#;
    let reserved = r#"{"specversion":"1.0","id":"1","source":"s","type":"runnel.gap"}"#;
    let lines = r#"{"specversion":"1.0","id":"1","source":"s","type":"a\nb"}"#;
    let keyed = structured(&channel, valid).header("idempotency-key", "k");
    let with_type = channel.publish("?event=t").body(STRUCTURED, valid);
    let binary_keyed =
        binary(&channel, ATTRIBUTES, "text/plain", "x").header("idempotency-key", "k");
    let not_text = [ATTRIBUTES[0], Some("%ff"), ATTRIBUTES[2], ATTRIBUTES[3]];
    let not_text = binary(&channel, not_text, "text/plain", "x");
    for (request, kind, about) in [
        (structured(&channel, ""), "body", "not a CloudEvent"),
        (structured(&channel, "1"), "body", "not a CloudEvent"),
        (structured(&channel, "[]"), "body", "not a CloudEvent"),
        (
            structured(&channel, format!("[{valid}]")),
            "body",
            "not a CloudEvent",
        ),
        (
            structured(&channel, format!("{valid}{valid}")),
            "body",
            "not a CloudEvent",
        ),
        (structured(&channel, twice), "body", "not a CloudEvent"),
        (
            structured(&channel, both),
            "body",
            "both data and data_base64",
        ),
        (structured(&channel, reserved), "event-type", "reserved"),
        (structured(&channel, lines), "event-type", "line feed"),
        (keyed, "header", "give it once"),
        (binary_keyed, "header", "give it once"),
        (
            with_type,
            "query",
            "`event` cannot be used with a CloudEvent",
        ),
        (not_text, "header", "ce-id is not percent-encoded UTF-8"),
        (
            binary(&channel, ATTRIBUTES, "application/json", "{"),
            "body",
            "not JSON",
        ),
    ] {
        request.send().await.assert_problem(400, kind, about);
    }
    let batch = "application/cloudevents-batch+json";
    let batch = channel.publish("").body(batch, format!("[{valid}]"));
    batch
        .send()
        .await
        .assert_problem(415, "media-type", "send each in a request of its own");
    let image = binary(&channel, ATTRIBUTES, "image/png", "x").send().await;
    image.assert_problem(415, "media-type", "image/png");
    assert_unknown(&channel).await;
}

#[tokio::test]
async fn an_array_is_rejected_as_a_cloud_event() {
    let channel = Channel::new();
    let array = structured(&channel, r#"["1.0","1","s","t",null,null]"#);
    array
        .send()
        .await
        .assert_problem(400, "body", "not a CloudEvent");
    assert_unknown(&channel).await;
}

#[tokio::test]
async fn a_repeated_cloud_event_header_is_rejected() {
    let channel = Channel::new();
    for name in ["ce-specversion", "ce-id", "ce-source", "ce-type"] {
        let request = binary(&channel, ATTRIBUTES, "text/plain", "x").header(name, "1.0");
        request.send().await.assert_problem(400, "header", name);
    }
    assert_unknown(&channel).await;
}

async fn assert_unknown(channel: &Channel) {
    let state = channel.manage("GET", "").send().await;
    state.assert_problem(404, "unknown-channel", &channel.name);
}
