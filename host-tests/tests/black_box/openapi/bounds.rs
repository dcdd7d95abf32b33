//! The bounds of the description are those of the server.

use super::description::Description;
use crate::channel::Channel;
use crate::client::Request;
use crate::server::server;

/// A number in the description.
fn bound(pointer: &str) -> u64 {
    let description = Description::new();
    description.at(pointer).as_u64().unwrap()
}

async fn holds(what: &str, status: u16, request: Request) {
    let answer = request.header("accept", "application/json").send().await;
    assert_eq!(answer.status, status, "{what}: {answer:?}");
}

#[tokio::test]
async fn numbers_are_accepted_within_their_bounds_only() {
    let channel = Channel::new();
    channel.say("so that nothing is waited for").await;
    for name in ["last", "wait", "limit"] {
        let schema = format!("/components/parameters/{name}/schema");
        let least = i128::from(bound(&format!("{schema}/minimum")));
        let most = i128::from(bound(&format!("{schema}/maximum")));
        for (number, status) in [(least - 1, 400), (least, 200), (most, 200), (most + 1, 400)] {
            let query = format!("?Last-Event-ID=earliest&{name}={number}");
            holds(&query, status, channel.events(&query)).await;
        }
    }
}

#[tokio::test]
async fn lists_are_accepted_up_to_their_lengths() {
    let channel = Channel::new();
    let named = |name: &str, count: u64| {
        let pairs = (0..count).map(|number| format!("{name}=a{number}"));
        pairs.collect::<Vec<_>>().join("&")
    };
    let most = bound("/components/parameters/channels/schema/maxItems");
    for (count, status) in [(0, 400), (1, 200), (most, 200), (most + 1, 400)] {
        let query = format!("/events?{}", named("channel", count));
        holds(&query, status, server().get(&query)).await;
    }
    let most = bound("/components/parameters/event/schema/maxItems");
    for (count, status) in [(most, 200), (most + 1, 400)] {
        let query = format!("?{}", named("event", count));
        holds(&query, status, channel.events(&query)).await;
    }
}

#[tokio::test]
async fn texts_are_accepted_up_to_their_lengths() {
    let channel = Channel::new();
    let text = |length: u64| "x".repeat(usize::try_from(length).unwrap());
    let most = bound("/components/schemas/ChannelName/maxLength");
    for (length, status) in [(0, 400), (1, 200), (most, 200), (most + 1, 400)] {
        let path = format!("/events/{}", text(length));
        holds(&path, status, server().get(&path)).await;
    }
    let most = bound("/components/schemas/PublishedType/maxLength");
    for (length, status) in [(0, 400), (1, 201), (most, 201), (most + 1, 400)] {
        let query = format!("?event={}", text(length));
        let request = channel.publish(&query).body("text/plain", "x");
        holds(&query, status, request).await;
    }
    let post = "/paths/~1publish~1{channel}/post/parameters";
    let place = (0..).find(|place| {
        let description = Description::new();
        description.at(&format!("{post}/{place}"))["name"] == "Idempotency-Key"
    });
    let most = bound(&format!("{post}/{}/schema/maxLength", place.unwrap()));
    for (length, status) in [(0, 400), (1, 201), (most, 201), (most + 1, 400)] {
        let request = channel.publish("").body("text/plain", "x");
        let request = request.header("idempotency-key", text(length));
        holds(&format!("a key of {length}"), status, request).await;
    }
}
