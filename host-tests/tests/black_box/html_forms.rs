//! Events published by HTML forms (`application/x-www-form-urlencoded`).

use runnel_testing::{Channel, Request, data, ids};

fn form(channel: &Channel, query: &str, body: &'static str) -> Request {
    let request = channel.publish(query);
    request.body("application/x-www-form-urlencoded", body)
}

#[tokio::test]
async fn form_fields_set_the_data_and_the_type() {
    let channel = Channel::new();
    let charset = "application/x-www-form-urlencoded; charset=UTF-8";
    let mut sent = vec![];
    for request in [
        form(
            &channel,
            "",
            "data=gr%C3%B6%C3%9Fe+1%2B1%0D%0Anext&event=note",
        ),
        form(&channel, "", "data="),
        form(&channel, "", "data"),
        form(&channel, "", "event=&data=a%26b%3Dc&id="),
        form(&channel, "?event=from.query", "data=x"),
        channel.publish("").body(charset, "data=\u{e4}"),
    ] {
        let response = request.send().await.expect_status(201);
        assert_eq!(response.body, "");
        sent.push(response.event_id());
    }
    let stream = channel.subscribe("?last=9&live=false").await;
    let events = stream.rest().await;
    assert_eq!(ids(&events), sent);
    assert_eq!(
        data(&events),
        ["größe 1+1\nnext", "", "", "a&b=c", "x", "ä"]
    );
    let types: Vec<_> = events.iter().map(|event| event.event.as_str()).collect();
    let expected = [
        "note",
        "message",
        "message",
        "message",
        "from.query",
        "message",
    ];
    assert_eq!(types, expected);
}

#[tokio::test]
async fn the_form_field_id_is_an_idempotency_key() {
    let channel = Channel::new();
    let body = "data=once&id=order+42";
    let first = form(&channel, "", body)
        .send()
        .await
        .expect_status(201)
        .event_id();
    channel.publish_text("in between").await;
    for _ in 0..2 {
        let again = form(&channel, "", body).send().await.expect_status(201);
        assert_eq!(again.event_id(), first);
    }
    assert_eq!(channel.log().await.len(), 2);
    let other = form(&channel, "", "data=twice&id=order+42").send().await;
    other.assert_problem(422, "idempotency-key-reused", "use a new key");
    form(&channel, "", "data=once&id=order+43")
        .send()
        .await
        .expect_status(201);
    assert_eq!(channel.log().await.len(), 3);
}

#[tokio::test]
async fn an_invalid_form_is_rejected() {
    let channel = Channel::new();
    let both = form(&channel, "", "data=x&id=a").header("idempotency-key", "b");
    for (request, kind, about) in [
        (form(&channel, "", ""), "body", "no field `data`"),
        (form(&channel, "", "event=x"), "body", "no field `data`"),
        (form(&channel, "", "Data=x"), "body", "\"Data\""),
        (form(&channel, "", "data=x&type=y"), "body", "\"type\""),
        (form(&channel, "", "data=x&=y"), "body", "\"\""),
        (
            form(&channel, "", "data=x&event=open"),
            "event-type",
            "`open` is reserved",
        ),
        (
            form(&channel, "", "data=x&event=runnel.end"),
            "event-type",
            "reserved",
        ),
        (
            form(&channel, "", "data=x&event=a%0Ab"),
            "event-type",
            "line feed",
        ),
        (
            form(&channel, "?event=a", "data=x&event=b"),
            "query",
            "in the query and in the form",
        ),
        (
            form(&channel, "?event=a", "data=x&event=a"),
            "query",
            "in the query and in the form",
        ),
        (both, "header", "give it once"),
    ] {
        request.send().await.assert_problem(400, kind, about);
    }
    let latin = "application/x-www-form-urlencoded; charset=iso-8859-1";
    let latin = channel.publish("").body(latin, "data=x");
    latin
        .send()
        .await
        .assert_problem(415, "media-type", "only utf-8");
    let large = format!("data={}", "x".repeat(65_537));
    let large = channel
        .publish("")
        .body("application/x-www-form-urlencoded", large);
    large
        .send()
        .await
        .assert_problem(413, "too-large", "65537 bytes");
    let state = channel.manage("GET", "").send().await;
    state.assert_problem(404, "unknown-channel", &channel.name);
}

#[tokio::test]
async fn a_repeated_form_field_is_rejected() {
    let channel = Channel::new();
    let twice = form(&channel, "", "data=x&data=y").send().await;
    twice.assert_problem(400, "body", "`data` is given more than once");
}

#[tokio::test]
async fn form_and_query_values_that_are_not_utf_8_are_rejected() {
    let channel = Channel::new();
    for body in ["data=%ff", "data=x&event=%C3", "data=x&id=%80"] {
        let response = form(&channel, "", body).send().await;
        response.assert_problem(400, "body", "UTF-8");
    }
    let channel = Channel::new();
    let query = channel.publish("?event=%ff").body("text/plain", "x");
    query.send().await.assert_problem(400, "query", "UTF-8");
}

#[tokio::test]
async fn the_size_limit_applies_to_the_decoded_form_data() {
    let channel = Channel::new();
    let largest = format!("data={}", "%41".repeat(65_536));
    let request = channel
        .publish("")
        .body("application/x-www-form-urlencoded", largest);
    request.send().await.expect_status(201);
    assert_eq!(channel.log().await[0].1, "A".repeat(65_536));
}
