//! Links between a stream and where its channels are published to, and preferences.

use serde_json::json;

use crate::channel::{Channel, id_of};
use crate::channels::Channels;

#[tokio::test]
async fn a_stream_leads_to_where_its_channel_is_published_to_and_back() {
    let channel = Channel::new();
    let id = channel.say("x").await;
    for request in [
        channel.events("?last=1&live=false"),
        channel.events("?last=1&live=false").long_poll(),
        channel
            .server
            .request("HEAD", &format!("/events/{}", channel.name)),
    ] {
        let answer = request.send().await.has(200);
        let publish = format!("/publish/{}", channel.name);
        assert_eq!(answer.links("edit"), [publish.as_str()]);
        let there = channel.server.request("POST", &publish).authorized();
        let there = there.body("text/plain", "y").send().await.has(201);
        let events = format!("/events/{}", channel.name);
        assert_eq!(there.links("monitor"), [events.as_str()]);
    }
    let answer = channel.events("?last_event_id=earliest&live=false");
    let answer = answer.send().await.has(200);
    let [own] = answer.links("self")[..] else {
        panic!("{answer:?}")
    };
    let again = channel.server.get(own).send().await.has(200);
    assert!(String::from_utf8_lossy(&again.body).contains(&id));
    assert!(
        answer.links("next").is_empty(),
        "a stream goes on by itself"
    );
}

#[tokio::test]
async fn a_stream_over_several_channels_leads_to_each() {
    let channels = Channels::new(10);
    let answer = channels.events("&live=false").send().await.has(204);
    let expected: Vec<_> = channels
        .0
        .iter()
        .map(|channel| format!("/publish/{}", channel.name))
        .collect();
    assert_eq!(answer.links("edit"), expected);
}

#[tokio::test]
async fn a_name_that_was_percent_encoded_needs_no_escape_in_a_link() {
    let mut channel = Channel::new();
    channel.name.push_str(":~.-_/close");
    let plain = format!("/publish/{}", channel.name);
    let path = format!(
        "/events/{}?live=false",
        channel.name.replace(':', "%3A").replace('~', "%7e")
    );
    let answer = channel.server.get(&path).send().await.has(204);
    assert_eq!(answer.links("edit"), [plain.as_str()]);
    assert_eq!(answer.links("self"), [path.as_str()]);
}

#[tokio::test]
async fn no_link_breaks_the_header_it_is_in() {
    let channel = Channel::new();
    channel.say("x").await;
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
            let answer = server.send_raw(head.as_bytes()).await;
            if answer.status == 400 {
                // The server's HTTP library takes it for no URI.
                continue;
            }
            let answer = answer.has(200);
            assert_eq!(answer.headers.get("set-cookie"), None);
            for link in answer.headers.get_all("link") {
                let link = link.as_bytes();
                let text = String::from_utf8_lossy(link);
                assert!(link.starts_with(b"<"), "{text:?}");
                assert!(link.is_ascii(), "a URI reference is ASCII: {text:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_publisher_that_prefers_a_representation_gets_it_and_is_told_so() {
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
        let answer = request.body("text/plain", "x").send().await.has(201);
        let applied = answer.header("preference-applied");
        assert_eq!(
            applied,
            is_applied.then_some("return=representation"),
            "{prefer:?}"
        );
        if is_applied {
            let id = id_of(&answer);
            assert_eq!(answer.json(), json!({"first": id, "last": id, "count": 1}));
        } else {
            assert_eq!(answer.body, "", "{prefer:?}");
        }
    }
    // A value may be quoted (RFC 7240, 2).
    let quoted = channel
        .publish("")
        .header("prefer", "return=\"representation\"");
    let answer = quoted.body("text/plain", "x").send().await.has(201);
    let applied = answer.header("preference-applied");
    assert_eq!(applied, Some("return=representation"));
}

#[tokio::test]
async fn a_publisher_that_accepts_json_states_no_preference() {
    let channel = Channel::new();
    let accepting = channel.publish("").long_poll().body("text/plain", "x");
    let answer = accepting.send().await.has(201);
    assert_eq!(answer.header("preference-applied"), None);
    assert_eq!(answer.json()["count"], 1);
}
