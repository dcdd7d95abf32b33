//! Opening, replay, live events, heartbeats, and the end.

use super::*;

#[test]
fn a_stream_sends_a_comment_before_it_reads() {
    let world = World::new();
    let mut stream = world.open(ResumePoint::Earliest);
    let first = stream.next(world.now());
    assert_eq!(first, Action::Emit(b": runnel\n".to_vec()));
}

/// Returns the data of `runnel.open`, in which the reconnection time is random.
fn open_data(sent: &str) -> serde_json::Value {
    let lines: Vec<_> = sent.lines().collect();
    assert_eq!(lines[..2], [": runnel", "event: runnel.open"]);
    let retry: u64 = lines[2].strip_prefix("retry: ").unwrap().parse().unwrap();
    assert!((2_000..=4_000).contains(&retry), "{retry}");
    let data = lines[3].strip_prefix("data: ").unwrap();
    let mut data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["retry_ms"].take(), retry);
    data
}

#[test]
fn the_first_event_has_the_position_at_which_the_stream_begins() {
    let position = |world: &mut World, resume| {
        let mut stream = world.open(resume);
        let opening = world.opening(&mut stream);
        let (_, id) = opening.rsplit_once("\nid: ").unwrap();
        let id = id.strip_suffix("\n\n").unwrap().to_owned();
        let expected = serde_json::json!({
            "channels": ["demo"],
            "cursor": id,
            "time": world.now,
            "heartbeat_ms": 15_000,
            "retry_ms": null,
        });
        assert_eq!(open_data(&opening), expected);
        id
    };
    let mut world = World::with_events(3, 10);
    world.now += 10;
    let live = ResumePoint::Live(Timestamp(world.now));
    assert_eq!(position(&mut world, live.clone()), "000007-3");
    assert_eq!(position(&mut world, ResumePoint::Earliest), "000007-0");
    assert_eq!(position(&mut world, ResumePoint::Last(2)), "000007-1");
    assert_eq!(position(&mut world, after("000007-2")), "000007-2");
    assert_eq!(position(&mut World::new(), live), "0");
}

#[test]
fn a_client_that_resumes_gets_its_position_with_the_first_bytes() {
    let mut world = World::with_events(3, 10);
    let mut stream = world.open(after("000007-2"));
    let first = world.chunk(&mut stream, 0).unwrap();
    assert!(first.ends_with("\nid: 000007-2\n\n"), "{first}");
    assert_eq!(world.head_reads, 0);
}

#[test]
fn the_reconnection_time_does_not_wait_for_a_failing_store() {
    let mut world = World::with_events(3, 10);
    world.failing = true;
    let mut stream = world.open(ResumePoint::Last(1));
    assert_eq!(world.sent(&mut stream, 999), ": runnel\n");
    let opening = format!(": runnel\n{}", world.sent(&mut stream, 2_000));
    assert_eq!(open_data(&opening)["cursor"], serde_json::Value::Null);
    assert!(!opening.contains("\nid: "), "{opening}");
    world.failing = false;
    let live = ResumePoint::Live(Timestamp(world.now + 1));
    let mut live = world.open(live);
    world.failing = true;
    world.sent(&mut live, 2_000);
    world.failing = false;
    assert_eq!(
        world.sent(&mut live, 5_000),
        "event: runnel.position\ndata: {\"cursor\":\"000007-3\"}\nid: 000007-3\n\n",
        "the position follows when it is known"
    );
    assert_eq!(seqs(&world.sent(&mut stream, 5_000)), [3]);
}

#[test]
fn a_replay_comes_in_chunks_and_live_events_follow() {
    let mut world = World::with_events(1_000, 200);
    let mut stream = world.open(ResumePoint::Earliest);
    world.opening(&mut stream);
    let mut chunks = vec![];
    let until = world.now + 50;
    while let Some(chunk) = world.chunk(&mut stream, until) {
        chunks.push(chunk);
    }
    assert_eq!(seqs(&chunks.concat()), (1..=1_000).collect::<Vec<_>>());
    assert!(chunks.iter().all(|chunk| chunk.len() < CHUNK_BYTES + 300));
    assert!(chunks.len() < 10, "{} chunks for 230 KB", chunks.len());
    world.publish("live");
    assert_eq!(seqs(&world.sent(&mut stream, 50)), [1_001]);
}

#[test]
fn a_live_stream_misses_nothing_from_its_first_byte_on() {
    let mut world = World::with_events(3, 10);
    world.now += 1;
    let mut stream = world.open(ResumePoint::Live(Timestamp(world.now)));
    world.chunk(&mut stream, 0).unwrap();
    // Published after the client saw the stream open, before the stream first read the log.
    world.publish("early");
    world.now += 10;
    assert_eq!(seqs(&world.sent(&mut stream, 50)), [4]);
}

#[test]
fn a_stream_that_is_older_than_its_channel_gets_everything() {
    for start in [
        ResumePoint::Live(Timestamp(1_000_000)),
        ResumePoint::Last(1),
        ResumePoint::Earliest,
    ] {
        let mut world = World::new();
        let mut stream = world.open(start);
        world.sent(&mut stream, 100);
        world.publish("a");
        world.publish("b");
        assert_eq!(seqs(&world.sent(&mut stream, 1_000)), [1, 2]);
    }
}

#[test]
fn heartbeats_are_sent_only_after_silence() {
    let mut world = World::new();
    let mut stream = world.open(ResumePoint::Earliest);
    world.sent(&mut stream, 10_000);
    world.publish("a");
    assert_eq!(seqs(&world.sent(&mut stream, 1_000)), [1]);
    assert_eq!(world.sent(&mut stream, 14_000), "");
    assert_eq!(world.sent(&mut stream, 1_100), ":\n");
    assert_eq!(world.sent(&mut stream, 30_000), ":\n:\n");
}

#[test]
fn a_stream_ends_between_80_and_100_percent_of_its_age() {
    let mut ends = vec![];
    for seed in 0..50 {
        let mut world = World::new();
        let subscription = subscription(ResumePoint::Earliest, true);
        let mut stream = world.client(world.stream(subscription, CONFIG, seed));
        let opened = world.now;
        let sent = world.sent(&mut stream, 400_000);
        let retry = sent.lines().nth(2).unwrap();
        let millis = retry.strip_prefix("retry: ").unwrap();
        assert!(
            sent.ends_with(&format!(
                "event: runnel.reconnect\n{retry}\ndata: {{\"reason\":\"age\",\"retry_ms\":{millis}}}\nid: 0\n\n"
            )),
            "{sent}"
        );
        assert_eq!(stream.next(world.now()), Action::End);
        ends.push(world.now - opened);
    }
    ends.sort_unstable();
    assert!(ends[0] >= 240_000 && ends[49] <= 300_000);
    assert!(ends[49] - ends[0] > 30_000, "they are spread");
}

#[test]
fn a_closed_channel_ends_the_stream_after_its_last_event() {
    let mut world = World::with_events(2, 10);
    world.close();
    let mut stream = world.open(after("000007-1"));
    let sent = world.sent(&mut stream, 1_000);
    assert!(
        sent.ends_with("data: 0000000001\nid: 000007-2\n\nevent: runnel.end\ndata: {\"reason\":\"closed\"}\nid: 000007-2\n\n"),
        "{sent}"
    );
    assert_eq!(stream.next(world.now()), Action::End);
}

#[test]
fn a_stream_is_finished_if_the_client_has_everything_and_nothing_will_follow() {
    let mut world = World::with_events(2, 10);
    let is_finished = |world: &mut World, resume: &ResumePoint, live| {
        let mut stream = world.open_with(CONFIG, resume.clone(), live);
        assert!(!stream.is_finished(world.now()), "before the first page");
        world.lend(&mut stream, Client::read_first_pages);
        stream.is_finished(world.now())
    };
    let last = after("000007-2");
    assert!(!is_finished(&mut world, &last, true));
    assert!(is_finished(&mut world, &last, false));
    assert!(!is_finished(&mut world, &ResumePoint::Earliest, false));
    world.close();
    assert!(is_finished(&mut world, &last, true));
    assert!(!is_finished(&mut world, &after("000007-1"), true));
    assert!(!is_finished(&mut world, &after("garbage"), true));
    let live = ResumePoint::Live(Timestamp(world.now + 1));
    assert!(
        !is_finished(&mut world, &live, true),
        "it has to send the end first"
    );
    let mut nothing = World::new();
    assert!(is_finished(&mut nothing, &ResumePoint::Earliest, false));
    assert!(is_finished(&mut nothing, &after("0"), false));
    assert!(!is_finished(&mut nothing, &last, false));
    assert!(!is_finished(&mut nothing, &last, true));
}

#[test]
fn a_stream_that_is_not_live_ends_at_the_newest_event() {
    let mut world = World::with_events(500, 200);
    let mut stream = world.open_with(CONFIG, ResumePoint::Last(300), false);
    let opened = world.now;
    assert_eq!(
        seqs(&world.sent(&mut stream, 9_000)),
        (201..=500).collect::<Vec<_>>()
    );
    assert_eq!((stream.next(world.now()), world.now), (Action::End, opened));
}

#[test]
fn a_stream_that_is_not_live_reports_a_lost_log() {
    let mut world = World::new();
    let mut stream = world.open_with(CONFIG, after("000009-4"), false);
    assert!(world.sent(&mut stream, 9_000).ends_with(
        "event: runnel.gap\ndata: {\"channel\":\"demo\",\"reason\":\"reset\",\"requested\":\"000009-4\",\"resumed_from\":null}\nid: 0\n\n"
    ));
    assert_eq!(stream.next(world.now()), Action::End);
}
