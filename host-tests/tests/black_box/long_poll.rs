//! Long-polling: JSON pages for clients that cannot hold a stream open.

use std::time::{Duration, Instant};

use runnel_testing::{Channel, Stream, split_id};
use serde_json::{Value, json};

use crate::channels::Channels;

/// The `wait` of polls that must not wait for it: what takes less time has ended for another reason.
const LONGEST_WAIT: Duration = Duration::from_secs(25);

/// Returns one text field of every event of a page.
fn field_of_events<'a>(page: &'a Value, field: &str) -> Vec<&'a str> {
    let events = page["events"].as_array().unwrap();
    let fields = events.iter().map(|event| event[field].as_str().unwrap());
    fields.collect()
}

/// Measures the duration of a future.
async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    (future.await, start.elapsed())
}

#[tokio::test]
async fn a_page_contains_events_a_cursor_and_its_end_flags() {
    let channel = Channel::new();
    let first = channel
        .publish_typed("greeting", "zwei\nZeilen \"ä\"")
        .await;
    let second = channel.publish_text("").await;
    let response = channel
        .events("?last=2")
        .accept_json()
        .send()
        .await
        .expect_status(200);
    assert_eq!(response.header("content-type"), Some("application/json"));
    let length = response.body.len().to_string();
    assert_eq!(response.header("content-length"), Some(length.as_str()));
    let page = response.json();
    let events = page["events"].as_array().unwrap();
    let time = |index: usize| events[index]["time"].as_u64().unwrap();
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
async fn accepting_json_but_no_event_stream_selects_a_page() {
    let channel = Channel::new();
    channel.publish_text("x").await;
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
        let response = request
            .header("accept", accept)
            .send()
            .await
            .expect_status(200);
        let content_type = response.header("content-type").unwrap();
        assert_eq!(content_type == "application/json", is_json, "{accept:?}");
        assert!(is_json || content_type == "text/event-stream; charset=utf-8");
        assert!(
            response.header_list("vary").contains(&"accept"),
            "{response:?}"
        );
        assert!(response.header_list("vary").contains(&"last-event-id"));
    }
    let twice = channel.events("?last=1&live=false");
    let twice = twice
        .header("accept", "text/html")
        .accept_json()
        .send()
        .await;
    assert_eq!(twice.json()["events"][0]["data"], "x");
}

#[tokio::test]
async fn a_page_starts_where_a_stream_would() {
    let channel = Channel::new();
    let sent = channel.publish_numbers(1..=5).await;
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
        let page = channel.events(query).fetch_json().await;
        assert_eq!(field_of_events(&page, "id"), expected, "{query}");
        assert_eq!(page["cursor"], sent[4], "{query}");
        assert_eq!(page.get("gaps"), None);
    }
    let header = channel.events("?last=1").header("last-event-id", &sent[2]);
    assert_eq!(field_of_events(&header.fetch_json().await, "id"), sent[3..]);
}

#[tokio::test]
async fn a_channel_without_a_log_has_a_cursor_before_its_first_event() {
    let channel = Channel::new();
    for query in ["", "?last=3", "?last_event_id=earliest", "?last_event_id=0"] {
        let page = channel.events(query).fetch_json().await;
        let expected = json!({"events": [], "cursor": "0", "more": false, "closed": false});
        assert_eq!(page, expected, "{query}");
    }
    let sent = channel.publish_numbers(1..=2).await;
    let page = channel.events("?last_event_id=0").fetch_json().await;
    assert_eq!(field_of_events(&page, "id"), sent);
}

#[tokio::test]
async fn a_long_poll_ends_with_the_next_event_or_after_its_wait() {
    let channel = Channel::new();
    let first = channel.publish_text("first").await;
    let after = |seconds: u64| channel.events(&format!("?wait={seconds}&last_event_id={first}"));
    let page = after(0).fetch_json().await;
    assert!(field_of_events(&page, "id").is_empty());
    let (page, time) = timed(after(1).fetch_json()).await;
    assert!(field_of_events(&page, "id").is_empty());
    // The server's clock counts whole milliseconds.
    assert!(time >= Duration::from_millis(998), "{time:?}");
    assert_eq!(page["cursor"], first);

    let waiting = tokio::spawn(after(25).fetch_json());
    tokio::time::sleep(Duration::from_millis(700)).await;
    let news = channel.publish_text("news").await;
    let (page, time) = timed(waiting).await;
    assert!(time < LONGEST_WAIT, "{time:?}");
    assert_eq!(field_of_events(&page.unwrap(), "id"), [news]);
    // An event that exists already is returned without waiting.
    let (page, time) = timed(after(25).fetch_json()).await;
    assert!(field_of_events(&page, "data") == ["news"] && time < LONGEST_WAIT);
}

#[tokio::test]
async fn filtered_events_advance_the_cursor_without_ending_the_wait() {
    let channel = Channel::new();
    let first = channel.publish_text("first").await;
    let query = format!("?wait=2&event=wanted&last_event_id={first}");
    let waiting = tokio::spawn(timed(channel.events(&query).fetch_json()));
    let other = channel.publish_typed("other", "x").await;
    let (page, time) = waiting.await.unwrap();
    // The server's clock counts whole milliseconds.
    assert!(time >= Duration::from_millis(1_998), "{time:?}");
    assert!(field_of_events(&page, "id").is_empty());
    assert_eq!(page["cursor"], other);
}

#[tokio::test]
async fn an_invalid_number_in_the_query_is_rejected_by_name() {
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
            let response = request.accept_json().send().await;
            response.assert_problem(400, "query", &format!("`{name}`"));
        }
        let twice = channel.events(&format!("?{name}=1&{name}=1")).accept_json();
        twice
            .send()
            .await
            .assert_problem(400, "query", "more than once");
    }
}

/// Asserts that pages after this cursor contain a gap for `reason` and all events.
async fn assert_gap(channel: &Channel, sent: &[String], cursor: &str, reason: &str) {
    for wait in [5, 0] {
        let query = format!("?wait={wait}&last_event_id={cursor}");
        let page = channel.events(&query).fetch_json().await;
        let gap = json!({
            "channel": channel.name,
            "reason": reason,
            "requested": cursor,
            "resumed_from": sent[0],
        });
        assert_eq!(page["gaps"], json!([gap]), "{cursor}");
        assert_eq!(field_of_events(&page, "id"), sent);
    }
}

#[tokio::test]
async fn a_cursor_ahead_of_the_log_is_reported_as_an_ahead_gap() {
    let channel = Channel::new();
    let sent = channel.publish_numbers(1..=3).await;
    let (epoch, _) = split_id(&sent[0]);
    for ahead in [4, u64::MAX] {
        assert_gap(&channel, &sent, &format!("{epoch}-{ahead}"), "ahead").await;
    }
}

#[tokio::test]
async fn a_page_reports_reset_gaps_next_to_its_events() {
    let channel = Channel::new();
    let sent = channel.publish_numbers(1..=3).await;
    let (epoch, _) = split_id(&sent[0]);
    let other = if epoch == "000000" {
        "zzzzzz"
    } else {
        "000000"
    };
    let of_another = format!("{other}-2");
    let of_two = format!("~0{}", "A".repeat(24));
    for cursor in ["garbage", &of_another, &of_two] {
        assert_gap(&channel, &sent, cursor, "reset").await;
    }
    let unreadable: [&[u8]; 3] = ["caf\u{e9} \u{2026}".as_bytes(), b"\x7e\x7e", &[b'x'; 5_000]];
    for cursor in unreadable {
        let request = channel.events("").header("last-event-id", cursor);
        let page = request.fetch_json().await;
        let gap = &page["gaps"][0];
        assert_eq!(gap["reason"], "reset");
        assert_eq!(gap["requested"], crate::cursors::requested(cursor));
        assert_eq!(field_of_events(&page, "id"), sent);
    }
}

#[tokio::test]
async fn a_cursor_on_a_channel_without_a_log_gets_exactly_one_reset_gap() {
    for unreadable in ["abcdef-7", "garbage"] {
        let channel = Channel::new();
        let mut pages = vec![];
        let mut cursor = unreadable.to_owned();
        for _ in 0..3 {
            let page = channel
                .events(&format!("?last_event_id={cursor}"))
                .fetch_json()
                .await;
            cursor = page["cursor"].as_str().unwrap().to_owned();
            pages.push(page);
            channel.publish_text("x").await;
        }
        let gaps = pages.iter().filter_map(|page| page["gaps"].as_array());
        let gaps: Vec<_> = gaps.flatten().collect();
        assert_eq!(gaps.len(), 1, "{pages:#?}");
        assert_eq!(gaps[0]["reason"], "reset");
        assert_eq!(gaps[0]["requested"], unreadable);
    }
}

#[tokio::test]
async fn a_long_poll_reports_a_closed_channel_without_waiting() {
    let channel = Channel::new();
    let first = channel.publish_text("first").await;
    let after = channel.events(&format!("?wait=25&last_event_id={first}"));
    let waiting = tokio::spawn(after.clone().fetch_json());
    tokio::time::sleep(Duration::from_millis(100)).await;
    let closing = channel.publish("?close=true").body("text/plain", "last");
    let last = closing.send().await.expect_status(201).event_id();
    let page = waiting.await.unwrap();
    assert_eq!(field_of_events(&page, "id"), [last.as_str()]);
    for query in [
        format!("?wait=25&last_event_id={last}"),
        "?wait=25&last=1".to_owned(),
        "?wait=25".to_owned(),
    ] {
        let (page, time) = timed(channel.events(&query).fetch_json()).await;
        assert_eq!(
            (&page["closed"], &page["more"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(page["cursor"], last);
        assert!(time < LONGEST_WAIT, "{time:?}");
    }
    let page = channel.events("?last=2&limit=1").fetch_json().await;
    assert_eq!(
        (&page["closed"], &page["more"]),
        (&json!(false), &json!(true))
    );
}

#[tokio::test]
async fn a_multi_channel_page_is_closed_when_all_its_channels_are() {
    let channels = Channels::new(3);
    channels.publish_rounds(1..=2).await;
    let page = channels.events("&last=1").fetch_json().await;
    let mut texts = field_of_events(&page, "data");
    texts.sort_unstable();
    assert_eq!(texts, ["a2", "b2", "c2"]);
    for event in page["events"].as_array().unwrap() {
        let index = crate::channels::channel_index(event["id"].as_str().unwrap());
        assert_eq!(event["channel"], channels.0[index].name);
    }
    // A stream resumes at the cursor of a page, and a page at the id of an event.
    let cursor = page["cursor"].as_str().unwrap();
    channels.publish_rounds(3..=3).await;
    let events = channels.resume(cursor).await.events(3).await;
    let page = channels.events(&format!("&last_event_id={}", events[0].id));
    let page = page.fetch_json().await;
    assert_eq!(field_of_events(&page, "data").len(), 2);
    let cursor = page["cursor"].as_str().unwrap();
    for (index, channel) in channels.0.iter().enumerate() {
        channel.close().await;
        let page = channels.events(&format!("&last_event_id={cursor}"));
        assert_eq!(page.fetch_json().await["closed"], index == 2);
    }
}

#[tokio::test]
async fn a_head_request_has_no_body_and_does_not_wait() {
    let channel = Channel::new();
    channel.publish_text("x").await;
    let path = format!("/events/{}?wait=25", channel.name);
    let head = channel.server.request("HEAD", &path).accept_json();
    let (head, time) = timed(head.send()).await;
    let head = head.expect_status(200);
    assert!(time < LONGEST_WAIT, "{time:?}");
    assert_eq!(head.header("content-type"), Some("application/json"));
    assert_eq!(head.body, "");
    let too_long = format!("/events/{}?wait=26", channel.name);
    let too_long = channel.server.request("HEAD", &too_long).accept_json();
    too_long.send().await.expect_status(400);
    // Without `Accept: application/json`, HEAD describes a stream.
    let stream = channel
        .server
        .request("HEAD", &path)
        .send()
        .await
        .expect_status(200);
    assert_eq!(
        stream.header("content-type"),
        Some("text/event-stream; charset=utf-8")
    );
    drop(Stream::of(channel.events("?wait=abc&limit=0").open().await));
}
