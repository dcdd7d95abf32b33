//! Retention by the letter: what a reader gets of a log that stores more.

use super::long_poll::{answer, ids, poll};
use super::sharing::sharing;
use super::*;
use crate::core::log::Record;

const SECOND: u64 = 1_000;

fn max_age(seconds: u64) -> Retention {
    Retention {
        max_age: Some(Duration::from_secs(seconds)),
        ..KEEP_ALL
    }
}

fn newest(events: u64) -> Retention {
    Retention { events, ..KEEP_ALL }
}

/// Returns the `requested` and `resumed_from` of every gap, each reported as `evicted`.
fn evictions(sent: &str) -> Vec<(String, String)> {
    let gaps = sent
        .split("\n\n")
        .filter(|block| block.contains("event: runnel.gap"));
    let gap = |block: &str| {
        let texts: Vec<_> = block.split('"').collect();
        assert_eq!(
            (texts[7], texts[13]),
            ("evicted", "resumed_from"),
            "{block}"
        );
        (texts[11].to_owned(), texts[15].to_owned())
    };
    gaps.map(gap).collect()
}

fn eviction(requested: u64, resumed_from: u64) -> (String, String) {
    let id = |seq| format!("000007-{seq}");
    (id(requested), id(resumed_from))
}

/// Creates a log of `count` events of 200 bytes, one in each `interval`. The newest is half of that old.
fn one_in_each(interval: u64, count: usize) -> World {
    let mut world = World::new();
    for _ in 0..count {
        world.now += interval;
        world.publish(&"x".repeat(200));
    }
    world.now += interval / 2;
    world
}

/// Returns the bytes of a record in `world`, whose events are all of one size.
fn record_bytes(world: &World) -> u64 {
    let inline = &world.head.as_ref().unwrap().inline;
    inline.records.len() as u64 / inline.count
}

#[test]
fn an_idle_channel_serves_nothing_that_is_too_old() {
    let mut world = World::with_events(3, 10);
    world.served = max_age(1);
    world.now += SECOND;
    let mut stream = world.open(ResumePoint::Earliest);
    assert_eq!(seqs(&world.sent(&mut stream, 0)), [1, 2, 3], "a second old");
    world.now += 1;
    for resume in [ResumePoint::Earliest, ResumePoint::Last(2)] {
        let mut stream = world.open(resume);
        assert_eq!(seqs(&world.sent(&mut stream, 100)), [0; 0]);
        world.publish("new");
        assert_eq!(seqs(&world.sent(&mut stream, 100)).len(), 1);
        world.now += SECOND + 1;
    }
}

#[test]
fn exactly_the_newest_events_are_served() {
    let mut world = World::with_events(300, 200);
    world.served = newest(2);
    let mut stream = world.open(ResumePoint::Earliest);
    let sent = world.sent(&mut stream, 100);
    assert_eq!((seqs(&sent), evictions(&sent)), (vec![299, 300], vec![]));
    let mut stream = world.open(ResumePoint::Last(5));
    assert_eq!(seqs(&world.sent(&mut stream, 100)), [299, 300]);
    let mut stream = world.open(after("000007-298"));
    let sent = world.sent(&mut stream, 100);
    assert_eq!((seqs(&sent), evictions(&sent)), (vec![299, 300], vec![]));
    let mut stream = world.open(after("000007-297"));
    let sent = world.sent(&mut stream, 100);
    assert_eq!(seqs(&sent), [299, 300]);
    assert_eq!(evictions(&sent), [eviction(297, 299)]);
    // A batch that is larger than what is kept: also those who watch get only the newest.
    let event = NewEvent {
        event_type: None,
        data: "batch".to_owned(),
        trace: None,
    };
    world.commit(Batch {
        events: vec![event; 5],
        ..Batch::default()
    });
    let sent = world.sent(&mut stream, 100);
    assert_eq!(seqs(&sent), [304, 305]);
    assert_eq!(evictions(&sent), [eviction(300, 304)]);
}

#[test]
fn exactly_the_events_that_are_followed_by_fewer_bytes_are_served() {
    let mut world = World::with_events(300, 200);
    let record = record_bytes(&world);
    for (bytes, first) in [
        (50 * record, 251),
        (50 * record + 1, 250),
        (51 * record - 1, 250),
        (1, 300),
        (300 * record, 1),
    ] {
        world.served = Retention { bytes, ..KEEP_ALL };
        let mut stream = world.open(ResumePoint::Earliest);
        let sent = world.sent(&mut stream, 100);
        assert_eq!(seqs(&sent), (first..=300).collect::<Vec<_>>(), "{bytes}");
        let mut stream = world.open(after("0"));
        let sent = world.sent(&mut stream, 100);
        assert_eq!(seqs(&sent), (first..=300).collect::<Vec<_>>(), "{bytes}");
        let resumed_from = format!("000007-{first}");
        let gap = (first > 1).then_some(("0".to_owned(), resumed_from));
        assert_eq!(evictions(&sent), Vec::from_iter(gap), "{bytes}");
    }
}

#[test]
fn a_gap_names_the_first_event_that_is_kept_to_the_event() {
    let mut world = one_in_each(SECOND, 300);
    world.served = max_age(100);
    let mut stream = world.open(after("000007-17"));
    let sent = world.sent(&mut stream, 100);
    assert_eq!(evictions(&sent), [eviction(17, 201)]);
    assert_eq!(seqs(&sent), (201..=300).collect::<Vec<_>>());
    let mut stream = world.open(after("000009-1"));
    let sent = world.sent(&mut stream, 100);
    let reset = r#""reason":"reset","requested":"000009-1","resumed_from":"000007-201""#;
    assert_eq!(sent.matches(reset).count(), 1, "{sent}");
}

#[test]
fn a_client_that_missed_everything_gets_a_gap_with_the_place_to_go_on() {
    let mut world = World::with_events(5, 10);
    world.served = max_age(1);
    world.now += 2 * SECOND;
    let mut stream = world.open(after("000007-3"));
    let sent = world.sent(&mut stream, 100);
    assert_eq!(
        (seqs(&sent), evictions(&sent)),
        (vec![], vec![eviction(3, 6)])
    );
    world.publish("6");
    assert_eq!(seqs(&world.sent(&mut stream, 100)), [6]);
    let mut stream = world.open(after("000007-6"));
    assert_eq!(evictions(&world.sent(&mut stream, 100)), []);
}

#[test]
fn a_closed_channel_whose_events_are_gone_is_answered_204_once_the_gap_was_told() {
    let mut world = World::with_events(5, 10);
    world.close();
    world.served = max_age(1);
    let is_finished = |world: &mut World, resume: ResumePoint, live| {
        let mut stream = world.open_with(world.config(), resume, live);
        world.lend(&mut stream, Client::read_first_pages);
        stream.is_finished(world.now())
    };
    assert!(!is_finished(&mut world, after("000007-4"), true));
    assert!(!is_finished(&mut world, ResumePoint::Earliest, false));
    world.now += 2 * SECOND;
    assert!(!is_finished(&mut world, after("000007-4"), true));
    let mut stream = world.open(after("000007-4"));
    let sent = world.sent(&mut stream, 100);
    assert_eq!(evictions(&sent), [eviction(4, 6)]);
    assert!(sent.ends_with("id: 000007-5\n\n"), "{sent}");
    assert!(is_finished(&mut world, after("000007-5"), true));
    assert!(is_finished(&mut world, ResumePoint::Earliest, false));
    assert!(is_finished(&mut world, ResumePoint::Last(3), false));
}

/// Opens a stream from the beginning and reads its opening and the first chunk of events. Returns it with the
/// seq of the last event read.
fn open_and_read_a_chunk(world: &mut World) -> (Client<EventStream>, u64) {
    let mut stream = world.open(ResumePoint::Earliest);
    let opening = world.chunk(&mut stream, 0).unwrap();
    let opening = opening + &world.chunk(&mut stream, u64::MAX).unwrap();
    assert!(opening.contains("event: runnel.open"), "{opening}");
    let first = world.chunk(&mut stream, u64::MAX).unwrap();
    let last = *seqs(&first).last().unwrap();
    (stream, last)
}

/// Asserts that a client, which reads a chunk and then nothing while so much is published that ten events
/// after the chunk are not kept any more, gets a gap for these and all that follow. The log has 1 000 events
/// and keeps as many.
fn assert_a_slow_client_misses_ten_of_a_thousand(world: &mut World) {
    let (mut stream, last) = open_and_read_a_chunk(world);
    for _ in 0..last + 10 {
        world.publish(&"y".repeat(200));
    }
    world.now += 2 * SECOND;
    let sent = world.sent(&mut stream, 100);
    assert_eq!(evictions(&sent), [eviction(last, last + 11)]);
    let rest = seqs(&sent);
    assert_eq!(rest, (last + 11..=last + 1_010).collect::<Vec<_>>());
}

#[test]
fn a_slow_client_gets_a_gap_instead_of_events_that_expired_meanwhile() {
    let mut world = one_in_each(10, 1_000);
    world.served = max_age(20);
    let (mut stream, last) = open_and_read_a_chunk(&mut world);
    assert!(last < 500, "the rest is read later");
    // It takes the chunk for so long that half of what is buffered, and then all, expires.
    world.now += (1_000 + last + 10) * 10;
    let second = world.chunk(&mut stream, u64::MAX).unwrap();
    let second = second + &world.chunk(&mut stream, u64::MAX).unwrap();
    assert_eq!(evictions(&second), [eviction(last, last + 11)]);
    let last = *seqs(&second).last().unwrap();
    world.now += 20 * SECOND;
    let sent = world.sent(&mut stream, 100);
    assert_eq!(seqs(&sent), [0; 0]);
    assert_eq!(evictions(&sent), [eviction(last, 1_001)]);
}

#[test]
fn a_slow_client_gets_a_gap_instead_of_events_that_are_too_many_meanwhile() {
    let mut world = World::with_events(1_000, 200);
    world.served = newest(1_000);
    assert_a_slow_client_misses_ten_of_a_thousand(&mut world);
}

#[test]
fn a_slow_client_gets_a_gap_instead_of_events_that_are_too_large_meanwhile() {
    let mut world = World::with_events(1_000, 200);
    let record = record_bytes(&world);
    world.served = Retention {
        bytes: 1_000 * record,
        ..KEEP_ALL
    };
    assert_a_slow_client_misses_ten_of_a_thousand(&mut world);
}

#[test]
fn a_client_that_keeps_up_costs_no_read_beside_those_for_news() {
    let mut world = World::with_events(1_000, 200);
    world.served = newest(1_000);
    let mut stream = world.open(ResumePoint::Earliest);
    world.sent(&mut stream, 0);
    assert_eq!(world.head_reads, 1);
}

#[test]
fn shared_frames_that_have_expired_are_not_sent() {
    let mut world = one_in_each(SECOND, 100);
    world.served = max_age(200);
    let frames = SharedFrames::new(1 << 20);
    let mut first = sharing(&world, &frames, ResumePoint::Earliest);
    assert_eq!(seqs(&world.sent(&mut first, 100)).len(), 100);
    world.now += 150 * SECOND;
    for start in [ResumePoint::Earliest, after("000007-0"), after("000007-3")] {
        let mut late = sharing(&world, &frames, start.clone());
        let shared = world.sent(&mut late, 10);
        let mut alone = world.open(start);
        let alone = world.sent(&mut alone, 10);
        assert_eq!(seqs(&shared), (51..=100).collect::<Vec<_>>());
        assert_eq!(evictions(&shared), evictions(&alone));
    }
    world.served = newest(10);
    let mut late = sharing(&world, &frames, ResumePoint::Earliest);
    let sent = world.sent(&mut late, 100);
    assert_eq!(seqs(&sent), (91..=100).collect::<Vec<_>>());
}

#[test]
fn a_time_that_is_too_old_drops_its_event_and_no_other() {
    let mut world = World::with_events(2, 10);
    world.skew = -3_600_000;
    world.publish("by a clock that is slow");
    world.skew = 0;
    world.publish("4");
    world.served = max_age(60);
    let mut stream = world.open(ResumePoint::Earliest);
    let sent = world.sent(&mut stream, 100);
    assert_eq!(seqs(&sent), [1, 2, 4]);
    assert_eq!(evictions(&sent), [eviction(2, 4)]);
    let mut stream = world.open(after("000007-3"));
    assert_eq!(evictions(&world.sent(&mut stream, 100)), []);
}

#[test]
fn a_time_in_the_future_keeps_its_event_and_no_other() {
    let mut world = World::new();
    world.skew = 3_600_000;
    world.publish("by a clock that is fast");
    world.skew = 0;
    for _ in 0..300 {
        world.publish(&"x".repeat(200));
    }
    world.now += 61 * SECOND;
    world.publish("302");
    world.served = max_age(60);
    let mut stream = world.open(ResumePoint::Earliest);
    let sent = world.sent(&mut stream, 100);
    assert_eq!(seqs(&sent), [1, 302]);
    assert_eq!(evictions(&sent), [eviction(1, 302)]);
    world.now += 3_600 * SECOND;
    let mut stream = world.open(ResumePoint::Earliest);
    assert_eq!(seqs(&world.sent(&mut stream, 100)), [0; 0]);
}

#[test]
fn a_live_stream_that_reads_late_gets_a_gap_for_what_it_missed() {
    let mut world = World::with_events(1, 10);
    world.served = max_age(5);
    world.now += 1;
    let since = ResumePoint::Live(world.now().wall);
    let mut stream = world.open(since);
    world.publish("2");
    world.failing = true;
    world.sent(&mut stream, 6 * SECOND);
    world.failing = false;
    world.publish("3");
    let sent = world.sent(&mut stream, 6 * SECOND);
    assert_eq!(
        (seqs(&sent), evictions(&sent)),
        (vec![3], vec![eviction(1, 3)])
    );
}

#[test]
fn a_long_poll_is_answered_with_what_is_kept() {
    let mut world = one_in_each(SECOND, 300);
    world.served = max_age(10);
    let gaps = |page: &LongPollPage| -> Vec<_> {
        let gaps = page.gaps.iter().map(|gap| gap.gap.resumed_from.clone());
        gaps.collect()
    };
    let request = poll(&world, ResumePoint::Earliest, 1_000, None, 0);
    let page = answer(&mut world, request).unwrap();
    assert_eq!((ids(&page).len(), gaps(&page)), (10, vec![]));
    let request = poll(&world, after("000007-9"), 3, None, 0);
    let page = answer(&mut world, request).unwrap();
    assert_eq!(ids(&page), ["000007-291", "000007-292", "000007-293"]);
    assert_eq!(gaps(&page), [Some("000007-291".to_owned())]);
    world.now += 100 * SECOND;
    let request = poll(&world, after("000007-9"), 3, None, 5_000);
    let page = answer(&mut world, request).unwrap();
    assert_eq!(
        (ids(&page).len(), page.cursor.to_string().as_str()),
        (0, "000007-300")
    );
    assert_eq!(gaps(&page), [Some("000007-301".to_owned())]);
}

/// An event of the model, and the time at which it was appended.
#[derive(Clone, Copy, Debug)]
struct Stored {
    time: u64,
    bytes: u64,
    appended: u64,
}

/// Returns whether retention keeps the event `seq` now, as far as the log of `at` tells.
fn is_kept(log: &[Stored], seq: u64, retention: &Retention, now: u64, at: u64) -> bool {
    let newer = log.iter().skip(usize::try_from(seq).unwrap());
    let newer: Vec<_> = newer.filter(|event| event.appended <= at).collect();
    let bytes: u64 = newer.iter().map(|event| event.bytes).sum();
    let age = now.saturating_sub(log[usize::try_from(seq - 1).unwrap()].time);
    (newer.len() as u64) < retention.events
        && bytes < retention.bytes
        && retention
            .max_age
            .is_none_or(|max| age <= crate::core::time::millis(max))
}

fn encoded(time: u64, data: &str) -> u64 {
    let mut bytes = vec![];
    let record = Record {
        time: Timestamp(time),
        event_type: None,
        data,
        attributes: vec![],
    };
    record.encode(&mut bytes).unwrap();
    bytes.len() as u64
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Publish { bytes: usize, skew: i64 },
    Pass(u64),
    Chunk,
    Reconnect,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let skew = prop_oneof![8 => Just(0_i64), 1 => -8_000_i64..8_000];
    let step = prop_oneof![
        6 => (1_usize..4_000, skew).prop_map(|(bytes, skew)| Step::Publish { bytes, skew }),
        3 => (1_u64..1_500).prop_map(Step::Pass),
        3 => Just(Step::Chunk),
        1 => Just(Step::Reconnect),
    ];
    prop::collection::vec(step, 1..150)
}

fn retentions() -> impl Strategy<Value = Retention> {
    let ages = prop::option::of((1_u64..6).prop_map(Duration::from_secs));
    let retention = (1_u64..60, 1_u64..80_000, ages);
    retention.prop_map(|(events, bytes, max_age)| Retention {
        events,
        bytes,
        max_age,
    })
}

proptest! {
    /// Property: whatever is published by clocks that are wrong, and however slow the client is, every
    /// event that it gets is kept at that moment, and so is none that it is told to have missed. What
    /// others append counts after a second at the latest.
    #[test]
    fn a_client_gets_exactly_what_is_kept(
        steps in steps(),
        retention in retentions(),
        shares: bool,
    ) {
        let mut world = World::new();
        world.served = retention;
        let mut log: Vec<Stored> = vec![];
        let frames = SharedFrames::new(if shares { 20_000 } else { 0 });
        let mut stream = sharing(&world, &frames, after("0"));
        let mut last = 0;
        let end = [Step::Pass(1_000), Step::Reconnect, Step::Chunk];
        let chunks = std::iter::repeat_n(Step::Chunk, 100);
        for step in steps.into_iter().chain(end).chain(chunks) {
            match step {
                Step::Publish { bytes, skew } => {
                    let data = "x".repeat(bytes);
                    world.skew = skew;
                    world.publish(&data);
                    let time = world.now.saturating_add_signed(skew);
                    let bytes = encoded(time, &data);
                    log.push(Stored { time, bytes, appended: world.now });
                }
                Step::Pass(millis) => world.now += millis,
                Step::Reconnect => {
                    let position = if last == 0 { "0".to_owned() } else { format!("000007-{last}") };
                    stream = sharing(&world, &frames, after(&position));
                }
                Step::Chunk => {
                    let before = world.now;
                    let Some(chunk) = world.chunk(&mut stream, before + 600) else {
                        continue;
                    };
                    let now = world.now;
                    for block in chunk.split_terminator("\n\n") {
                        let id = block.lines().find_map(|line| line.strip_prefix("id: 000007-"));
                        let Some(seq) = id.and_then(|id| id.parse::<u64>().ok()) else { continue };
                        if block.contains("runnel.gap") {
                            prop_assert!(block.contains("evicted"), "{}", block);
                            for missed in last + 1..=seq {
                                let kept = is_kept(&log, missed, &retention, now, now);
                                prop_assert!(!kept, "{} is kept: {}", missed, block);
                            }
                        } else if !block.contains("event: runnel.") {
                            prop_assert_eq!(seq, last + 1);
                            let kept = is_kept(&log, seq, &retention, now, before.max(now.saturating_sub(1_000)) - 1_000);
                            prop_assert!(kept, "{} is not kept", seq);
                        } else {
                            prop_assert_eq!(seq, last, "{}", block);
                        }
                        last = seq;
                    }
                }
            }
        }
        prop_assert_eq!(last, log.len() as u64);
    }
}
