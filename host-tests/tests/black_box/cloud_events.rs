//! CloudEvents 1.0 over HTTP, in structured and in binary mode.

use serde_json::json;

use crate::channel::{Channel, id_of};
use crate::client::Request;

const STRUCTURED: &str = "application/cloudevents+json";

fn structured(channel: &Channel, body: impl Into<String>) -> Request {
    channel.publish("").body(STRUCTURED, body.into())
}

/// The attributes of a CloudEvent in binary mode, except those that are `None`.
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

const ALL: [Option<&str>; 4] = [
    Some("1.0"),
    Some("42"),
    Some("/shop"),
    Some("order.created"),
];

/// The newest event: its type and its data.
async fn newest(channel: &Channel) -> (String, String) {
    let stream = channel.subscribe("?last=1&live=false").await;
    let event = stream.rest().await.remove(0);
    (event.event, event.data)
}

#[tokio::test]
async fn a_structured_cloud_event_is_the_data_and_its_type_the_type() {
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
        request.send().await.has(201);
        let event: serde_json::Value = serde_json::from_str(body).unwrap();
        let event_type = event["type"].as_str().unwrap().to_owned();
        assert_eq!(newest(&channel).await, (event_type, body.to_owned()));
    }
}

#[tokio::test]
async fn a_binary_cloud_event_has_its_attributes_in_headers() {
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
        request.send().await.has(201);
        let expected = ("order.created".to_owned(), body.to_owned());
        assert_eq!(newest(&channel).await, expected);
    }
}

#[tokio::test]
async fn attributes_in_headers_are_percent_encoded() {
    let channel = Channel::new();
    let encoded = [
        Some("1.0"),
        Some("Euro%20%E2%82%AC"),
        Some("/s"),
        Some("gr%C3%b6%C3%9Fe%201"),
    ];
    let first = binary(&channel, encoded, "text/plain", "x");
    let first = id_of(&first.send().await.has(201));
    assert_eq!(newest(&channel).await.0, "größe 1");
    // The same id, written otherwise.
    let same = [
        Some("1.0"),
        Some("%45uro %e2%82%ac"),
        Some("%2Fs"),
        Some("gr%C3%B6%C3%9Fe 1"),
    ];
    let same = binary(&channel, same, "text/plain", "x")
        .send()
        .await
        .has(201);
    assert_eq!(id_of(&same), first);
}

#[tokio::test]
async fn quotes_around_an_attribute_in_a_header_are_no_part_of_it() {
    // CloudEvents HTTP protocol binding 1.0.2, 3.1.3.2.
    let channel = Channel::new();
    let attributes = [
        Some("\"1.0\""),
        Some("1"),
        Some("/s"),
        Some("\"quoted \\\"type\\\"\""),
    ];
    let request = binary(&channel, attributes, "text/plain", "x");
    request.send().await.has(201);
    assert_eq!(newest(&channel).await.0, "quoted \"type\"");
}

#[tokio::test]
async fn source_and_id_tell_a_repeat() {
    let channel = Channel::new();
    let body = |source: &str, id: &str| {
        let event = json!({"specversion": "1.0", "id": id, "source": source, "type": "t"});
        structured(&channel, event.to_string())
    };
    let first = id_of(&body("/a", "1").send().await.has(201));
    channel.say("in between").await;
    assert_eq!(id_of(&body("/a", "1").send().await.has(201)), first);
    let mut others = vec![];
    for (source, id) in [("/b", "1"), ("/a", "2"), ("/a1", ""), ("/", "a1")] {
        if !id.is_empty() {
            others.push(id_of(&body(source, id).send().await.has(201)));
        }
    }
    assert_eq!(channel.log().await.len(), 2 + others.len());
    let binary_first = binary(&channel, ALL, "text/plain", "x");
    let binary_first = id_of(&binary_first.send().await.has(201));
    let again = binary(&channel, ALL, "text/plain", "x").send().await;
    assert_eq!(id_of(&again.has(201)), binary_first);
    let other = binary(&channel, ALL, "text/plain", "y").send().await;
    other.is_problem(422, "idempotency-key-reused", "use a new key");
    let other_type = [ALL[0], ALL[1], ALL[2], Some("other")];
    let other = binary(&channel, other_type, "text/plain", "x").send().await;
    other.is_problem(422, "idempotency-key-reused", "use a new key");
    // A key in the header is another kind of key.
    let keyed = channel.publish("").header("idempotency-key", "1");
    keyed.body("text/plain", "x").send().await.has(201);
}

#[tokio::test]
async fn a_cloud_event_without_a_required_attribute_is_refused() {
    let channel = Channel::new();
    for (place, name) in ["specversion", "id", "source", "type"].iter().enumerate() {
        for missing in [None, Some("")] {
            let mut attributes = ALL;
            attributes[place] = missing;
            let answer = binary(&channel, attributes, "text/plain", "x").send().await;
            answer.is_problem(400, "header", &format!("no {name}"));
        }
        for missing in [json!(null), json!("")] {
            let mut event = json!({"specversion": "1.0", "id": "1", "source": "s", "type": "t"});
            event[name] = missing;
            let answer = structured(&channel, event.to_string()).send().await;
            answer.is_problem(400, "body", &format!("no {name}"));
            event.as_object_mut().unwrap().remove(*name);
            let answer = structured(&channel, event.to_string()).send().await;
            answer.is_problem(400, "body", &format!("no {name}"));
        }
        let mut event = json!({"specversion": "1.0", "id": "1", "source": "s", "type": "t"});
        event[name] = json!(1);
        let answer = structured(&channel, event.to_string()).send().await;
        answer.is_problem(400, "body", "not a CloudEvent");
    }
    for version in ["0.3", "1", "1.1", "2.0"] {
        let event = json!({"specversion": version, "id": "1", "source": "s", "type": "t"});
        let answer = structured(&channel, event.to_string()).send().await;
        answer.is_problem(400, "body", version);
        let attributes = [Some(version), ALL[1], ALL[2], ALL[3]];
        let answer = binary(&channel, attributes, "text/plain", "x").send().await;
        answer.is_problem(400, "header", version);
    }
    is_unknown(&channel).await;
}

#[tokio::test]
async fn what_is_no_cloud_event_is_refused() {
    let channel = Channel::new();
    let valid = r#"{"specversion":"1.0","id":"1","source":"s","type":"t"}"#;
    let twice = r#"{"specversion":"1.0","id":"1","source":"s","type":"t","id":"2"}"#;
    let both =
        r#"{"specversion":"1.0","id":"1","source":"s","type":"t","data":1,"data_base64":""}"#;
    let reserved = r#"{"specversion":"1.0","id":"1","source":"s","type":"runnel.gap"}"#;
    let lines = r#"{"specversion":"1.0","id":"1","source":"s","type":"a\nb"}"#;
    let keyed = structured(&channel, valid).header("idempotency-key", "k");
    let with_type = channel.publish("?event=t").body(STRUCTURED, valid);
    let headers = binary(&channel, ALL, STRUCTURED, valid);
    let ndjson = binary(&channel, ALL, "application/x-ndjson", "{\"data\":1}");
    let form = binary(&channel, ALL, "application/x-www-form-urlencoded", "data=1");
    let binary_keyed = binary(&channel, ALL, "text/plain", "x").header("idempotency-key", "k");
    let not_text = [ALL[0], Some("%ff"), ALL[2], ALL[3]];
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
        (headers, "header", "cannot be used with"),
        (ndjson, "header", "cannot be used with application/x-ndjson"),
        (form, "header", "cannot be used with"),
        (not_text, "header", "ce-id is not percent-encoded UTF-8"),
        (
            binary(&channel, ALL, "application/json", "{"),
            "body",
            "not JSON",
        ),
    ] {
        request.send().await.is_problem(400, kind, about);
    }
    let batch = "application/cloudevents-batch+json";
    let batch = channel.publish("").body(batch, format!("[{valid}]"));
    batch
        .send()
        .await
        .is_problem(415, "media-type", "cloudevents-batch+json");
    is_unknown(&channel).await;
}

#[tokio::test]
async fn an_array_is_no_cloud_event() {
    let channel = Channel::new();
    let array = structured(&channel, r#"["1.0","1","s","t",null,null]"#);
    array
        .send()
        .await
        .is_problem(400, "body", "not a CloudEvent");
    is_unknown(&channel).await;
}

#[tokio::test]
async fn an_attribute_that_is_given_twice_is_refused() {
    let channel = Channel::new();
    for name in ["ce-specversion", "ce-id", "ce-source", "ce-type"] {
        let request = binary(&channel, ALL, "text/plain", "x").header(name, "1.0");
        request.send().await.is_problem(400, "header", name);
    }
    is_unknown(&channel).await;
}

/// Nothing was appended.
async fn is_unknown(channel: &Channel) {
    let state = channel.manage("GET", "").send().await;
    state.is_problem(404, "unknown-channel", &channel.name);
}
