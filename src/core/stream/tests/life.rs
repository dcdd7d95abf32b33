//! Opening, replay, going live, heartbeats, and the end.

use super::*;

#[test]
fn opens_with_a_reconnection_time_and_a_comment_before_anything_is_read() {
    let world = World::new();
    let mut stream = world.open(StartFrom::Earliest);
    let Step::Emit(bytes) = stream.next(world.now()) else {
        panic!("bytes first")
    };
    let text = String::from_utf8(bytes).unwrap();
    let millis = text
        .strip_prefix("retry: ")
        .and_then(|text| text.strip_suffix("\n\n: runnel\n\n"))
        .unwrap();
    assert!(
        (2_000..=4_000).contains(&millis.parse::<u64>().unwrap()),
        "{millis}"
    );
}

#[test]
fn replays_in_chunks_and_goes_on_live() {
    let mut world = World::with_events(1_000, 200);
    let mut stream = world.open(StartFrom::Earliest);
    world.chunk(&mut stream, 0);
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
    let mut stream = world.open(StartFrom::Live(Timestamp(world.now)));
    world.chunk(&mut stream, 0).unwrap();
    // Published after the client saw the stream open, before the stream first read the log.
    world.publish("early");
    world.now += 10;
    assert_eq!(seqs(&world.sent(&mut stream, 50)), [4]);
}

#[test]
fn a_stream_that_is_older_than_its_channel_gets_everything() {
    for start in [
        StartFrom::Live(Timestamp(1_000_000)),
        StartFrom::Last(1),
        StartFrom::Earliest,
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
fn heartbeats_come_only_when_nothing_else_was_sent() {
    let mut world = World::new();
    let mut stream = world.open(StartFrom::Earliest);
    world.sent(&mut stream, 10_000);
    world.publish("a");
    assert_eq!(seqs(&world.sent(&mut stream, 1_000)), [1]);
    assert_eq!(world.sent(&mut stream, 14_000), "");
    assert_eq!(world.sent(&mut stream, 1_100), ":\n\n");
    assert_eq!(world.sent(&mut stream, 30_000), ":\n\n:\n\n");
}

#[test]
fn ends_by_itself_between_80_and_100_percent_of_its_age() {
    let mut ends = vec![];
    for seed in 0..50 {
        let mut world = World::new();
        let subscription = subscription(StartFrom::Earliest, true);
        let mut stream = EventStream::new(subscription, CONFIG, seed, Instant(world.now));
        let opened = world.now;
        let sent = world.sent(&mut stream, 400_000);
        assert!(
            sent.ends_with(": this stream has reached its age; reconnect to resume\n\n"),
            "{sent}"
        );
        assert_eq!(stream.next(world.now()), Step::End);
        ends.push(world.now - opened);
    }
    ends.sort_unstable();
    assert!(ends[0] >= 240_000 && ends[49] <= 300_000);
    assert!(ends[49] - ends[0] > 30_000, "they are spread");
}

#[test]
fn a_closed_channel_ends_the_stream_when_everything_was_sent() {
    let mut world = World::with_events(2, 10);
    world.close();
    let mut stream = world.open(after("000007-1"));
    let sent = world.sent(&mut stream, 1_000);
    assert!(
        sent.ends_with("data: 0000000001\nid: 000007-2\n\nevent: runnel.end\ndata: {\"reason\":\"closed\"}\nid: 000007-2\n\n"),
        "{sent}"
    );
    assert_eq!(stream.next(world.now()), Step::End);
}

#[test]
fn a_stream_has_nothing_to_say_after_the_end_or_when_it_does_not_wait() {
    let mut world = World::with_events(2, 10);
    let finished = |world: &World, start: &StartFrom, live| {
        let mut stream = world.open_with(CONFIG, start.clone(), live);
        assert!(!stream.is_finished(world.now()), "before anything was read");
        let head = world.head.clone().map(Rc::new);
        let now = Instant(world.now);
        stream.feeds().head_read(0, now, Ok(head), now);
        stream.is_finished(world.now())
    };
    let last = after("000007-2");
    assert!(!finished(&world, &last, true));
    assert!(finished(&world, &last, false));
    assert!(!finished(&world, &StartFrom::Earliest, false));
    world.close();
    assert!(finished(&world, &last, true));
    assert!(!finished(&world, &after("000007-1"), true));
    assert!(!finished(&world, &after("garbage"), true));
    assert!(
        !finished(&world, &StartFrom::Live(Timestamp(world.now + 1)), true),
        "it is told of the end first"
    );
    let nothing = World::new();
    assert!(finished(&nothing, &StartFrom::Earliest, false));
    assert!(finished(&nothing, &after("0"), false));
    assert!(!finished(&nothing, &last, false));
    assert!(!finished(&nothing, &last, true));
}

#[test]
fn a_replay_without_waiting_ends_at_the_newest_event() {
    let mut world = World::with_events(500, 200);
    let mut stream = world.open_with(CONFIG, StartFrom::Last(300), false);
    let opened = world.now;
    assert_eq!(
        seqs(&world.sent(&mut stream, 9_000)),
        (201..=500).collect::<Vec<_>>()
    );
    assert_eq!((stream.next(world.now()), world.now), (Step::End, opened));
}

#[test]
fn a_replay_without_waiting_of_a_lost_log_says_so() {
    let mut world = World::new();
    let mut stream = world.open_with(CONFIG, after("000009-4"), false);
    assert!(world.sent(&mut stream, 9_000).ends_with(
        "event: runnel.gap\ndata: {\"channel\":\"demo\",\"reason\":\"reset\",\"requested\":\"000009-4\",\"resumed_from\":null}\nid: 0\n\n"
    ));
    assert_eq!(stream.next(world.now()), Step::End);
}
