//! Streams and pages over several channels.

use eventsource_stream::Event;
use runnel_testing::{Channel, Stream, data, shared_server};
use serde_json::{Value, json};

use crate::channels::{Channels, channel_index};

/// Groups the data of events by the channel index in their ids, keeping the order.
fn by_channel(events: &[Event], count: usize) -> Vec<Vec<&str>> {
    let mut grouped = vec![vec![]; count];
    for event in events {
        assert_eq!(event.event, "message", "{event:?}");
        grouped[channel_index(&event.id)].push(event.data.as_str());
    }
    grouped
}

#[tokio::test]
async fn an_event_id_encodes_its_channel_in_cors_safe_characters() {
    let channels = Channels::new(10);
    channels.publish_rounds(1..=3).await;
    let stream = channels
        .subscribe("&last_event_id=earliest&live=false")
        .await;
    let events = stream.rest().await;
    for (index, texts) in by_channel(&events, 10).into_iter().enumerate() {
        assert_eq!(texts, Channels::expected_data(index, 1..=3));
    }
    for event in &events {
        assert!(event.id.len() <= 128, "{}", event.id);
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
        assert!(event.id.bytes().all(is_safe), "{}", event.id);
    }
}

#[tokio::test]
async fn ten_channels_resume_exactly_after_every_disconnect() {
    const EVENTS: u32 = 12;
    let channels = Channels::new(10);
    let publisher = tokio::spawn({
        let channels = channels.clone();
        async move { channels.publish_rounds(1..=EVENTS).await }
    });
    let mut received = vec![];
    let mut cursor = "earliest".to_owned();
    while received.len() < 10 * EVENTS as usize {
        let left = 10 * EVENTS as usize - received.len();
        let mut stream = channels.resume(&cursor).await;
        for event in stream.events(left.min(1 + received.len() % 7)).await {
            cursor.clone_from(&event.id);
            received.push(event);
        }
    }
    publisher.await.unwrap();
    for (index, texts) in by_channel(&received, 10).into_iter().enumerate() {
        assert_eq!(texts, Channels::expected_data(index, 1..=EVENTS));
    }
}

#[tokio::test]
async fn every_id_of_a_replay_resumes_exactly_after_its_event() {
    let channels = Channels::new(3);
    channels.publish_rounds(1..=4).await;
    let stream = channels
        .subscribe("&last_event_id=earliest&live=false")
        .await;
    let events = stream.rest().await;
    for received in 1..events.len() {
        let mut stream = channels.resume(&events[received - 1].id).await;
        let mut all = events[..received].to_vec();
        all.extend(stream.events(events.len() - received).await);
        for (index, texts) in by_channel(&all, 3).into_iter().enumerate() {
            assert_eq!(
                texts,
                Channels::expected_data(index, 1..=4),
                "resumed after {received} events"
            );
        }
    }
}

#[tokio::test]
async fn a_resumed_stream_starts_with_the_id_of_the_client() {
    let channels = Channels::new(3);
    channels.publish_rounds(1..=2).await;
    let stream = channels.subscribe("&last=2&live=false").await;
    let mut events = stream.rest().await;
    events.pop();
    for event in events {
        let resumed = channels.events("&live=false");
        let resumed = resumed.header("last-event-id", &event.id).send().await;
        let text = String::from_utf8_lossy(&resumed.expect_status(200).body).into_owned();
        let (first, _) = text.split_once("\n\n").unwrap();
        let expected = format!("\nid: {}", event.id);
        let start = ": runnel\nevent: runnel.open\nretry: ";
        assert!(first.starts_with(start), "{text:?}");
        assert!(first.ends_with(&expected), "{first:?} after {}", event.id);
    }
}

#[tokio::test]
async fn a_live_stream_starts_with_its_position_in_every_channel() {
    let channels = Channels::new(3);
    channels.0[1].publish_text("old").await;
    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    let position = channels.subscribe("").await.next_position("").await;
    // Two of the channels have no log yet.
    channels.publish_rounds(1..=2).await;
    let events = channels.resume(&position).await.events(6).await;
    for (index, texts) in by_channel(&events, 3).into_iter().enumerate() {
        assert_eq!(texts, Channels::expected_data(index, 1..=2));
    }
}

#[tokio::test]
async fn one_channel_in_the_query_resumes_as_in_the_path() {
    let channels = Channels::new(1);
    let sent = channels.0[0].publish_numbers(1..=3).await;
    let events = channels.resume(&sent[0]).await.events(2).await;
    assert_eq!(runnel_testing::ids(&events), sent[1..]);
}

#[tokio::test]
async fn the_newest_events_of_each_channel_are_replayed() {
    let channels = Channels::new(3);
    channels.publish_rounds(1..=5).await;
    channels.0[1].publish_text("b6").await;
    let stream = channels.subscribe("&last=2&live=false").await;
    let events = stream.rest().await;
    let expected = [vec!["a4", "a5"], vec!["b5", "b6"], vec!["c4", "c5"]];
    assert_eq!(by_channel(&events, 3), expected);
}

#[tokio::test]
async fn live_events_of_all_channels_arrive() {
    let channels = Channels::new(10);
    let mut stream = channels.subscribe("").await;
    stream.opened().await;
    channels.publish_rounds(1..=3).await;
    let events = stream.events(30).await;
    for (index, texts) in by_channel(&events, 10).into_iter().enumerate() {
        assert_eq!(texts, Channels::expected_data(index, 1..=3));
    }
}

#[tokio::test]
async fn an_invalid_list_of_channels_is_rejected() {
    let server = shared_server();
    let eleven: Vec<_> = (0..11).map(|number| format!("channel=x{number}")).collect();
    let eleven = format!("/events?{}", eleven.join("&"));
    for (path, kind, about) in [
        (eleven.as_str(), "query", "11 channels are named"),
        (
            "/events?channel=a&channel=b&channel=a",
            "query",
            "channel a is named more than once",
        ),
        (
            "/events?channel=a%2Fb&channel=a/b",
            "query",
            "a/b is named more than once",
        ),
        ("/events/a?channel=b", "query", "in the path already"),
        ("/events/a?channel=a", "query", "in the path already"),
        ("/events/a?channel=", "query", "in the path already"),
        ("/events?channel=", "channel-name", "empty"),
        ("/events?channel=a&channel=", "channel-name", "empty"),
        ("/events?channel=a&channel", "channel-name", "empty"),
        ("/events?channel=a,b", "channel-name", "','"),
        ("/events?channel=a+b", "channel-name", "' '"),
        ("/events?channel=../a", "channel-name", "`..`"),
        ("/events?channel=a%00", "channel-name", "'\\0'"),
    ] {
        server
            .get(path)
            .send()
            .await
            .assert_problem(400, kind, about);
        let long_poll = server.get(path).accept_json();
        long_poll.send().await.assert_problem(400, kind, about);
    }
}

#[tokio::test]
async fn a_stream_ends_when_its_last_channel_is_closed() {
    let channels = Channels::new(3);
    let mut stream = channels.subscribe("&last=9").await;
    stream.opened().await;
    channels.publish_rounds(1..=1).await;
    stream.events(3).await;
    channels.0[2].close().await;
    channels.0[0].close().await;
    channels.0[1].publish_text("still open").await;
    let last = stream.event().await;
    assert_eq!(last.data, "still open");
    // A client that has received everything from the two closed channels still gets a stream.
    let mut resumed = channels.resume(&last.id).await;
    resumed.opened().await;
    channels.0[1].close().await;
    for mut stream in [stream, resumed] {
        let (id, end) = stream.control_event("runnel.end").await;
        assert_eq!(end, json!({"reason": "closed"}));
        assert!(stream.rest().await.is_empty());
        let again = channels.events("").header("last-event-id", &id);
        assert_eq!(again.send().await.expect_status(204).body, "");
    }
    let replayed = channels.subscribe("&last=1").await.rest().await;
    assert_eq!(replayed.len(), 4, "{replayed:?}");
    assert_eq!(replayed[3].event, "runnel.end");
}

/// Reads `gaps` gaps and `events` events. Returns the gaps sorted by channel and the data sorted.
async fn gaps_and_data(
    stream: &mut Stream,
    gaps: usize,
    events: usize,
) -> (Vec<Value>, Vec<String>) {
    let (mut received_gaps, mut data) = (vec![], vec![]);
    for event in stream.events(gaps + events).await {
        if event.event == "runnel.gap" {
            received_gaps.push(serde_json::from_str::<Value>(&event.data).unwrap());
        } else {
            data.push(event.data);
        }
    }
    let counts = (received_gaps.len(), data.len());
    assert_eq!(counts, (gaps, events), "{received_gaps:?} {data:?}");
    received_gaps.sort_by_key(|gap| gap["channel"].to_string());
    data.sort();
    (received_gaps, data)
}

#[tokio::test]
async fn a_gap_names_its_channel_and_the_others_continue() {
    let channels = Channels::new(3);
    channels.publish_rounds(1..=2).await;
    let mut stream = channels.subscribe("&last=2").await;
    let cursor = stream.events(6).await.remove(5).id;
    let purged = &channels.0[1];
    let old = purged.log().await.remove(1).0;
    purged.purge().await;
    let new = purged.publish_text("b new").await;
    channels.0[2].publish_text("c3").await;
    let gap = json!({
        "channel": purged.name,
        "reason": "reset",
        "requested": old,
        "resumed_from": new,
    });
    let mut resumed = channels.resume(&cursor).await;
    for stream in [&mut stream, &mut resumed] {
        let (gaps, events) = gaps_and_data(stream, 1, 2).await;
        assert_eq!(gaps, std::slice::from_ref(&gap));
        assert_eq!(events, ["b new", "c3"]);
    }
}

/// Returns the sorted channel names of all gaps among these events.
fn gap_channels(events: &[Event]) -> Vec<String> {
    let gaps = events.iter().filter(|event| event.event == "runnel.gap");
    let data = gaps.map(|gap| serde_json::from_str::<Value>(&gap.data).unwrap());
    let names = data.map(|data| data["channel"].as_str().unwrap().to_owned());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn no_gap_is_lost_when_the_connection_is_cut_before_it() {
    let channels = Channels::new(3);
    channels.publish_rounds(1..=2).await;
    let all = channels
        .subscribe("&last_event_id=earliest&live=false")
        .await;
    let cursor = all.rest().await.remove(0).id;
    let mut expected = vec![];
    for purged in [&channels.0[2], &channels.0[0]] {
        purged.purge().await;
        purged.publish_text("new").await;
        expected.push(purged.name.clone());
        expected.sort_unstable();
        let rest = async |id: &str| {
            let query = format!("&live=false&last_event_id={id}");
            channels.subscribe(&query).await.rest().await
        };
        let uncut = rest(&cursor).await;
        assert_eq!(gap_channels(&uncut), expected);
        for cut in 1..uncut.len() {
            let resumed = rest(&uncut[cut - 1].id).await;
            let mut reported = [gap_channels(&uncut[..cut]), gap_channels(&resumed)].concat();
            reported.sort_unstable();
            // A client that is cut between two gaps may receive the first one again.
            reported.dedup();
            assert_eq!(reported, expected, "cut after {:?}", &uncut[..cut]);
        }
    }
}

#[tokio::test]
async fn pages_of_one_event_report_every_gap() {
    let channels = Channels::new(3);
    channels.publish_rounds(1..=2).await;
    let first = channels.events("&last_event_id=earliest&limit=1");
    let mut page = first.fetch_json().await;
    channels.0[2].purge().await;
    channels.0[2].publish_text("new").await;
    let (mut gaps, mut events) = (vec![], vec![]);
    while page["more"] == true {
        let cursor = page["cursor"].as_str().unwrap();
        let next = channels.events(&format!("&limit=1&last_event_id={cursor}"));
        page = next.fetch_json().await;
        gaps.extend(page["gaps"].as_array().cloned().unwrap_or_default());
        events.extend(page["events"].as_array().unwrap().clone());
    }
    assert_eq!(events.len(), 4, "{events:?}");
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0]["channel"], channels.0[2].name);
}

#[tokio::test]
async fn a_cursor_of_other_channels_is_reported_as_a_reset_gap_of_each_channel() {
    let channels = Channels::new(3);
    channels.publish_rounds(1..=2).await;
    let others = Channels::new(3);
    others.publish_rounds(1..=2).await;
    let last_id = async |channels: &Channels| {
        let stream = channels.subscribe("&last=1&live=false").await;
        stream.rest().await.pop().unwrap().id
    };
    let own_cursor = last_id(&channels).await;
    let reversed = Channels(channels.0.iter().cloned().rev().collect());
    let two = Channels(channels.0[..2].to_vec());
    let mut four = channels.clone();
    four.0.push(Channel::new());
    four.0[3].publish_text("d").await;
    let single_channel_cursor = channels.0[0].log().await.remove(1).0;
    let longest = format!("~9{}", "zzzzzzzzzzzz".repeat(10));
    for cursor in [
        last_id(&others).await,
        last_id(&two).await,
        last_id(&four).await,
        last_id(&Channels(reversed.0[..2].to_vec())).await,
        single_channel_cursor,
        "0".to_owned(),
        own_cursor[..own_cursor.len() - 1].to_owned(),
        format!("{own_cursor}A"),
        format!("{own_cursor}{}", &own_cursor[2..14]),
        own_cursor.replacen('~', "", 1),
        format!("~7{}", &own_cursor[2..]),
        format!("~{own_cursor}"),
        longest,
        "~".repeat(5_000),
    ] {
        let mut stream = channels.resume(&cursor).await;
        let (gaps, events) = gaps_and_data(&mut stream, 3, 6).await;
        assert!(gaps.iter().all(|gap| gap["reason"] == "reset"), "{gaps:?}");
        assert_eq!(events, ["a1", "a2", "b1", "b2", "c1", "c2"]);
    }
    // Reversing three channels leaves the middle one at its index, so it has no gap.
    let mut stream = reversed.resume(&own_cursor).await;
    let (gaps, events) = gaps_and_data(&mut stream, 2, 4).await;
    assert_ne!(gaps[0]["channel"], gaps[1]["channel"]);
    assert_eq!(events, ["a1", "a2", "c1", "c2"]);
    // With its own channels the cursor is still valid.
    let mut stream = channels.resume(&own_cursor).await;
    stream.opened().await;
    channels.0[1].publish_text("b3").await;
    assert_eq!(data(&stream.events(1).await), ["b3"]);
}
