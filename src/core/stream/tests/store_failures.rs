//! A store that fails, the pace of polling, and everything at once.

use super::*;

#[test]
fn a_failing_store_ends_no_stream_until_patience_ends() {
    let mut world = World::with_events(2, 10);
    let mut stream = world.open(ResumePoint::Earliest);
    world.sent(&mut stream, 50);
    world.failing = true;
    let reads = world.head_reads;
    assert_eq!(world.sent(&mut stream, 25_000), ":\n");
    assert!(
        world.head_reads - reads < 30,
        "{} reads while backing off",
        world.head_reads - reads
    );
    world.failing = false;
    world.publish("3");
    assert_eq!(seqs(&world.sent(&mut stream, 5_100)), [3]);

    world.failing = true;
    let sent = world.sent(&mut stream, 60_000);
    let (retry, end) = sent
        .strip_prefix(":\n:\nevent: runnel.reconnect\nretry: ")
        .and_then(|end| end.split_once('\n'))
        .unwrap();
    assert!(retry.parse::<u64>().unwrap() >= 16_000);
    assert_eq!(
        end,
        format!("data: {{\"reason\":\"store\",\"retry_ms\":{retry}}}\nid: 000007-3\n\n")
    );
    assert_eq!(stream.next(world.now()), Action::End);
}

#[test]
fn a_segment_that_fails_once_among_others_is_read_again() {
    let mut world = World::with_events(600, 200);
    let segments = world.head.as_ref().unwrap().segments.clone();
    for failing in &segments {
        world.fails_once.insert(failing.id(Epoch::from_random(7)));
        let mut stream = world.open(ResumePoint::Earliest);
        let sent = world.sent(&mut stream, 5_000);
        assert_eq!(seqs(&sent), (1..=600).collect::<Vec<_>>());
    }
}

#[test]
fn a_live_stream_skips_older_events_of_the_segment_it_begins_in() {
    let mut world = World::with_events(3, 1_000);
    world.now += 1;
    let mut stream = world.open(ResumePoint::Live(Timestamp(world.now)));
    world.chunk(&mut stream, 0).unwrap();
    for _ in 0..30 {
        world.publish(&"n".repeat(1_000));
    }
    assert!(!world.head.as_ref().unwrap().segments.is_empty());
    assert_eq!(
        seqs(&world.sent(&mut stream, 100)),
        (4..=33).collect::<Vec<_>>()
    );
}

#[test]
fn readers_of_a_channel_poll_at_the_same_ticks() {
    let mut world = World::with_events(1, 10);
    let config = StreamConfig {
        max_age: Duration::from_secs(10_000),
        ..CONFIG
    };
    let mut ticks = vec![];
    for opened in [0, 37, 111] {
        world.now = 1_000_000 + opened;
        let mut stream = world.open_with(config, ResumePoint::Earliest, true);
        world.sent(&mut stream, 100_000);
        let reads = world.head_reads;
        while world.head_reads == reads {
            world.sent(&mut stream, 1);
        }
        ticks.push(world.now % 500);
    }
    assert_eq!(ticks, [0, 0, 0]);
}

#[test]
fn a_store_that_never_answers_ends_the_stream_after_heartbeats() {
    let world = World::new();
    let mut stream = world.open(ResumePoint::Earliest);
    let mut now = world.now();
    let mut sent = vec![];
    loop {
        match stream.next(now) {
            Action::Emit(bytes) => sent.push(String::from_utf8(bytes).unwrap()),
            Action::Wait(until) => now.monotonic = until,
            Action::End => break,
            Action::Read(..) => {}
        }
    }
    assert_eq!(sent[0], ": runnel\n");
    assert!(sent[1].starts_with("event: runnel.open\n"));
    assert_eq!(sent[2], ":\n");
    assert!(sent[3].contains("data: {\"reason\":\"store\",\"retry_ms\":"));
    let waited = now
        .monotonic
        .saturating_duration_since(world.now().monotonic);
    assert_eq!(waited, CONFIG.store_patience);
}

#[test]
fn a_reader_polls_often_after_activity_and_rarely_when_idle() {
    let mut world = World::with_events(1, 10);
    let config = StreamConfig {
        max_age: Duration::from_secs(10_000),
        ..CONFIG
    };
    let mut stream = world.open_with(config, ResumePoint::Earliest, true);
    world.sent(&mut stream, 250);
    assert!(
        (40..=60).contains(&world.head_reads),
        "{} reads in 250 ms",
        world.head_reads
    );
    world.sent(&mut stream, 600_000);
    world.head_reads = 0;
    world.sent(&mut stream, 60_000);
    assert_eq!(world.head_reads, 120);
    world.publish("wake");
    world.sent(&mut stream, 600);
    world.head_reads = 0;
    world.sent(&mut stream, 100);
    assert!(world.head_reads > 5);
}

proptest! {
    /// Property: however a client reads, disconnects and resumes while events are published, it
    /// receives every event once and in order, or a gap and then the oldest event kept.
    #[test]
    fn every_event_arrives_once_and_in_order(
        seed: u64,
        keep in 5_u64..2_000,
        acts in prop::collection::vec((0_u8..10, 0_u64..200, 1_usize..12_000), 1..120),
    ) {
        let mut world = World::new();
        world.retention.events = keep;
        let mut stream = world.open(ResumePoint::Earliest);
        let mut received: Vec<u64> = vec![];
        let mut gaps = 0;
        let mut missed = 0;
        let take = |chunk: &str, received: &mut Vec<u64>, gaps: &mut u64, missed: &mut u64| {
            for block in chunk.split("\n\n") {
                *gaps += u64::from(block.contains("\"reason\":\"evicted\""));
                if block.contains("event: runnel.gap") {
                    let id = block.lines().find_map(|line| line.strip_prefix("id: 000007-")).unwrap();
                    let at: u64 = id.parse().unwrap();
                    let last = received.last().copied().unwrap_or(0);
                    assert!(at > last, "a gap leads forward");
                    *missed += at - last;
                    received.extend(last + 1..=at);
                }
                received.extend(seqs(block));
            }
        };
        for (step, (act, millis, bytes)) in acts.into_iter().enumerate() {
            match act {
                0..=5 => for _ in 0..=act { world.publish(&"e".repeat(bytes)); },
                6 => if let Some(chunk) = world.chunk(&mut stream, world.now + millis) {
                    take(&chunk, &mut received, &mut gaps, &mut missed);
                },
                7 => {
                    let start = match received.last() {
                        Some(&seq) => after(&format!("000007-{seq}")),
                        None => ResumePoint::Earliest,
                    };
                    let subscription = subscription(start, true);
                    stream = world.client(world.stream(subscription, CONFIG, seed ^ step as u64));
                }
                8 => world.failing = !world.failing,
                _ => {
                    let sent = world.sent(&mut stream, millis);
                    take(&sent, &mut received, &mut gaps, &mut missed);
                }
            }
        }
        world.failing = false;
        let next = world.head.as_ref().map_or(1, |head| head.next().0);
        let sent = world.sent(&mut stream, 20_000);
        take(&sent, &mut received, &mut gaps, &mut missed);
        let first = received.first().copied().unwrap_or(next);
        prop_assert_eq!(&received, &(first..next).collect::<Vec<_>>());
        prop_assert!(missed == 0 || gaps > 0);
    }
}
