//! Successful publishing: accepted bodies, responses, ids and retries.

use runnel_testing::{Channel, data, ids, split_id};
use serde_json::json;

#[tokio::test]
async fn a_publish_is_answered_with_201_the_id_and_an_empty_body() {
    let channel = Channel::new();
    let request = channel.publish("").body("application/json", r#"{"n":1}"#);
    let response = request.send().await.expect_status(201);
    assert_eq!(response.header("content-length"), Some("0"));
    assert_eq!(response.body, "");
    let id = response.event_id();
    assert_eq!(split_id(&id).1, 1);
    assert_eq!(channel.log().await, [(id, r#"{"n":1}"#.to_owned())]);
}

#[tokio::test]
async fn a_publisher_that_accepts_json_gets_first_last_and_count() {
    let channel = Channel::new();
    channel.publish_text("before").await;
    let lines = "{\"data\":\"a\"}\n{\"data\":\"b\"}\n{\"data\":\"c\"}\n";
    let response = channel
        .publish("")
        .header("accept", "application/json")
        .body("application/x-ndjson", lines)
        .send()
        .await
        .expect_status(201);
    let last = response.event_id();
    let (epoch, seq) = split_id(&last);
    assert_eq!(seq, 4);
    assert_eq!(
        response.json(),
        json!({"first": format!("{epoch}-2"), "last": last, "count": 3})
    );
}

#[tokio::test]
async fn json_on_one_line_is_delivered_verbatim() {
    let channel = Channel::new();
    let documents = [
        r#"{ "b" : 1,"a":[ ] }"#,
        "\"text\"",
        "null",
        "-0.10e1",
        "\"a\\nb\"",
    ];
    for content_type in [
        "application/json",
        "application/vnd.shop+json; charset=utf-8",
    ] {
        for document in documents {
            let request = channel.publish("").body(content_type, document);
            request.send().await.expect_status(201);
        }
    }
    let log = channel.log().await;
    let data: Vec<_> = log.iter().map(|(_, data)| data.as_str()).collect();
    assert_eq!(data, [documents, documents].concat());
}

#[tokio::test]
async fn json_on_several_lines_is_delivered_on_one() {
    let channel = Channel::new();
    let documents = [
        ("{\"a\":1}\n", "{\"a\":1}"),
        ("\u{feff}{\"a\":1}\r\n", "{\"a\":1}"),
        (
            "{\n  \"b\": [\n    1.0E+2,\n    2\n  ],\r\n  \"b\": \"a\\n b\"\n}\n",
            "{\"b\": [1.0E+2,2],\"b\": \"a\\n b\"}",
        ),
    ];
    for (document, _) in documents {
        let request = channel.publish("").body("application/json", document);
        request.send().await.expect_status(201);
    }
    let mut stream = channel.subscribe("?last_event_id=earliest").await;
    stream.events(3).await;
    let text = stream.text();
    for (_, data) in documents {
        assert!(text.contains(&format!("\ndata: {data}\nid: ")), "{text}");
    }
    // One more is of the event that opens the stream.
    assert_eq!(text.matches("\ndata:").count(), 4, "{text}");
}

#[tokio::test]
async fn a_batch_is_accepted_as_tools_write_it() {
    for content_type in [
        "application/x-ndjson",
        "application/ndjson",
        "application/jsonl; charset=utf-8",
        "application/x-jsonlines",
        "text/x-ndjson",
    ] {
        for batch in [
            "{\"data\":\"a\"}\n{\"data\":\"b\"}",
            "{\"data\":\"a\"}\n{\"data\":\"b\"}\n",
            "{\"data\":\"a\"}\n  \t\n{\"data\":\"b\"}\n \n",
            "\u{feff}{\"data\":\"a\"}\r\n\r\n{\"data\":\"b\"}\r\n",
            "\u{feff}{\"data\":\"a\"}\n\u{feff}{\"data\":\"b\"}\n",
        ] {
            let channel = Channel::new();
            let request = channel.publish("").body(content_type, batch);
            request.send().await.expect_status(201);
            let log = channel.log().await;
            let data: Vec<_> = log.iter().map(|(_, data)| data.as_str()).collect();
            assert_eq!(data, ["a", "b"], "{content_type} {batch:?}");
        }
    }
}

#[tokio::test]
async fn each_batch_line_is_an_event_with_its_own_type() {
    let channel = Channel::new();
    let lines = [
        r#"{"data":"two\nlines","event":"note"}"#,
        r#"{"data":{"n": 1}}"#,
        "",
        r#"{"event":"größe","data":""}"#,
    ];
    let body = lines.join("\r\n");
    let request = channel.publish("").body("application/x-ndjson", body);
    let last = request.send().await.expect_status(201).event_id();
    let events = channel.subscribe("?last=9&live=false").await;
    let events = events.rest().await;
    assert_eq!(data(&events), ["two\nlines", "{\"n\": 1}", ""]);
    let types: Vec<_> = events.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(types, ["note", "message", "größe"]);
    assert_eq!(events[2].id, last);
}

#[tokio::test]
async fn line_endings_become_line_feeds_and_all_other_text_is_unchanged() {
    let channel = Channel::new();
    let sent = [
        "",
        "\n",
        "a\nb",
        "a\rb",
        "a\r\nb",
        "a\n\rb\r",
        "a\n",
        "\r\n\r\n",
        " leads and trails ",
        ": no comment",
        "data: no field",
        "id: 7\nevent: x\n\ndata: y",
        "\u{feff}no byte order mark",
        "NUL \0 and tab \t",
        "größe 漢字 👩‍👩‍👧 \u{2028}",
    ];
    for text in sent {
        channel.publish_text(text).await;
    }
    let log = channel.log().await;
    for (text, (id, received)) in sent.iter().zip(&log) {
        let lines = text.replace("\r\n", "\n").replace('\r', "\n");
        assert_eq!(*received, lines, "{id}");
    }
    assert_eq!(log.len(), sent.len());
}

#[tokio::test]
async fn an_event_has_these_exact_bytes_on_the_wire() {
    let channel = Channel::new();
    let request = channel
        .publish("?event=price%3Aeur")
        .body("text/plain", "7\r\n\r8");
    let first = request.send().await.expect_status(201).event_id();
    let second = channel.publish_text("").await;
    let mut stream = channel.subscribe("?last_event_id=earliest").await;
    stream.events(2).await;
    let event = format!(
        "event: price:eur\ndata: 7\ndata: \ndata: 8\nid: {first}\n\ndata: \nid: {second}\n\n"
    );
    let text = stream.text();
    assert!(text.ends_with(&event), "{text:?}");
    assert_eq!(text.matches("id:").count(), 3, "with that of `runnel.open`");
}

#[tokio::test]
async fn an_event_is_delivered_with_its_type() {
    let channel = Channel::new();
    for (query, expected) in [
        ("", "message"),
        ("?event=message", "message"),
        ("?event=order.created", "order.created"),
        ("?event=gr%C3%B6%C3%9Fe+1", "größe 1"),
        ("?event=runnel", "runnel"),
    ] {
        let request = channel
            .publish(query)
            .body("text/plain; charset=UTF-8", "x");
        request.send().await.expect_status(201);
        let stream = channel.subscribe("?last=1&live=false").await;
        assert_eq!(stream.rest().await[0].event, expected);
    }
}

#[tokio::test]
async fn the_largest_event_is_delivered_whole() {
    let channel = Channel::new();
    let largest = "0123456789abcde\n".repeat(4096);
    assert_eq!(largest.len(), 65_536);
    let mut stream = channel.subscribe("").await;
    stream.opened().await;
    for _ in 0..3 {
        channel.publish_text(largest.clone()).await;
    }
    let live = stream.events(3).await;
    assert!(live.iter().all(|event| event.data == largest));
    let replayed = channel.subscribe("?last=3&live=false").await;
    let replayed = replayed.rest().await;
    assert!(replayed.iter().all(|event| event.data == largest));
    assert_eq!(ids(&replayed), ids(&live));
}

#[tokio::test]
async fn ids_are_consecutive_across_single_events_and_batches() {
    let channel = Channel::new();
    let line = format!("{{\"data\":\"{}\"}}\n", "x".repeat(900));
    for _ in 0..20 {
        channel.publish_text("single").await;
        let request = channel
            .publish("")
            .body("application/x-ndjson", line.repeat(4));
        request.send().await.expect_status(201);
    }
    let log = channel.log().await;
    let (epoch, _) = split_id(&log[0].0);
    for (id, seq) in log.iter().map(|(id, _)| id).zip(1..) {
        assert_eq!(split_id(id), (epoch, seq));
    }
    assert_eq!(log.len(), 100);
}

#[tokio::test]
async fn a_retried_publish_gets_the_first_response_and_appends_nothing() {
    let channel = Channel::new();
    let request = channel
        .publish("?event=order")
        .header("idempotency-key", "order 42/größe")
        .header("accept", "application/json")
        .body("text/plain", "once");
    let first = request.clone().send().await.expect_status(201);
    channel.publish_text("in between").await;
    for _ in 0..3 {
        let again = request.clone().send().await.expect_status(201);
        assert_eq!(again.event_id(), first.event_id());
        assert_eq!(again.body, first.body);
    }
    let others = channel.publish("").header("idempotency-key", "another");
    others
        .body("text/plain", "once")
        .send()
        .await
        .expect_status(201);
    let log = channel.log().await;
    let data: Vec<_> = log.iter().map(|(_, data)| data.as_str()).collect();
    assert_eq!(data, ["once", "in between", "once"]);
}

#[tokio::test]
async fn concurrent_retries_append_one_event() {
    let channel = Channel::new();
    let request = channel
        .publish("")
        .header("idempotency-key", "k")
        .body("text/plain", "once");
    let sent = (0..16).map(|_| tokio::spawn(request.clone().send()));
    let mut answered = vec![];
    for response in sent.collect::<Vec<_>>() {
        answered.push(response.await.unwrap().expect_status(201).event_id());
    }
    assert!(answered.iter().all(|id| *id == answered[0]), "{answered:?}");
    assert_eq!(channel.log().await.len(), 1);
}

#[tokio::test]
async fn an_idempotency_key_cannot_be_reused_for_another_request() {
    let channel = Channel::new();
    let keyed = |query| channel.publish(query).header("idempotency-key", "k");
    keyed("")
        .body("text/plain", "one")
        .send()
        .await
        .expect_status(201);
    for other in [
        keyed("").body("text/plain", "two"),
        keyed("?event=x").body("text/plain", "one"),
        keyed("?close=true").body("text/plain", "one"),
    ] {
        let response = other.send().await;
        response.assert_problem(422, "idempotency-key-reused", "use a new key");
    }
    assert_eq!(channel.log().await.len(), 1);
    let elsewhere = Channel::new().publish("").header("idempotency-key", "k");
    elsewhere
        .body("text/plain", "two")
        .send()
        .await
        .expect_status(201);
}
