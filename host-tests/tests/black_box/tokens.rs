//! Who may publish and subscribe: tokens, what they are good for, and where they may stand.

mod forged;
mod headers;
pub(crate) mod mint;
mod misplaced;
mod settings;

use std::time::{Duration, Instant};

use serde_json::json;

use self::mint::{LISTED, SUBSCRIBE_TOKEN, Site, claims, now, token, token_for};
use crate::server::may_start_hosts;
use crate::stream::{Stream, data, ids};

#[tokio::test]
async fn a_token_is_good_for_the_channels_that_it_lists_and_no_others() {
    if !may_start_hosts("rights") {
        return;
    }
    let site = Site::with_secret();
    let name = site.channel.name.clone();
    site.channel.count(1..=2).await;
    let patterns = |own: bool| match own {
        true => ["*".to_owned(), "black-box/*".to_owned(), name.clone()],
        false => [
            "nobody".to_owned(),
            "black-box".to_owned(),
            format!("{name}/*"),
        ],
    };
    for (publish, subscribe) in [(true, true), (true, false), (false, true), (false, false)] {
        for (to_publish, to_subscribe) in patterns(publish).iter().zip(patterns(subscribe)) {
            let token = token_for(&[to_publish], &[&to_subscribe]);
            let answer = site.replaying().bearer(&token).send().await;
            match subscribe {
                true => drop(answer.has(200)),
                false => answer.is_problem(403, "forbidden", &name),
            }
            for (method, path, done) in [
                ("POST", format!("/publish/{name}"), 201),
                ("GET", format!("/channels/{name}"), 200),
            ] {
                let request = site.request(method, &path).body("text/plain", "x");
                let answer = request.bearer(&token).send().await;
                match publish {
                    true => drop(answer.has(done)),
                    false => {
                        answer.is_problem(403, "forbidden", &name);
                        let challenge = answer.header("www-authenticate").unwrap();
                        assert!(challenge.contains("insufficient_scope"), "{challenge}");
                    }
                }
            }
            if !publish {
                for (method, rest) in [("POST", "/close"), ("DELETE", "")] {
                    let path = format!("/channels/{name}{rest}");
                    let answer = site.request(method, &path).bearer(&token).send().await;
                    answer.is_problem(403, "forbidden", &name);
                }
            }
        }
    }
    let publisher = token_for(&[&name], &[]);
    for (method, rest) in [("POST", "/close"), ("DELETE", "")] {
        let path = format!("/channels/{name}{rest}");
        site.request(method, &path)
            .bearer(&publisher)
            .send()
            .await
            .has(204);
    }
}

#[tokio::test]
async fn a_subscriber_of_several_channels_needs_the_right_to_each() {
    if !may_start_hosts("rights to several channels") {
        return;
    }
    let site = Site::with_secret();
    let token = token_for(&[], &["a/*", "b"]);
    for (channels, status) in [
        ("channel=a/1&channel=b", 200),
        ("channel=b", 200),
        ("channel=a/1&channel=b&channel=c", 403),
        ("channel=c&channel=b", 403),
        ("channel=a", 403),
    ] {
        for head in [false, true] {
            let method = if head { "HEAD" } else { "GET" };
            let path = format!("/events?{channels}&limit=1");
            let request = site.request(method, &path).long_poll().bearer(&token);
            request.send().await.has(status);
        }
    }
}

#[tokio::test]
async fn the_publish_token_may_do_everything() {
    if !may_start_hosts("the publish token beside JWTs") {
        return;
    }
    let site = Site::with_secret();
    site.channel.say("x").await;
    site.replaying().authorized().send().await.has(200);
    site.channel.state().await;
    site.channel.close().await;
    site.channel.purge().await;
}

#[tokio::test]
async fn a_subscribe_token_opens_all_streams_and_nothing_else() {
    if !may_start_hosts("the subscribe token") {
        return;
    }
    let token = format!("subscribe_token={SUBSCRIBE_TOKEN}");
    let site = Site::with(&["subscribe_auth=token", "token_in_query=true", &token]);
    site.channel.say("kept").await;
    site.replaying()
        .send()
        .await
        .is_problem(401, "unauthorized", "token");
    for request in [
        site.replaying().bearer(SUBSCRIBE_TOKEN),
        site.replaying().cookie(SUBSCRIBE_TOKEN),
        site.replaying().authorized(),
        site.channel.events(&format!(
            "?live=false&last=1&access_token={SUBSCRIBE_TOKEN}"
        )),
    ] {
        let stream = Stream::of(request.open().await);
        assert_eq!(data(&stream.rest().await), ["kept"]);
    }
    for wrong in [&SUBSCRIBE_TOKEN[1..], "", "*", &token_for(&["*"], &["*"])] {
        let answer = site.replaying().bearer(wrong).send().await;
        answer.is_problem(401, "unauthorized", "not the publish token");
    }
    let answer = site.publishing().bearer(SUBSCRIBE_TOKEN).send().await;
    answer.is_problem(401, "unauthorized", "not the publish token");
    assert_eq!(site.channel.state().await["count"], 1);
}

#[tokio::test]
async fn where_subscribing_is_open_a_token_is_not_looked_at() {
    if !may_start_hosts("open subscribing") {
        return;
    }
    let site = Site::with(&[]);
    site.channel.say("kept").await;
    for request in [
        site.replaying(),
        site.replaying().bearer("stale"),
        site.replaying().cookie("stale"),
        site.channel.events("?live=false&last=1&access_token=stale"),
    ] {
        let answer = request.send().await.has(200);
        assert!(!answer.list("vary").contains(&"cookie"));
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_token_and_is_resumed_with_a_new_one() {
    if !may_start_hosts("the end of a token") {
        return;
    }
    let site = Site::with_secret();
    let sent = site.channel.count(1..=2).await;
    // Five seconds more are allowed for, in case the clocks differ.
    let short = token(&claims(json!({"exp": now() - 2})));
    let opened = Instant::now();
    let request = site.channel.events("?last=2").cookie(&short);
    let mut stream = Stream::of(request.open().await);
    assert_eq!(ids(&stream.events(2).await), sent);
    let third = site.channel.say("3").await;
    assert_eq!(stream.event().await.id, third);
    let (id, data) = stream.signal("runnel.expired").await;
    assert_eq!((id, &data), (third.clone(), &json!({"reason": "token"})));
    assert_eq!(stream.next().await, None);
    assert!(opened.elapsed() < Duration::from_secs(30));
    let missed = site.channel.say("missed").await;
    let again = site.channel.events("").header("last-event-id", &third);
    again
        .clone()
        .cookie(&short)
        .send()
        .await
        .is_problem(401, "unauthorized", "expired");
    let again = again.cookie(&token_for(&[], &["*"]));
    let mut stream = Stream::of(again.open().await);
    assert_eq!(stream.event().await.id, missed);
}

#[tokio::test]
async fn a_long_poll_ends_with_its_token() {
    if !may_start_hosts("the end of a token in a long-poll") {
        return;
    }
    let site = Site::with_secret();
    site.channel.say("x").await;
    let short = token(&claims(json!({"exp": now() - 2})));
    let cursor = site.channel.events("?last=1").long_poll().bearer(&short);
    let cursor = cursor.send().await.has(200).json()["cursor"].clone();
    let opened = Instant::now();
    let path = format!("?wait=25&last_event_id={}", cursor.as_str().unwrap());
    let answer = site.channel.events(&path).long_poll().bearer(&short);
    let answer = answer.send().await.has(200);
    assert_eq!(answer.json()["events"], json!([]));
    assert!(opened.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn what_one_may_see_is_not_kept_for_the_next() {
    if !may_start_hosts("caches") {
        return;
    }
    let site = Site::with_secret();
    let sent = site.channel.count(1..=3).await;
    let page = site
        .channel
        .events(&format!("?limit=1&last_event_id={}", sent[0]));
    let page = page
        .long_poll()
        .cookie(&token_for(&[], &["*"]))
        .send()
        .await
        .has(200);
    assert_eq!(page.header("cache-control"), Some("private, no-cache"));
    for name in ["authorization", "cookie"] {
        assert!(page.list("vary").contains(&name), "{page:?}");
    }
}

#[tokio::test]
async fn a_preflight_needs_no_token() {
    if !may_start_hosts("preflights without a token") {
        return;
    }
    let site = Site::with_secret();
    let request = site.request("OPTIONS", &format!("/events/{}", site.channel.name));
    let request = request.header("origin", LISTED);
    let request = request.header("access-control-request-method", "GET");
    request.send().await.has(204);
}
