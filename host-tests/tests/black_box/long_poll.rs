//! One JSON answer at a time, for clients that cannot hold a stream.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::channel::{Channel, id_of, parts};
use crate::channels::Channels;
use crate::stream::Stream;

/// What the events of a page say under `field`.
fn each<'a>(page: &'a Value, field: &str) -> Vec<&'a str> {
    let events = page["events"].as_array().unwrap();
    let fields = events.iter().map(|event| event[field].as_str().unwrap());
    fields.collect()
}

/// How long it takes.
async fn timed<T>(what: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    (what.await, start.elapsed())
}

#[tokio::test]
async fn an_answer_is_events_and_a_cursor_and_whether_there_is_more() {
    let channel = Channel::new();
    let first = channel.say_of_type("greeting", "zwei\nZeilen \"ä\"").await;
    let second = channel.say("").await;
    let answer = channel.events("?last=2").long_poll().send().await.has(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let length = answer.body.len().to_string();
    assert_eq!(answer.header("content-length"), Some(length.as_str()));
    let page = answer.json();
    let times: Vec<_> = page["events"].as_array().unwrap().iter().collect();
    let time = |place: usize| times[place]["time"].as_u64().unwrap();
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    assert!(time(0) <= time(1));
    assert!(u128::from(time(0)).abs_diff(now.as_millis()) < 600_000);
    let name = &channel.name;
    let text = "zwei\nZeilen \"ä\"";
    let expected = json!({
        "events": [
            {"channel": name, "id": first, "event": "greeting", "data": text, "time": time(0)},
            {"channel": name, "id": second, "event": "message", "data": "", "time": time(1)},
        ],
        "cursor": second,
        "more": false,
        "closed": false,
    });
    assert_eq!(page, expected);
}

#[tokio::test]
async fn json_is_answered_to_those_who_ask_for_it_and_no_stream_besides() {
    let channel = Channel::new();
    channel.say("x").await;
    for (accept, is_json) in [
        ("application/json", true),
        ("APPLICATION/JSON; charset=utf-8", true),
        ("text/html, application/json;q=0.1", true),
        ("*/*", false),
        ("application/*", false),
        ("application/json;q=0", false),
        ("application/json;q=0.000, */*", false),
        ("application/json, text/event-stream", false),
        ("text/event-stream;q=0, application/json", true),
        ("application/problem+json", false),
        ("", false),
        ("\u{e9}", false),
    ] {
        let request = channel.events("?last=1&live=false");
        let answer = request.header("accept", accept).send().await.has(200);
        let content_type = answer.header("content-type").unwrap();
        assert_eq!(content_type == "application/json", is_json, "{accept:?}");
        assert!(is_json || content_type == "text/event-stream");
        assert!(answer.list("vary").contains(&"accept"), "{answer:?}");
        assert!(answer.list("vary").contains(&"last-event-id"));
    }
    let two = channel.events("?last=1&live=false");
    let two = two.header("accept", "text/html").long_poll().send().await;
    assert_eq!(two.json()["events"][0]["data"], "x");
}

#[tokio::test]
async fn it_starts_where_a_stream_would() {
    let channel = Channel::new();
    let sent = channel.count(1..=5).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    for (query, expected) in [
        ("", &sent[5..]),
        ("?last=2", &sent[3..]),
        ("?last=18446744073709551615", &sent[..]),
        ("?last=999999999", &sent[..]),
        ("?last_event_id=earliest", &sent[..]),
        ("?last_event_id=", &sent[5..]),
        (&format!("?last_event_id={}", sent[1]), &sent[2..]),
        (&format!("?lastEventId={}&last=1", sent[3]), &sent[4..]),
        (&format!("?Last-Event-ID={}", sent[4]), &sent[5..]),
    ] {
        let page = channel.events(query).json().await;
        assert_eq!(each(&page, "id"), expected, "{query}");
        assert_eq!(page["cursor"], sent[4], "{query}");
        assert_eq!(page.get("gaps"), None);
    }
    let header = channel.events("?last=1").header("last-event-id", &sent[2]);
    assert_eq!(each(&header.json().await, "id"), sent[3..]);
}

#[tokio::test]
async fn a_channel_without_a_log_has_a_cursor_before_its_first_event() {
    let channel = Channel::new();
    for query in ["", "?last=3", "?last_event_id=earliest", "?last_event_id=0"] {
        let page = channel.events(query).json().await;
        let expected = json!({"events": [], "cursor": "0", "more": false, "closed": false});
        assert_eq!(page, expected, "{query}");
    }
    let sent = channel.count(1..=2).await;
    let page = channel.events("?last_event_id=0").json().await;
    assert_eq!(each(&page, "id"), sent);
}

#[tokio::test]
async fn waiting_ends_with_the_next_event_or_when_the_time_is_up() {
    let channel = Channel::new();
    let first = channel.say("first").await;
    let after = |seconds: u64| channel.events(&format!("?wait={seconds}&last_event_id={first}"));
    let (page, time) = timed(after(0).json()).await;
    assert!(
        each(&page, "id").is_empty() && time < Duration::from_secs(1),
        "{time:?}"
    );
    let (page, time) = timed(after(1).json()).await;
    assert!(each(&page, "id").is_empty());
    assert!((1.0..5.0).contains(&time.as_secs_f64()), "{time:?}");
    assert_eq!(page["cursor"], first);

    let waiting = tokio::spawn(after(25).json());
    tokio::time::sleep(Duration::from_millis(700)).await;
    let news = channel.say("news").await;
    let (page, time) = timed(waiting).await;
    assert!(time < Duration::from_secs(5), "{time:?}");
    assert_eq!(each(&page.unwrap(), "id"), [news]);
    // What is there is not waited for.
    let (page, time) = timed(after(25).json()).await;
    assert!(each(&page, "data") == ["news"] && time < Duration::from_secs(5));
}

#[tokio::test]
async fn events_that_are_left_out_do_not_end_the_wait_but_move_the_cursor() {
    let channel = Channel::new();
    let first = channel.say("first").await;
    let query = format!("?wait=2&event=wanted&last_event_id={first}");
    let waiting = tokio::spawn(channel.events(&query).json());
    let other = channel.say_of_type("other", "x").await;
    let (page, time) = timed(waiting).await;
    assert!(time > Duration::from_secs(1), "{time:?}");
    let page = page.unwrap();
    assert!(each(&page, "id").is_empty());
    assert_eq!(page["cursor"], other);
}

#[tokio::test]
async fn what_a_number_cannot_be_is_refused_by_name() {
    let channel = Channel::new();
    for (name, values) in [
        (
            "wait",
            &["abc", "26", "-1", "1.5", "", "+1", "99999999999999999999"][..],
        ),
        ("limit", &["0", "1001", "-1", "ten", ""]),
        ("last", &["0", "-1", "x", "18446744073709551616"]),
    ] {
        for value in values {
            let request = channel.events(&format!("?{name}={value}"));
            let answer = request.long_poll().send().await;
            answer.is_problem(400, "query", &format!("`{name}`"));
        }
        let twice = channel.events(&format!("?{name}=1&{name}=1")).long_poll();
        twice
            .send()
            .await
            .is_problem(400, "query", "more than once");
    }
}

/// The answer to who comes with this cursor is all events, and why they do not follow.
async fn is_told(channel: &Channel, sent: &[String], cursor: &str, reason: &str) {
    for wait in [5, 0] {
        let query = format!("?wait={wait}&last_event_id={cursor}");
        let page = channel.events(&query).json().await;
        let gap = json!({
            "channel": channel.name,
            "reason": reason,
            "requested": cursor,
            "resumed_from": sent[0],
        });
        assert_eq!(page["gaps"], json!([gap]), "{cursor}");
        assert_eq!(each(&page, "id"), sent);
    }
}

#[tokio::test]
async fn a_cursor_ahead_of_the_log_is_a_gap_however_short_the_wait() {
    let channel = Channel::new();
    let sent = channel.count(1..=3).await;
    let (epoch, _) = parts(&sent[0]);
    for ahead in [4, u64::MAX] {
        is_told(&channel, &sent, &format!("{epoch}-{ahead}"), "ahead").await;
    }
}

#[tokio::test]
async fn gaps_are_told_beside_the_events() {
    let channel = Channel::new();
    let sent = channel.count(1..=3).await;
    let (epoch, _) = parts(&sent[0]);
    let other = if epoch == "000000" {
        "zzzzzz"
    } else {
        "000000"
    };
    let of_another = format!("{other}-2");
    let of_two = format!("~0{}", "A".repeat(24));
    for cursor in ["garbage", &of_another, &of_two] {
        is_told(&channel, &sent, cursor, "reset").await;
    }
    let unreadable: [&[u8]; 3] = [b"caf\xe9 \xff", b"\xc0\x80", &[b'x'; 5_000]];
    for cursor in unreadable {
        let request = channel.events("").header("last-event-id", cursor);
        let page = request.json().await;
        let gap = &page["gaps"][0];
        assert_eq!(gap["reason"], "reset");
        assert_eq!(gap["requested"], crate::cursors::requested(cursor));
        assert_eq!(each(&page, "id"), sent);
    }
}

#[tokio::test]
async fn a_cursor_on_a_channel_without_a_log_is_a_gap_sooner_or_later() {
    for lost in ["abcdef-7", "garbage"] {
        let channel = Channel::new();
        let mut pages = vec![];
        let mut cursor = lost.to_owned();
        for _ in 0..3 {
            let page = channel
                .events(&format!("?last_event_id={cursor}"))
                .json()
                .await;
            cursor = page["cursor"].as_str().unwrap().to_owned();
            pages.push(page);
            channel.say("x").await;
        }
        let gaps = pages.iter().filter_map(|page| page["gaps"].as_array());
        let gaps: Vec<_> = gaps.flatten().collect();
        assert_eq!(gaps.len(), 1, "{pages:#?}");
        assert_eq!(gaps[0]["reason"], "reset");
        assert_eq!(gaps[0]["requested"], lost);
    }
}

#[tokio::test]
async fn a_closed_channel_is_said_to_be_closed_at_once() {
    let channel = Channel::new();
    let first = channel.say("first").await;
    let after = channel.events(&format!("?wait=25&last_event_id={first}"));
    let waiting = tokio::spawn(after.clone().json());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let closing = channel.publish("?close=true").body("text/plain", "last");
    let last = id_of(&closing.send().await.has(201));
    let page = waiting.await.unwrap();
    assert_eq!(each(&page, "id"), [last.as_str()]);
    for query in [
        format!("?wait=25&last_event_id={last}"),
        "?wait=25&last=1".to_owned(),
        "?wait=25".to_owned(),
    ] {
        let (page, time) = timed(channel.events(&query).json()).await;
        assert_eq!(
            (&page["closed"], &page["more"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(page["cursor"], last);
        assert!(time < Duration::from_secs(5), "{time:?}");
    }
    let page = channel.events("?last=2&limit=1").json().await;
    assert_eq!(
        (&page["closed"], &page["more"]),
        (&json!(false), &json!(true))
    );
}

#[tokio::test]
async fn several_channels_are_answered_together_and_closed_when_all_are() {
    let channels = Channels::new(3);
    channels.count(1..=2).await;
    let page = channels.events("&last=1").json().await;
    let mut texts = each(&page, "data");
    texts.sort_unstable();
    assert_eq!(texts, ["a2", "b2", "c2"]);
    for event in page["events"].as_array().unwrap() {
        let place = crate::channels::place(event["id"].as_str().unwrap());
        assert_eq!(event["channel"], channels.0[place].name);
    }
    // A stream goes on where an answer ended, and the other way round.
    let cursor = page["cursor"].as_str().unwrap();
    channels.count(3..=3).await;
    let events = channels.resume(cursor).await.events(3).await;
    let page = channels.events(&format!("&last_event_id={}", events[0].id));
    let page = page.json().await;
    assert_eq!(each(&page, "data").len(), 2);
    let cursor = page["cursor"].as_str().unwrap();
    for (place, channel) in channels.0.iter().enumerate() {
        channel.close().await;
        let page = channels.events(&format!("&last_event_id={cursor}"));
        assert_eq!(page.json().await["closed"], place == 2);
    }
}

#[tokio::test]
async fn head_has_no_body_and_does_not_wait() {
    let channel = Channel::new();
    channel.say("x").await;
    let path = format!("/events/{}?wait=25", channel.name);
    let head = channel.server.request("HEAD", &path).long_poll();
    let (head, time) = timed(head.send()).await;
    let head = head.has(200);
    assert!(time < Duration::from_secs(5), "{time:?}");
    assert_eq!(head.header("content-type"), Some("application/json"));
    assert_eq!(head.body, "");
    let bad = format!("/events/{}?wait=26", channel.name);
    let bad = channel.server.request("HEAD", &bad).long_poll();
    bad.send().await.has(400);
    // Without the header it is the head of a stream.
    let stream = channel.server.request("HEAD", &path).send().await.has(200);
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    drop(Stream::of(channel.events("?wait=abc&limit=0").open().await));
}
