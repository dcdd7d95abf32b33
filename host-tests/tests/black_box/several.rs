//! Several channels in one stream.

use eventsource_stream::Event;
use serde_json::{Value, json};

use crate::channel::Channel;
use crate::channels::{Channels, place};
use crate::server::server;
use crate::stream::{Stream, data};

/// The data of the events of each channel, in order, by the places in their ids.
fn by_channel(events: &[Event], count: usize) -> Vec<Vec<&str>> {
    let mut sorted = vec![vec![]; count];
    for event in events {
        assert_eq!(event.event, "message", "{event:?}");
        sorted[place(&event.id)].push(event.data.as_str());
    }
    sorted
}

#[tokio::test]
async fn the_id_of_an_event_names_its_channel_and_costs_no_preflight() {
    let channels = Channels::new(10);
    channels.count(1..=3).await;
    let stream = channels
        .subscribe("&last_event_id=earliest&live=false")
        .await;
    let events = stream.rest().await;
    for (place, texts) in by_channel(&events, 10).into_iter().enumerate() {
        assert_eq!(texts, Channels::texts(place, 1..=3));
    }
    for event in &events {
        assert!(event.id.len() <= 128, "{}", event.id);
        let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
        assert!(event.id.bytes().all(is_safe), "{}", event.id);
    }
}

#[tokio::test]
async fn ten_channels_resume_exactly_wherever_the_connection_is_cut() {
    const EVENTS: u32 = 12;
    let channels = Channels::new(10);
    let publisher = tokio::spawn({
        let channels = channels.clone();
        async move { channels.count(1..=EVENTS).await }
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
    for (place, texts) in by_channel(&received, 10).into_iter().enumerate() {
        assert_eq!(texts, Channels::texts(place, 1..=EVENTS));
    }
}

#[tokio::test]
async fn every_id_of_a_replay_resumes_exactly_after_its_event() {
    let channels = Channels::new(3);
    channels.count(1..=4).await;
    let stream = channels
        .subscribe("&last_event_id=earliest&live=false")
        .await;
    let events = stream.rest().await;
    for had in 1..events.len() {
        let mut stream = channels.resume(&events[had - 1].id).await;
        let mut all = events[..had].to_vec();
        all.extend(stream.events(events.len() - had).await);
        for (place, texts) in by_channel(&all, 3).into_iter().enumerate() {
            assert_eq!(texts, Channels::texts(place, 1..=4), "cut after {had}");
        }
    }
}

#[tokio::test]
async fn a_client_that_resumes_is_told_its_own_id_with_the_first_bytes() {
    let channels = Channels::new(3);
    channels.count(1..=2).await;
    let stream = channels.subscribe("&last=2&live=false").await;
    let mut events = stream.rest().await;
    events.pop();
    for event in events {
        let resumed = channels.events("&live=false");
        let resumed = resumed.header("last-event-id", &event.id).send().await;
        let text = String::from_utf8_lossy(&resumed.has(200).body).into_owned();
        let (first, _) = text.split_once("\n\n").unwrap();
        let expected = format!("\nid: {}", event.id);
        assert!(first.starts_with("retry: "), "{text:?}");
        assert!(first.ends_with(&expected), "{first:?} after {}", event.id);
    }
}

#[tokio::test]
async fn a_live_stream_is_told_where_it_stands_in_each_channel() {
    let channels = Channels::new(3);
    channels.0[1].say("old").await;
    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    let mark = channels.subscribe("").await.marked("").await;
    // Two of the channels have no log yet.
    channels.count(1..=2).await;
    let events = channels.resume(&mark).await.events(6).await;
    for (place, texts) in by_channel(&events, 3).into_iter().enumerate() {
        assert_eq!(texts, Channels::texts(place, 1..=2));
    }
}

#[tokio::test]
async fn one_channel_in_the_query_is_the_same_as_in_the_path() {
    let channels = Channels::new(1);
    let sent = channels.0[0].count(1..=3).await;
    let events = channels.resume(&sent[0]).await.events(2).await;
    assert_eq!(crate::stream::ids(&events), sent[1..]);
}

#[tokio::test]
async fn the_newest_events_of_each_channel_are_replayed() {
    let channels = Channels::new(3);
    channels.count(1..=5).await;
    channels.0[1].say("b6").await;
    let stream = channels.subscribe("&last=2&live=false").await;
    let events = stream.rest().await;
    let expected = [vec!["a4", "a5"], vec!["b5", "b6"], vec!["c4", "c5"]];
    assert_eq!(by_channel(&events, 3), expected);
}

#[tokio::test]
async fn live_events_of_all_channels_arrive() {
    let channels = Channels::new(10);
    let mut stream = channels.subscribe("").await;
    stream.begun().await;
    channels.count(1..=3).await;
    let events = stream.events(30).await;
    for (place, texts) in by_channel(&events, 10).into_iter().enumerate() {
        assert_eq!(texts, Channels::texts(place, 1..=3));
    }
}

#[tokio::test]
async fn channels_that_cannot_be_one_stream_are_refused() {
    let server = server();
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
        server.get(path).send().await.is_problem(400, kind, about);
        let long_poll = server.get(path).long_poll();
        long_poll.send().await.is_problem(400, kind, about);
    }
}

#[tokio::test]
async fn a_stream_ends_when_the_last_of_its_channels_is_closed() {
    let channels = Channels::new(3);
    let mut stream = channels.subscribe("&last=9").await;
    stream.begun().await;
    channels.count(1..=1).await;
    stream.events(3).await;
    channels.0[2].close().await;
    channels.0[0].close().await;
    channels.0[1].say("still open").await;
    let last = stream.event().await;
    assert_eq!(last.data, "still open");
    // A client that has had everything of two closed channels is not told to stop.
    let mut resumed = channels.resume(&last.id).await;
    resumed.begun().await;
    channels.0[1].close().await;
    for mut stream in [stream, resumed] {
        let (id, end) = stream.signal("runnel.end").await;
        assert_eq!(end, json!({"reason": "closed"}));
        assert!(stream.rest().await.is_empty());
        let again = channels.events("").header("last-event-id", &id);
        assert_eq!(again.send().await.has(204).body, "");
    }
    let missed = channels.subscribe("&last=1").await.rest().await;
    assert_eq!(missed.len(), 4, "{missed:?}");
    assert_eq!(missed[3].event, "runnel.end");
}

/// The gaps at the beginning of a stream, by their channels; then the data of so many events.
async fn gaps_then(stream: &mut Stream, gaps: usize, events: usize) -> (Vec<Value>, Vec<String>) {
    let (mut told, mut had) = (vec![], vec![]);
    for event in stream.events(gaps + events).await {
        match event.event.as_str() {
            "runnel.gap" => {
                let gap: Value = serde_json::from_str(&event.data).unwrap();
                told.push(gap);
            }
            _ => had.push(event.data),
        }
    }
    assert_eq!((told.len(), had.len()), (gaps, events), "{told:?} {had:?}");
    told.sort_by_key(|gap| gap["channel"].to_string());
    had.sort();
    (told, had)
}

#[tokio::test]
async fn a_gap_names_its_channel_and_the_others_go_on() {
    let channels = Channels::new(3);
    channels.count(1..=2).await;
    let mut stream = channels.subscribe("&last=2").await;
    let had = stream.events(6).await.remove(5).id;
    let purged = &channels.0[1];
    let old = purged.log().await.remove(1).0;
    purged.purge().await;
    let new = purged.say("b new").await;
    channels.0[2].say("c3").await;
    let gap = json!({
        "channel": purged.name,
        "reason": "reset",
        "requested": old,
        "resumed_from": new,
    });
    let mut resumed = channels.resume(&had).await;
    for stream in [&mut stream, &mut resumed] {
        let (gaps, events) = gaps_then(stream, 1, 2).await;
        assert_eq!(gaps, std::slice::from_ref(&gap));
        assert_eq!(events, ["b new", "c3"]);
    }
}

/// The names of the channels whose gaps are among these events, in order.
fn gaps(events: &[Event]) -> Vec<String> {
    let gaps = events.iter().filter(|event| event.event == "runnel.gap");
    let data = gaps.map(|gap| serde_json::from_str::<Value>(&gap.data).unwrap());
    let names = data.map(|data| data["channel"].as_str().unwrap().to_owned());
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

#[tokio::test]
async fn a_gap_that_has_not_been_told_yet_is_told_after_the_next_cut() {
    let channels = Channels::new(3);
    channels.count(1..=2).await;
    let all = channels
        .subscribe("&last_event_id=earliest&live=false")
        .await;
    let had = all.rest().await.remove(0).id;
    let mut expected = vec![];
    for purged in [&channels.0[2], &channels.0[0]] {
        purged.purge().await;
        purged.say("new").await;
        expected.push(purged.name.clone());
        expected.sort_unstable();
        let rest = async |id: &str| {
            let query = format!("&live=false&last_event_id={id}");
            channels.subscribe(&query).await.rest().await
        };
        let uncut = rest(&had).await;
        assert_eq!(gaps(&uncut), expected);
        for cut in 1..uncut.len() {
            let resumed = rest(&uncut[cut - 1].id).await;
            let mut told = [gaps(&uncut[..cut]), gaps(&resumed)].concat();
            told.sort_unstable();
            // Who is cut between two gaps may be told of the first again.
            told.dedup();
            assert_eq!(told, expected, "cut after {:?}", &uncut[..cut]);
        }
    }
}

#[tokio::test]
async fn pages_of_one_event_tell_every_gap() {
    let channels = Channels::new(3);
    channels.count(1..=2).await;
    let first = channels.events("&last_event_id=earliest&limit=1");
    let mut page = first.json().await;
    channels.0[2].purge().await;
    channels.0[2].say("new").await;
    let (mut gaps, mut events) = (vec![], vec![]);
    while page["more"] == true {
        let cursor = page["cursor"].as_str().unwrap();
        let next = channels.events(&format!("&limit=1&last_event_id={cursor}"));
        page = next.json().await;
        gaps.extend(page["gaps"].as_array().cloned().unwrap_or_default());
        events.extend(page["events"].as_array().unwrap().clone());
    }
    assert_eq!(events.len(), 4, "{events:?}");
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert_eq!(gaps[0]["channel"], channels.0[2].name);
}

#[tokio::test]
async fn a_cursor_that_is_not_of_these_channels_is_a_reset_of_each_and_never_an_error() {
    let channels = Channels::new(3);
    channels.count(1..=2).await;
    let others = Channels::new(3);
    others.count(1..=2).await;
    let last_of = async |channels: &Channels| {
        let stream = channels.subscribe("&last=1&live=false").await;
        stream.rest().await.pop().unwrap().id
    };
    let own = last_of(&channels).await;
    let reversed = Channels(channels.0.iter().cloned().rev().collect());
    let two = Channels(channels.0[..2].to_vec());
    let mut four = channels.clone();
    four.0.push(Channel::new());
    four.0[3].say("d").await;
    let of_one = channels.0[0].log().await.remove(1).0;
    let longest = format!("~9{}", "zzzzzzzzzzzz".repeat(10));
    for cursor in [
        last_of(&others).await,
        last_of(&two).await,
        last_of(&four).await,
        last_of(&Channels(reversed.0[..2].to_vec())).await,
        of_one,
        "0".to_owned(),
        own[..own.len() - 1].to_owned(),
        format!("{own}A"),
        format!("{own}{}", &own[2..14]),
        own.replacen('~', "", 1),
        format!("~7{}", &own[2..]),
        format!("~{own}"),
        longest,
        "~".repeat(5_000),
    ] {
        let mut stream = channels.resume(&cursor).await;
        let (gaps, events) = gaps_then(&mut stream, 3, 6).await;
        assert!(gaps.iter().all(|gap| gap["reason"] == "reset"), "{gaps:?}");
        assert_eq!(events, ["a1", "a2", "b1", "b2", "c1", "c2"]);
    }
    // The one in the middle keeps its place.
    let mut stream = reversed.resume(&own).await;
    let (gaps, events) = gaps_then(&mut stream, 2, 4).await;
    assert_ne!(gaps[0]["channel"], gaps[1]["channel"]);
    assert_eq!(events, ["a1", "a2", "c1", "c2"]);
    // Of the channels that it was, it still is the cursor.
    let mut stream = channels.resume(&own).await;
    stream.begun().await;
    channels.0[1].say("b3").await;
    assert_eq!(data(&stream.events(1).await), ["b3"]);
}
