//! The server enforces exactly the bounds in the description.

use runnel_testing::{Channel, Request, shared_server};

use super::description::Description;

/// Looks up a number in the description.
fn bound(pointer: &str) -> u64 {
    let description = Description::new();
    description.at(pointer).as_u64().unwrap()
}

async fn assert_status(request: Request, status: u16, context: &str) {
    let response = request.header("accept", "application/json").send().await;
    assert_eq!(response.status, status, "{context}: {response:?}");
}

#[tokio::test]
async fn numbers_are_accepted_exactly_within_their_bounds() {
    let channel = Channel::new();
    channel.publish_text("ends the wait at once").await;
    for name in ["last", "wait", "limit"] {
        let schema = format!("/components/parameters/{name}/schema");
        let minimum = i128::from(bound(&format!("{schema}/minimum")));
        let maximum = i128::from(bound(&format!("{schema}/maximum")));
        for (number, status) in [
            (minimum - 1, 400),
            (minimum, 200),
            (maximum, 200),
            (maximum + 1, 400),
        ] {
            let query = format!("?Last-Event-ID=earliest&{name}={number}");
            assert_status(channel.events(&query), status, &query).await;
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
    let maximum = bound("/components/parameters/channels/schema/maxItems");
    for (count, status) in [(0, 400), (1, 200), (maximum, 200), (maximum + 1, 400)] {
        let query = format!("/events?{}", named("channel", count));
        assert_status(shared_server().get(&query), status, &query).await;
    }
    let maximum = bound("/components/parameters/event/schema/maxItems");
    for (count, status) in [(maximum, 200), (maximum + 1, 400)] {
        let query = format!("?{}", named("event", count));
        assert_status(channel.events(&query), status, &query).await;
    }
}

#[tokio::test]
async fn strings_are_accepted_up_to_their_lengths() {
    let channel = Channel::new();
    let text = |length: u64| "x".repeat(usize::try_from(length).unwrap());
    let maximum = bound("/components/schemas/ChannelName/maxLength");
    for (length, status) in [(0, 400), (1, 200), (maximum, 200), (maximum + 1, 400)] {
        let path = format!("/events/{}", text(length));
        assert_status(shared_server().get(&path), status, &path).await;
    }
    let maximum = bound("/components/schemas/PublishedType/maxLength");
    for (length, status) in [(0, 400), (1, 201), (maximum, 201), (maximum + 1, 400)] {
        let query = format!("?event={}", text(length));
        let request = channel.publish(&query).body("text/plain", "x");
        assert_status(request, status, &query).await;
    }
    let post = "/paths/~1publish~1{channel}/post/parameters";
    let index = (0..).find(|index| {
        let description = Description::new();
        description.at(&format!("{post}/{index}"))["name"] == "Idempotency-Key"
    });
    let maximum = bound(&format!("{post}/{}/schema/maxLength", index.unwrap()));
    for (length, status) in [(0, 400), (1, 201), (maximum, 201), (maximum + 1, 400)] {
        let request = channel.publish("").body("text/plain", "x");
        let request = request.header("idempotency-key", text(length));
        assert_status(request, status, &format!("a key of {length} bytes")).await;
    }
}
