//! Authentication and authorization: tokens and the permissions they grant.

mod configuration;
mod csrf;
pub(crate) mod fixture;
mod forged;
mod guesses;
mod jose_headers;
mod token_location;

use std::time::{Duration, Instant};

use runnel_testing::{Stream, can_start_hosts, data, ids};
use serde_json::json;

use self::fixture::{Fixture, LISTED, SUBSCRIBE_TOKEN, claims_with, jwt, token_for, unix_now};

#[tokio::test]
async fn a_token_grants_access_only_to_the_channels_it_lists() {
    if !can_start_hosts("token permissions") {
        return;
    }
    let fixture = Fixture::with_secret();
    let name = fixture.channel.name.clone();
    fixture.channel.publish_numbers(1..=2).await;
    let patterns = |matching: bool| {
        if matching {
            ["*".to_owned(), "test/*".to_owned(), name.clone()]
        } else {
            ["nobody".to_owned(), "test".to_owned(), format!("{name}/*")]
        }
    };
    for (publish, subscribe) in [(true, true), (true, false), (false, true), (false, false)] {
        for (to_publish, to_subscribe) in patterns(publish).iter().zip(patterns(subscribe)) {
            let token = token_for(&[to_publish], &[&to_subscribe]);
            let response = fixture.replay().bearer(&token).send().await;
            if subscribe {
                response.expect_status(200);
            } else {
                response.assert_problem(403, "forbidden", &name);
            }
            for (method, path, success) in [
                ("POST", format!("/publish/{name}"), 201),
                ("GET", format!("/channels/{name}"), 200),
            ] {
                let request = fixture.request(method, &path).body("text/plain", "x");
                let response = request.bearer(&token).send().await;
                if publish {
                    response.expect_status(success);
                } else {
                    response.assert_problem(403, "forbidden", &name);
                    let challenge = response.header("www-authenticate").unwrap();
                    assert!(challenge.contains("insufficient_scope"), "{challenge}");
                }
            }
            if !publish {
                for (method, suffix) in [("POST", "/close"), ("DELETE", "")] {
                    let path = format!("/channels/{name}{suffix}");
                    let response = fixture.request(method, &path).bearer(&token).send().await;
                    response.assert_problem(403, "forbidden", &name);
                }
            }
        }
    }
    let publisher = token_for(&[&name], &[]);
    for (method, suffix) in [("POST", "/close"), ("DELETE", "")] {
        let path = format!("/channels/{name}{suffix}");
        fixture
            .request(method, &path)
            .bearer(&publisher)
            .send()
            .await
            .expect_status(204);
    }
}

#[tokio::test]
async fn a_multi_channel_subscription_needs_permission_for_every_channel() {
    if !can_start_hosts("permissions for several channels") {
        return;
    }
    let fixture = Fixture::with_secret();
    let token = token_for(&[], &["a/*", "b"]);
    for (channels, status) in [
        ("channel=a/1&channel=b", 200),
        ("channel=b", 200),
        ("channel=a/1&channel=b&channel=c", 403),
        ("channel=c&channel=b", 403),
        ("channel=a", 403),
    ] {
        for method in ["GET", "HEAD"] {
            let path = format!("/events?{channels}&limit=1");
            let request = fixture.request(method, &path).accept_json().bearer(&token);
            request.send().await.expect_status(status);
        }
    }
}

#[tokio::test]
async fn the_publish_token_grants_all_permissions() {
    if !can_start_hosts("the publish token beside JWTs") {
        return;
    }
    let fixture = Fixture::with_secret();
    fixture.channel.publish_text("x").await;
    fixture
        .replay()
        .authorized()
        .send()
        .await
        .expect_status(200);
    fixture.channel.state().await;
    fixture.channel.close().await;
    fixture.channel.purge().await;
}

#[tokio::test]
async fn the_subscribe_token_grants_subscribing_to_all_channels_and_nothing_else() {
    if !can_start_hosts("the subscribe token") {
        return;
    }
    let token = format!("subscribe_token={SUBSCRIBE_TOKEN}");
    let fixture = Fixture::with(&["subscribe_auth=token", "token_in_query=true", &token]);
    fixture.channel.publish_text("kept").await;
    fixture
        .replay()
        .send()
        .await
        .assert_problem(401, "unauthorized", "token");
    for request in [
        fixture.replay().bearer(SUBSCRIBE_TOKEN),
        fixture.replay().cookie(SUBSCRIBE_TOKEN),
        fixture.replay().authorized(),
        fixture.channel.events(&format!(
            "?live=false&last=1&access_token={SUBSCRIBE_TOKEN}"
        )),
    ] {
        let stream = Stream::of(request.open().await);
        assert_eq!(data(&stream.rest().await), ["kept"]);
    }
    for wrong in [&SUBSCRIBE_TOKEN[1..], "", "*", &token_for(&["*"], &["*"])] {
        let response = fixture.replay().bearer(wrong).send().await;
        response.assert_problem(401, "unauthorized", "not the publish token");
    }
    let response = fixture.publish().bearer(SUBSCRIBE_TOKEN).send().await;
    response.assert_problem(401, "unauthorized", "not the publish token");
    assert_eq!(fixture.channel.state().await["count"], 1);
}

#[tokio::test]
async fn open_subscribing_ignores_tokens() {
    if !can_start_hosts("open subscribing") {
        return;
    }
    let fixture = Fixture::with(&[]);
    fixture.channel.publish_text("kept").await;
    for request in [
        fixture.replay(),
        fixture.replay().bearer("stale"),
        fixture.replay().cookie("stale"),
        fixture
            .channel
            .events("?live=false&last=1&access_token=stale"),
    ] {
        let response = request.send().await.expect_status(200);
        assert!(!response.header_list("vary").contains(&"cookie"));
    }
}

#[tokio::test]
async fn a_stream_ends_when_its_token_expires_and_resumes_with_a_new_one() {
    if !can_start_hosts("token expiry") {
        return;
    }
    let fixture = Fixture::with_secret();
    let sent = fixture.channel.publish_numbers(1..=2).await;
    // Tokens stay valid for five seconds after `exp`, in case the clocks differ.
    let expiring = jwt(&claims_with(json!({"exp": unix_now() + 3})));
    let request = fixture.channel.events("?last=2").cookie(&expiring);
    let mut stream = Stream::of(request.open().await);
    assert_eq!(ids(&stream.events(2).await), sent);
    let third = fixture.channel.publish_text("3").await;
    assert_eq!(stream.event().await.id, third);
    let (id, data) = stream.control_event("runnel.expired").await;
    assert_eq!((id, &data), (third.clone(), &json!({"reason": "token"})));
    assert_eq!(stream.next().await, None);
    let missed = fixture.channel.publish_text("missed").await;
    let resume = fixture.channel.events("").header("last-event-id", &third);
    resume
        .clone()
        .cookie(&expiring)
        .send()
        .await
        .assert_problem(401, "unauthorized", "expired");
    let resume = resume.cookie(&token_for(&[], &["*"]));
    let mut stream = Stream::of(resume.open().await);
    assert_eq!(stream.event().await.id, missed);
}

#[tokio::test]
async fn a_long_poll_ends_when_its_token_expires() {
    if !can_start_hosts("token expiry in a long-poll") {
        return;
    }
    let fixture = Fixture::with_secret();
    fixture.channel.publish_text("x").await;
    let expiring = jwt(&claims_with(json!({"exp": unix_now() + 3})));
    let page = fixture
        .channel
        .events("?last=1")
        .accept_json()
        .bearer(&expiring);
    let cursor = page.send().await.expect_status(200).json()["cursor"].clone();
    let opened = Instant::now();
    let query = format!("?wait=25&last_event_id={}", cursor.as_str().unwrap());
    let response = fixture
        .channel
        .events(&query)
        .accept_json()
        .bearer(&expiring);
    let response = response.send().await.expect_status(200);
    assert_eq!(response.json()["events"], json!([]));
    assert!(opened.elapsed() < Duration::from_secs(25));
}

#[tokio::test]
async fn authorized_responses_are_not_shared_by_caches() {
    if !can_start_hosts("caching of authorized responses") {
        return;
    }
    let fixture = Fixture::with_secret();
    let sent = fixture.channel.publish_numbers(1..=3).await;
    let page = fixture
        .channel
        .events(&format!("?limit=1&last_event_id={}", sent[0]));
    let page = page
        .accept_json()
        .cookie(&token_for(&[], &["*"]))
        .send()
        .await
        .expect_status(200);
    assert_eq!(page.header("cache-control"), Some("private, no-cache"));
    for name in ["authorization", "cookie"] {
        assert!(page.header_list("vary").contains(&name), "{page:?}");
    }
}

#[tokio::test]
async fn a_preflight_needs_no_token() {
    if !can_start_hosts("preflights without a token") {
        return;
    }
    let fixture = Fixture::with_secret();
    let request = fixture.request("OPTIONS", &format!("/events/{}", fixture.channel.name));
    let request = request.header("origin", LISTED);
    let request = request.header("access-control-request-method", "GET");
    request.send().await.expect_status(204);
}
