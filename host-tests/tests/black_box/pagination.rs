//! Pages of a long-poll response, followed by their `next` links.

use runnel_testing::{Channel, Server, shared_server};
use serde_json::Value;

use crate::channels::Channels;

/// Follows the `next` links until the last page, and returns all pages.
async fn follow_next_links(server: &Server, path: &str) -> Vec<Value> {
    let (mut pages, mut path) = (vec![], path.to_owned());
    loop {
        let response = server
            .get(&path)
            .accept_json()
            .send()
            .await
            .expect_status(200);
        let [next] = response.links("next")[..] else {
            panic!("{response:?}")
        };
        path = next.to_owned();
        let page = response.json();
        let is_last = page["more"] == false;
        pages.push(page);
        if is_last {
            return pages;
        }
    }
}

/// Returns the events of all pages.
fn all_events(pages: &[Value]) -> Vec<&Value> {
    let pages = pages.iter().map(|page| page["events"].as_array().unwrap());
    pages.flatten().collect()
}

#[tokio::test]
async fn next_links_lead_through_three_thousand_events_without_gaps() {
    let channel = Channel::new();
    for thousand in 0..3 {
        channel
            .publish_batch(thousand * 1_000 + 1..=thousand * 1_000 + 1_000)
            .await;
    }
    let server = shared_server();
    for (limit, count) in [
        ("", 3),
        ("&limit=1000", 3),
        ("&limit=700", 5),
        ("&limit=2999", 0),
    ] {
        let path = format!("/events/{}?last_event_id=earliest{limit}", channel.name);
        if count == 0 {
            let response = server.get(&path).accept_json().send().await;
            response.assert_problem(400, "query", "`limit`");
            continue;
        }
        let pages = follow_next_links(&server, &path).await;
        assert_eq!(pages.len(), count, "{limit}");
        assert!(pages.iter().all(|page| page.get("gaps").is_none()));
        let events = all_events(&pages);
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
async fn multi_channel_pages_contain_every_event_once() {
    let channels = Channels::new(3);
    for channel in &channels.0 {
        channel.publish_batch(1..=200).await;
    }
    let names = channels
        .0
        .iter()
        .map(|channel| format!("&channel={}", channel.name));
    let path = format!(
        "/events?limit=7&last_event_id=earliest{}",
        names.collect::<String>()
    );
    let pages = follow_next_links(&shared_server(), &path).await;
    let events = all_events(&pages);
    assert_eq!(events.len(), 600);
    for channel in &channels.0 {
        let in_channel = events
            .iter()
            .filter(|event| event["channel"] == channel.name);
        let data: Vec<_> = in_channel
            .map(|event| event["data"].as_str().unwrap())
            .collect();
        let expected: Vec<_> = (1..=200).map(|number| number.to_string()).collect();
        assert_eq!(data, expected);
    }
}

#[tokio::test]
async fn a_page_ends_once_it_holds_256_kib_of_data() {
    let channel = Channel::new();
    for _ in 0..10 {
        channel.publish_text("x".repeat(60_000)).await;
    }
    let path = format!("/events/{}?last_event_id=earliest", channel.name);
    let pages = follow_next_links(&shared_server(), &path).await;
    let counts: Vec<_> = pages
        .iter()
        .map(|page| page["events"].as_array().unwrap().len())
        .collect();
    assert_eq!(counts, [5, 5]);
}

#[tokio::test]
async fn the_next_link_keeps_all_query_parameters_except_the_start() {
    let channel = Channel::new();
    let sent = channel.publish_numbers(1..=3).await;
    let query = "?last=2&limit=1&wait=0&event=message&event=gr%C3%B6%C3%9Fe+1&x=%3E%22%0A";
    let response = channel
        .events(query)
        .accept_json()
        .send()
        .await
        .expect_status(200);
    let kept = "limit=1&wait=0&event=message&event=gr%C3%B6%C3%9Fe+1&x=%3E%22%0A";
    let expected = format!("/events/{}?{kept}&last_event_id={}", channel.name, sent[1]);
    assert_eq!(response.links("next"), [expected.as_str()]);
    let next = channel
        .server
        .get(&expected)
        .accept_json()
        .send()
        .await
        .expect_status(200);
    assert_eq!(next.json()["events"][0]["id"], sent[2]);
    assert_eq!(next.json()["more"], false);
}
