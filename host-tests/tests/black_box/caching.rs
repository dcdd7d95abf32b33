//! Caching of long-poll responses, and conditional requests.

use std::time::{Duration, Instant};

use runnel_testing::{Channel, Response};

#[tokio::test]
async fn only_an_immutable_page_is_cacheable_without_revalidation() {
    let channel = Channel::new();
    let sent = channel.publish_numbers(1..=4).await;
    let (cacheable, revalidate) = ("private, max-age=60", "private, no-cache");
    for (query, expected) in [
        (format!("?limit=2&last_event_id={}", sent[0]), cacheable),
        (format!("?limit=3&last_event_id={}", sent[0]), revalidate),
        (format!("?limit=2&last_event_id={}", sent[3]), revalidate),
        ("?limit=2&last_event_id=earliest".to_owned(), revalidate),
        ("?limit=2&last_event_id=garbage".to_owned(), revalidate),
        ("?limit=2&last=4".to_owned(), revalidate),
        (String::new(), revalidate),
    ] {
        let response = channel
            .events(&query)
            .accept_json()
            .send()
            .await
            .expect_status(200);
        assert_eq!(response.header("cache-control"), Some(expected), "{query}");
    }
    let response = channel.events("?limit=0").accept_json().send().await;
    assert_eq!(response.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn no_cache_may_store_what_changes() {
    // Without `cache-control`, caches may store 204, 404, 405 and many others (RFC 9111, 4.2.2).
    let channel = Channel::new();
    let server = &channel.server;
    let id = channel.publish_text("last").await;
    let closed = Channel::new();
    closed.publish_text("x").await;
    closed.close().await;
    let name = &channel.name;
    let publish = |content_type: &str| channel.publish("").body(content_type, "x");
    for (request, status) in [
        (channel.events("?live=false&last_event_id=earliest"), 200),
        (
            channel.events("?live=false").header("last-event-id", &id),
            204,
        ),
        (channel.events("?last=0"), 400),
        (channel.events("?wait=26").accept_json(), 400),
        (server.get("/events"), 400),
        (server.get("/events/a//b"), 400),
        (server.request("HEAD", &format!("/events/{name}")), 200),
        (server.request("OPTIONS", &format!("/events/{name}")), 204),
        (server.request("PUT", &format!("/events/{name}")), 405),
        (publish("text/plain"), 201),
        (publish("text/plain").accept_json(), 201),
        (publish("application/json"), 400),
        (publish("image/png"), 415),
        (closed.publish("").body("text/plain", "x"), 409),
        (server.request("POST", &format!("/publish/{name}")), 401),
        (server.get(&format!("/publish/{name}")), 405),
        (server.request("OPTIONS", &format!("/publish/{name}")), 204),
        (channel.manage("GET", ""), 200),
        (channel.manage("HEAD", ""), 200),
        (channel.manage("OPTIONS", ""), 204),
        (Channel::new().manage("GET", ""), 404),
        (Channel::new().manage("POST", "/close"), 204),
        (Channel::new().manage("DELETE", ""), 204),
        (server.get("/health"), 200),
        (server.request("HEAD", "/health"), 200),
        (server.request("POST", "/health"), 405),
        (server.request("OPTIONS", "/health"), 204),
        (server.get("/health/live"), 200),
        (server.get("/metrics"), 200),
        (server.get("/"), 200),
        (server.get("/nothing"), 404),
        (server.request("OPTIONS", "/nothing"), 404),
    ] {
        let response = request.send().await.expect_status(status);
        let directives = response.header_list("cache-control");
        assert!(directives.contains(&"no-store"), "{response:?}");
    }
    let description = server.get("/openapi.json").send().await;
    assert_eq!(description.header("cache-control"), Some("no-cache"));
}

/// Sends a long-poll with `If-None-Match`, and returns the response and how long it took.
async fn conditional_poll(channel: &Channel, query: &str, tag: &str) -> (Response, Duration) {
    let start = Instant::now();
    let request = channel.events(query).header("if-none-match", tag);
    let response = request.accept_json().send().await;
    (response, start.elapsed())
}

/// Returns the `ETag` of a page.
async fn etag(channel: &Channel, query: &str) -> String {
    let response = channel
        .events(query)
        .accept_json()
        .send()
        .await
        .expect_status(200);
    response.header("etag").unwrap().to_owned()
}

#[tokio::test]
async fn an_unchanged_page_is_answered_with_304_after_the_wait() {
    let channel = Channel::new();
    let sent = channel.publish_numbers(1..=3).await;
    for (start, wait) in [(0, 0), (2, 0), (2, 1), (1, 1)] {
        let query = format!("?wait={wait}&last_event_id={}", sent[start]);
        let known = etag(&channel, &query).await;
        let (response, time) = conditional_poll(&channel, &query, &known).await;
        let response = response.expect_status(304);
        assert_eq!(response.body, "");
        assert_eq!(response.header("etag"), Some(known.as_str()));
        assert_eq!(response.header("cache-control"), Some("private, no-cache"));
        assert!(response.header_list("vary").contains(&"last-event-id"));
        // The server's clock counts whole milliseconds.
        assert!(
            time + Duration::from_millis(2) >= Duration::from_secs(wait),
            "{time:?}"
        );
    }
}

#[tokio::test]
async fn a_304_response_does_not_claim_an_empty_page() {
    // Its content-length is that of the cached response, or absent (RFC 9110, section 8.6).
    let channel = Channel::new();
    let known = etag(&channel, "").await;
    let (response, _) = conditional_poll(&channel, "", &known).await;
    assert_ne!(
        response.expect_status(304).header("content-length"),
        Some("0")
    );
}

#[tokio::test]
async fn a_new_event_ends_a_conditional_long_poll() {
    let channel = Channel::new();
    let first = channel.publish_text("first").await;
    let query = format!("?wait=25&last_event_id={first}");
    let known = etag(&channel, &query.replace("25", "0")).await;
    let publishing = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        channel.publish_text("news").await
    };
    let ((response, time), news) =
        tokio::join!(conditional_poll(&channel, &query, &known), publishing);
    assert!(time < Duration::from_secs(25), "{time:?}");
    let response = response.expect_status(200);
    assert_eq!(response.json()["events"][0]["id"], news);
    assert_ne!(response.header("etag"), Some(known.as_str()));
}

#[tokio::test]
async fn entity_tags_are_compared_weakly() {
    let channel = Channel::new();
    let sent = channel.publish_numbers(1..=2).await;
    let query = format!("?last_event_id={}", sent[0]);
    let known = etag(&channel, &query).await;
    let opaque = known.strip_prefix("W/").unwrap_or(&known).to_owned();
    for (value, status) in [
        (known.clone(), 304),
        (opaque, 304),
        ("\"other\"".to_owned(), 200),
        (known.replace('"', ""), 200),
        ("\"".to_owned(), 200),
        (String::new(), 200),
    ] {
        conditional_poll(&channel, &query, &value)
            .await
            .0
            .expect_status(status);
    }
}

#[tokio::test]
async fn one_matching_tag_in_the_list_is_enough() {
    let channel = Channel::new();
    let id = channel.publish_text("x").await;
    let query = format!("?last_event_id={id}");
    let known = etag(&channel, &query).await;
    for value in [
        format!("\"other\", {known}"),
        format!("{known}, W/\"other\""),
    ] {
        conditional_poll(&channel, &query, &value)
            .await
            .0
            .expect_status(304);
    }
}

#[tokio::test]
async fn closing_the_channel_changes_the_entity_tag() {
    let channel = Channel::new();
    let last = channel.publish_text("last").await;
    let query = format!("?wait=25&last_event_id={last}");
    let known = etag(&channel, &query.replace("25", "0")).await;
    channel.close().await;
    let (response, _) = conditional_poll(&channel, &query, &known).await;
    assert_eq!(response.expect_status(200).json()["closed"], true);
}

#[tokio::test]
async fn a_full_last_page_changes_when_more_events_follow() {
    let channel = Channel::new();
    let sent = channel.publish_numbers(1..=2).await;
    let query = format!("?limit=1&last_event_id={}", sent[0]);
    let known = etag(&channel, &query).await;
    channel.publish_text("3").await;
    let (response, _) = conditional_poll(&channel, &query, &known).await;
    assert_eq!(response.expect_status(200).json()["more"], true);
}
