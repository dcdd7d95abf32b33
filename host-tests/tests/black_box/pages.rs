//! Answers that do not hold everything, and what clients and caches may keep of answers.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::channel::Channel;
use crate::channels::Channels;
use crate::client::Answer;
use crate::server::{Server, server};

/// Follows the links to what is next, until nothing more is there; the pages.
async fn follow(server: &Server, path: &str) -> Vec<Value> {
    let (mut pages, mut path) = (vec![], path.to_owned());
    loop {
        let answer = server.get(&path).long_poll().send().await.has(200);
        let [next] = answer.links("next")[..] else {
            panic!("{answer:?}")
        };
        path = next.to_owned();
        let page = answer.json();
        let is_last = page["more"] == false;
        pages.push(page);
        if is_last {
            return pages;
        }
    }
}

fn events(pages: &[Value]) -> Vec<&Value> {
    let pages = pages.iter().map(|page| page["events"].as_array().unwrap());
    pages.flatten().collect()
}

#[tokio::test]
async fn three_thousand_events_come_page_by_page_without_a_gap() {
    let channel = Channel::new();
    for thousand in 0..3 {
        channel
            .batch(thousand * 1_000 + 1..=thousand * 1_000 + 1_000)
            .await;
    }
    let server = server();
    for (limit, count) in [
        ("", 3),
        ("&limit=1000", 3),
        ("&limit=700", 5),
        ("&limit=2999", 0),
    ] {
        let path = format!("/events/{}?last_event_id=earliest{limit}", channel.name);
        if count == 0 {
            let answer = server.get(&path).long_poll().send().await;
            answer.is_problem(400, "query", "`limit`");
            continue;
        }
        let pages = follow(&server, &path).await;
        assert_eq!(pages.len(), count, "{limit}");
        assert!(pages.iter().all(|page| page.get("gaps").is_none()));
        let events = events(&pages);
        assert_eq!(events.len(), 3_000);
        for (event, number) in events.iter().zip(1..) {
            assert_eq!(event["data"], number.to_string());
        }
        for page in &pages {
            let last = page["events"].as_array().unwrap().last().unwrap();
            assert_eq!(page["cursor"], last["id"]);
        }
    }
}

#[tokio::test]
async fn pages_over_several_channels_have_every_event_once() {
    let channels = Channels::new(3);
    for channel in &channels.0 {
        channel.batch(1..=200).await;
    }
    let names = channels
        .0
        .iter()
        .map(|channel| format!("&channel={}", channel.name));
    let path = format!(
        "/events?limit=7&last_event_id=earliest{}",
        names.collect::<String>()
    );
    let pages = follow(&server(), &path).await;
    let events = events(&pages);
    assert_eq!(events.len(), 600);
    for channel in &channels.0 {
        let own = events
            .iter()
            .filter(|event| event["channel"] == channel.name);
        let own: Vec<_> = own.map(|event| event["data"].as_str().unwrap()).collect();
        let expected: Vec<_> = (1..=200).map(|number| number.to_string()).collect();
        assert_eq!(own, expected);
    }
}

#[tokio::test]
async fn a_page_ends_after_256_kib_of_data() {
    let channel = Channel::new();
    for _ in 0..10 {
        channel.say("x".repeat(60_000)).await;
    }
    let path = format!("/events/{}?last_event_id=earliest", channel.name);
    let pages = follow(&server(), &path).await;
    let counts: Vec<_> = pages
        .iter()
        .map(|page| page["events"].as_array().unwrap().len())
        .collect();
    assert_eq!(counts, [5, 5]);
}

#[tokio::test]
async fn the_next_link_keeps_what_was_asked_for_except_the_start() {
    let channel = Channel::new();
    let sent = channel.count(1..=3).await;
    let query = "?last=2&limit=1&wait=0&event=message&event=gr%C3%B6%C3%9Fe+1&x=%3E%22%0A";
    let answer = channel.events(query).long_poll().send().await.has(200);
    let kept = "limit=1&wait=0&event=message&event=gr%C3%B6%C3%9Fe+1&x=%3E%22%0A";
    let expected = format!("/events/{}?{kept}&last_event_id={}", channel.name, sent[1]);
    assert_eq!(answer.links("next"), [expected.as_str()]);
    let next = channel
        .server
        .get(&expected)
        .long_poll()
        .send()
        .await
        .has(200);
    assert_eq!(next.json()["events"][0]["id"], sent[2]);
    assert_eq!(next.json()["more"], false);
}

#[tokio::test]
async fn only_a_page_that_cannot_change_is_kept_by_caches() {
    let channel = Channel::new();
    let sent = channel.count(1..=4).await;
    let (minute, revalidate) = ("private, max-age=60", "private, no-cache");
    for (query, expected) in [
        (format!("?limit=2&last_event_id={}", sent[0]), minute),
        (format!("?limit=3&last_event_id={}", sent[0]), revalidate),
        (format!("?limit=2&last_event_id={}", sent[3]), revalidate),
        ("?limit=2&last_event_id=earliest".to_owned(), revalidate),
        ("?limit=2&last_event_id=garbage".to_owned(), revalidate),
        ("?limit=2&last=4".to_owned(), revalidate),
        (String::new(), revalidate),
    ] {
        let answer = channel.events(&query).long_poll().send().await.has(200);
        assert_eq!(answer.header("cache-control"), Some(expected), "{query}");
    }
    let answer = channel.events("?limit=0").long_poll().send().await;
    assert_eq!(answer.header("cache-control"), None);
}

/// An answer to a client that has the one with this tag, and how long it took.
async fn revalidate(channel: &Channel, query: &str, tag: &str) -> (Answer, Duration) {
    let start = Instant::now();
    let request = channel.events(query).header("if-none-match", tag);
    let answer = request.long_poll().send().await;
    (answer, start.elapsed())
}

/// The tag of an answer.
async fn tag(channel: &Channel, query: &str) -> String {
    let answer = channel.events(query).long_poll().send().await.has(200);
    answer.header("etag").unwrap().to_owned()
}

#[tokio::test]
async fn an_answer_that_the_client_has_is_304_at_once_or_after_the_wait() {
    let channel = Channel::new();
    let sent = channel.count(1..=3).await;
    for (start, wait) in [(0, 0), (2, 0), (2, 1), (1, 1)] {
        let query = format!("?wait={wait}&last_event_id={}", sent[start]);
        let known = tag(&channel, &query).await;
        let (answer, time) = revalidate(&channel, &query, &known).await;
        let answer = answer.has(304);
        assert_eq!(answer.body, "");
        assert_eq!(answer.header("etag"), Some(known.as_str()));
        assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
        assert!(answer.list("vary").contains(&"last-event-id"));
        let wait = Duration::from_secs(wait);
        assert!(
            (wait..wait + Duration::from_secs(4)).contains(&time),
            "{time:?}"
        );
    }
}

#[tokio::test]
async fn a_304_does_not_say_that_the_answer_is_empty() {
    // Its length is that of the answer that the client has, or left out (RFC 9110, 8.6).
    let channel = Channel::new();
    let known = tag(&channel, "").await;
    let (answer, _) = revalidate(&channel, "", &known).await;
    assert_ne!(answer.has(304).header("content-length"), Some("0"));
}

#[tokio::test]
async fn a_new_event_ends_the_wait_of_a_client_that_has_the_rest() {
    let channel = Channel::new();
    let first = channel.say("first").await;
    let query = format!("?wait=25&last_event_id={first}");
    let known = tag(&channel, &query.replace("25", "0")).await;
    let publishing = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        channel.say("news").await
    };
    let ((answer, time), news) = tokio::join!(revalidate(&channel, &query, &known), publishing);
    assert!(time < Duration::from_secs(8), "{time:?}");
    let answer = answer.has(200);
    assert_eq!(answer.json()["events"][0]["id"], news);
    assert_ne!(answer.header("etag"), Some(known.as_str()));
}

#[tokio::test]
async fn a_tag_is_compared_as_http_says() {
    let channel = Channel::new();
    let sent = channel.count(1..=2).await;
    let query = format!("?last_event_id={}", sent[0]);
    let known = tag(&channel, &query).await;
    let opaque = known.strip_prefix("W/").unwrap_or(&known).to_owned();
    for (value, status) in [
        (known.clone(), 304),
        (opaque, 304),
        ("\"other\"".to_owned(), 200),
        (known.replace('"', ""), 200),
        ("\"".to_owned(), 200),
        (String::new(), 200),
    ] {
        revalidate(&channel, &query, &value).await.0.has(status);
    }
}

#[tokio::test]
async fn one_of_several_tags_is_enough() {
    let channel = Channel::new();
    let id = channel.say("x").await;
    let query = format!("?last_event_id={id}");
    let known = tag(&channel, &query).await;
    for value in [
        format!("\"other\", {known}"),
        format!("{known}, W/\"other\""),
    ] {
        revalidate(&channel, &query, &value).await.0.has(304);
    }
}

#[tokio::test]
async fn a_client_that_has_everything_is_told_that_the_channel_was_closed() {
    let channel = Channel::new();
    let last = channel.say("last").await;
    let query = format!("?wait=25&last_event_id={last}");
    let known = tag(&channel, &query.replace("25", "0")).await;
    channel.close().await;
    let (answer, _) = revalidate(&channel, &query, &known).await;
    assert_eq!(answer.has(200).json()["closed"], true);
}

#[tokio::test]
async fn a_page_that_was_the_last_and_is_not_any_more_is_another_answer() {
    let channel = Channel::new();
    let sent = channel.count(1..=2).await;
    let query = format!("?limit=1&last_event_id={}", sent[0]);
    let known = tag(&channel, &query).await;
    channel.say("3").await;
    let (answer, _) = revalidate(&channel, &query, &known).await;
    assert_eq!(answer.has(200).json()["more"], true);
}
