//! What a publisher may send, and what it is answered.

use serde_json::json;

use crate::channel::{Channel, id_of, parts};
use crate::server::server;
use crate::stream::{data, ids};

#[tokio::test]
async fn health_says_ok_as_long_as_the_store_answers() {
    let answer = server().get("/health").send().await.has(200);
    assert_eq!(answer.json()["status"], "ok");
    let version = answer.json()["version"].as_str().map(str::to_owned);
    assert!(version.is_some_and(|version| version.starts_with("0.")));
}

#[tokio::test]
async fn the_console_page_is_served_at_the_root() {
    let answer = server().get("/").send().await.has(200);
    let content_type = answer.header("content-type").unwrap();
    assert!(content_type.starts_with("text/html"), "{content_type}");
    assert!(answer.body.starts_with(b"<!"));
}

#[tokio::test]
async fn a_publish_is_answered_201_with_the_id_and_an_empty_body() {
    let channel = Channel::new();
    let request = channel.publish("").body("application/json", r#"{"n":1}"#);
    let answer = request.send().await.has(201);
    assert_eq!(answer.header("content-length"), Some("0"));
    assert_eq!(answer.body, "");
    let id = id_of(&answer);
    assert_eq!(parts(&id).1, 1);
    assert_eq!(channel.log().await, [(id, r#"{"n":1}"#.to_owned())]);
}

#[tokio::test]
async fn a_publisher_that_accepts_json_is_told_first_last_and_count() {
    let channel = Channel::new();
    channel.say("before").await;
    let lines = "{\"data\":\"a\"}\n{\"data\":\"b\"}\n{\"data\":\"c\"}\n";
    let answer = channel
        .publish("")
        .header("accept", "application/json")
        .body("application/x-ndjson", lines)
        .send()
        .await
        .has(201);
    let last = id_of(&answer);
    let (epoch, seq) = parts(&last);
    assert_eq!(seq, 4);
    assert_eq!(
        answer.json(),
        json!({"first": format!("{epoch}-2"), "last": last, "count": 3})
    );
}

#[tokio::test]
async fn json_arrives_as_it_was_written() {
    let channel = Channel::new();
    let documents = [
        r#"{ "b" : 1,"a":[ ] }"#,
        "\"text\"",
        "null",
        "-0.10e1",
        "[1,\n 2]",
    ];
    for content_type in [
        "application/json",
        "application/vnd.shop+json; charset=utf-8",
    ] {
        for document in documents {
            let request = channel.publish("").body(content_type, document);
            request.send().await.has(201);
        }
    }
    let log = channel.log().await;
    let data: Vec<_> = log.iter().map(|(_, data)| data.as_str()).collect();
    assert_eq!(data, [documents, documents].concat());
}

#[tokio::test]
async fn a_batch_is_an_event_a_line_each_with_its_own_type() {
    let channel = Channel::new();
    let lines = [
        r#"{"data":"two\nlines","event":"note"}"#,
        r#"{"data":{"n": 1}}"#,
        "",
        r#"{"event":"größe","data":""}"#,
    ];
    let body = lines.join("\r\n");
    let request = channel.publish("").body("application/x-ndjson", body);
    let last = id_of(&request.send().await.has(201));
    let events = channel.subscribe("?last=9&live=false").await;
    let events = events.rest().await;
    assert_eq!(data(&events), ["two\nlines", "{\"n\": 1}", ""]);
    let types: Vec<_> = events.iter().map(|event| event.event.as_str()).collect();
    assert_eq!(types, ["note", "message", "größe"]);
    assert_eq!(events[2].id, last);
}

#[tokio::test]
async fn every_line_end_arrives_as_a_line_feed_and_nothing_else_changes() {
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
        channel.say(text).await;
    }
    let log = channel.log().await;
    for (text, (id, received)) in sent.iter().zip(&log) {
        let lines = text.replace("\r\n", "\n").replace('\r', "\n");
        assert_eq!(*received, lines, "{id}");
    }
    assert_eq!(log.len(), sent.len());
}

#[tokio::test]
async fn an_event_is_these_bytes_on_the_wire() {
    let channel = Channel::new();
    let request = channel
        .publish("?event=price%3Aeur")
        .body("text/plain", "7\r\n\r8");
    let first = id_of(&request.send().await.has(201));
    let second = channel.say("").await;
    let mut stream = channel.subscribe("?last_event_id=earliest").await;
    stream.events(2).await;
    let event = format!(
        "event: price:eur\ndata: 7\ndata: \ndata: 8\nid: {first}\n\ndata: \nid: {second}\n\n"
    );
    let text = stream.text();
    assert!(text.ends_with(&event), "{text:?}");
    assert_eq!(text.matches("id:").count(), 2);
}

#[tokio::test]
async fn the_type_of_an_event_reaches_its_listeners() {
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
        request.send().await.has(201);
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
    stream.begun().await;
    for _ in 0..3 {
        channel.say(largest.clone()).await;
    }
    let live = stream.events(3).await;
    assert!(live.iter().all(|event| event.data == largest));
    let replayed = channel.subscribe("?last=3&live=false").await;
    let replayed = replayed.rest().await;
    assert!(replayed.iter().all(|event| event.data == largest));
    assert_eq!(ids(&replayed), ids(&live));
}

#[tokio::test]
async fn ids_count_up_without_holes_across_single_events_and_batches() {
    let channel = Channel::new();
    let line = format!("{{\"data\":\"{}\"}}\n", "x".repeat(900));
    for _ in 0..20 {
        channel.say("single").await;
        let request = channel
            .publish("")
            .body("application/x-ndjson", line.repeat(4));
        request.send().await.has(201);
    }
    let log = channel.log().await;
    let (epoch, _) = parts(&log[0].0);
    for (id, seq) in log.iter().map(|(id, _)| id).zip(1..) {
        assert_eq!(parts(id), (epoch, seq));
    }
    assert_eq!(log.len(), 100);
}

#[tokio::test]
async fn a_repeated_publish_is_answered_as_the_first_and_appends_nothing() {
    let channel = Channel::new();
    let request = channel
        .publish("?event=order")
        .header("idempotency-key", "order 42/größe")
        .header("accept", "application/json")
        .body("text/plain", "once");
    let first = request.clone().send().await.has(201);
    channel.say("in between").await;
    for _ in 0..3 {
        let again = request.clone().send().await.has(201);
        assert_eq!(id_of(&again), id_of(&first));
        assert_eq!(again.body, first.body);
    }
    let others = channel.publish("").header("idempotency-key", "another");
    others.body("text/plain", "once").send().await.has(201);
    let log = channel.log().await;
    let data: Vec<_> = log.iter().map(|(_, data)| data.as_str()).collect();
    assert_eq!(data, ["once", "in between", "once"]);
}

#[tokio::test]
async fn repeats_that_arrive_together_append_one_event() {
    let channel = Channel::new();
    let request = channel
        .publish("")
        .header("idempotency-key", "k")
        .body("text/plain", "once");
    let sent = (0..16).map(|_| tokio::spawn(request.clone().send()));
    let mut answered = vec![];
    for answer in sent.collect::<Vec<_>>() {
        answered.push(id_of(&answer.await.unwrap().has(201)));
    }
    assert!(answered.iter().all(|id| *id == answered[0]), "{answered:?}");
    assert_eq!(channel.log().await.len(), 1);
}

#[tokio::test]
async fn an_idempotency_key_is_refused_for_another_request() {
    let channel = Channel::new();
    let keyed = |query| channel.publish(query).header("idempotency-key", "k");
    keyed("").body("text/plain", "one").send().await.has(201);
    for other in [
        keyed("").body("text/plain", "two"),
        keyed("?event=x").body("text/plain", "one"),
        keyed("?close=true").body("text/plain", "one"),
    ] {
        let answer = other.send().await;
        answer.is_problem(422, "idempotency-key-reused", "use a new key");
    }
    assert_eq!(channel.log().await.len(), 1);
    let elsewhere = Channel::new().publish("").header("idempotency-key", "k");
    elsewhere.body("text/plain", "two").send().await.has(201);
}
