//! Links between streams and publish URLs (RFC 8288), and the header `Prefer` (RFC 7240).

use runnel_testing::Channel;
use serde_json::json;

use crate::channels::Channels;

#[tokio::test]
async fn streams_and_publish_responses_link_to_each_other() {
    let channel = Channel::new();
    let id = channel.publish_text("x").await;
    for request in [
        channel.events("?last=1&live=false"),
        channel.events("?last=1&live=false").accept_json(),
        channel
            .server
            .request("HEAD", &format!("/events/{}", channel.name)),
    ] {
        let response = request.send().await.expect_status(200);
        let publish = format!("/publish/{}", channel.name);
        assert_eq!(response.links("edit"), [publish.as_str()]);
        let published = channel.server.request("POST", &publish).authorized();
        let published = published
            .body("text/plain", "y")
            .send()
            .await
            .expect_status(201);
        let events = format!("/events/{}", channel.name);
        assert_eq!(published.links("monitor"), [events.as_str()]);
    }
    let response = channel.events("?last_event_id=earliest&live=false");
    let response = response.send().await.expect_status(200);
    let [self_link] = response.links("self")[..] else {
        panic!("{response:?}")
    };
    let again = channel
        .server
        .get(self_link)
        .send()
        .await
        .expect_status(200);
    assert!(String::from_utf8_lossy(&again.body).contains(&id));
    assert!(
        response.links("next").is_empty(),
        "a stream needs no next link"
    );
}

#[tokio::test]
async fn a_multi_channel_stream_links_to_every_publish_url() {
    let channels = Channels::new(10);
    let response = channels
        .events("&live=false")
        .send()
        .await
        .expect_status(204);
    let expected: Vec<_> = channels
        .0
        .iter()
        .map(|channel| format!("/publish/{}", channel.name))
        .collect();
    assert_eq!(response.links("edit"), expected);
}

#[tokio::test]
async fn publish_links_contain_the_decoded_channel_name() {
    let mut channel = Channel::new();
    channel.name.push_str(":~.-_/close");
    let plain = format!("/publish/{}", channel.name);
    let path = format!(
        "/events/{}?live=false",
        channel.name.replace(':', "%3A").replace('~', "%7e")
    );
    let response = channel.server.get(&path).send().await.expect_status(204);
    assert_eq!(response.links("edit"), [plain.as_str()]);
    assert_eq!(response.links("self"), [path.as_str()]);
}

#[tokio::test]
async fn a_query_cannot_break_the_link_header() {
    let channel = Channel::new();
    channel.publish_text("x").await;
    let server = &channel.server;
    for query in [
        "x='\\|^`{}\u{e9}",
        "x=\u{6f22}",
        "x=;,%3E%0D%0Aset-cookie:a=b",
        "x=//evil",
    ] {
        for accept in ["*/*", "application/json"] {
            let head = format!(
                "GET /events/{}?live=false&last=1&{query} HTTP/1.1\r\nhost: x\r\n\
                 accept: {accept}\r\nconnection: close\r\n\r\n",
                channel.name
            );
            let response = server.send_raw(head.as_bytes()).await;
            if response.status == 400 {
                // The HTTP library of the server rejects the URI.
                continue;
            }
            let response = response.expect_status(200);
            assert_eq!(response.headers.get("set-cookie"), None);
            for link in response.headers.get_all("link") {
                let link = link.as_bytes();
                let text = String::from_utf8_lossy(link);
                assert!(link.starts_with(b"<"), "{text:?}");
                assert!(link.is_ascii(), "a URI reference is ASCII: {text:?}");
            }
        }
    }
}

#[tokio::test]
async fn return_representation_is_honored_and_confirmed() {
    let channel = Channel::new();
    for (prefer, is_applied) in [
        ("return=representation", true),
        ("respond-async, return=representation; x=1", true),
        ("Return=Representation", true),
        ("return=minimal", false),
        ("representation", false),
        ("return", false),
        ("x=\"return=representation\"", false),
        ("", false),
    ] {
        let request = channel.publish("").header("prefer", prefer);
        let response = request
            .body("text/plain", "x")
            .send()
            .await
            .expect_status(201);
        let applied = response.header("preference-applied");
        assert_eq!(
            applied,
            is_applied.then_some("return=representation"),
            "{prefer:?}"
        );
        if is_applied {
            let id = response.event_id();
            assert_eq!(
                response.json(),
                json!({"first": id, "last": id, "count": 1})
            );
        } else {
            assert_eq!(response.body, "", "{prefer:?}");
        }
    }
    // The value may be quoted (RFC 7240, section 2).
    let quoted = channel
        .publish("")
        .header("prefer", "return=\"representation\"");
    let response = quoted
        .body("text/plain", "x")
        .send()
        .await
        .expect_status(201);
    let applied = response.header("preference-applied");
    assert_eq!(applied, Some("return=representation"));
}

#[tokio::test]
async fn accepting_json_applies_no_preference() {
    let channel = Channel::new();
    let accepting = channel.publish("").accept_json().body("text/plain", "x");
    let response = accepting.send().await.expect_status(201);
    assert_eq!(response.header("preference-applied"), None);
    assert_eq!(response.json()["count"], 1);
}
