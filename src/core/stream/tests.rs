//! Streams driven against a log in memory, with time that jumps from one wait to the next.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::core::log::{Batch, NewEvent, Retention, append};
use crate::core::sse::{Epoch, Seq};
use crate::core::time::Millis;
use proptest::prelude::*;

const SETTINGS: Settings = Settings {
    heartbeat_millis: 15_000,
    retry_millis: 2_000,
    max_age_millis: 300_000,
    patience_millis: 30_000,
    poll_millis: (5, 500),
};

/// A channel's log and the store it is in.
struct World {
    now: u64,
    head: Option<Head>,
    segments: HashMap<SegmentRef, Bytes>,
    retention: Retention,
    failing: bool,
    /// Segments whose next read fails.
    fails_once: HashSet<SegmentRef>,
    head_reads: u64,
}

impl World {
    fn new() -> Self {
        Self {
            now: 1_000_000,
            head: None,
            segments: HashMap::new(),
            retention: Retention {
                events: 1_000_000,
                bytes: 1 << 40,
                seconds: 0,
            },
            failing: false,
            fails_once: HashSet::new(),
            head_reads: 0,
        }
    }

    fn with_events(count: usize, bytes: usize) -> Self {
        let mut world = Self::new();
        for place in 0..count {
            world.publish(&format!("{place:0bytes$}"));
        }
        world
    }

    fn commit(&mut self, batch: Batch) {
        let head = self
            .head
            .take()
            .unwrap_or_else(|| Head::new(Epoch::from_random(7)));
        let plan = append(&head, &[batch], self.now, Millis(self.now), &self.retention).unwrap();
        assert!(plan.answers.iter().all(Result::is_ok));
        let change = plan.change.unwrap();
        self.segments.extend(change.seal);
        change
            .discard
            .iter()
            .for_each(|name| drop(self.segments.remove(name)));
        self.head = Some(change.head);
    }

    fn publish(&mut self, data: &str) {
        let event = NewEvent {
            event_type: None,
            data: data.to_owned(),
        };
        self.commit(Batch {
            events: vec![event],
            ..Batch::default()
        });
    }

    fn close(&mut self) {
        self.commit(Batch {
            close: true,
            ..Batch::default()
        });
    }

    fn now(&self) -> Now {
        Now {
            mono: Mono(self.now),
            wall: Millis(self.now),
        }
    }

    fn open_with(&self, settings: Settings, start: Start, live: bool) -> Stream {
        Stream::new(
            "demo".parse().unwrap(),
            settings,
            start,
            live,
            42,
            Mono(self.now),
        )
    }

    fn open(&self, start: Start) -> Stream {
        self.open_with(SETTINGS, start, true)
    }

    /// The next chunk that the stream sends no later than `until`; `None` if it ends or waits.
    fn chunk(&mut self, stream: &mut Stream, until: u64) -> Option<String> {
        loop {
            match stream.next(self.now()) {
                Step::Emit(bytes) => return Some(String::from_utf8(bytes).unwrap()),
                Step::End => return None,
                Step::Wait(at) => {
                    assert!(at.0 > self.now, "a wait makes time pass");
                    if at.0 > until {
                        self.now = until;
                        return None;
                    }
                    self.now = at.0;
                }
                Step::ReadHead(_) => {
                    self.head_reads += 1;
                    let head = if self.failing {
                        Err("down".into())
                    } else {
                        Ok(self.head.clone().map(Rc::new))
                    };
                    stream.head_read(Mono(self.now), head, Mono(self.now));
                }
                Step::ReadSegments(names) => {
                    let mut read = |name| match self.failing || self.fails_once.remove(name) {
                        true => Err("down".into()),
                        false => Ok(self.segments.get(name).cloned()),
                    };
                    let values = names.iter().map(&mut read).collect();
                    stream.segments_read(&names, values, Mono(self.now));
                }
            }
        }
    }

    /// Everything the stream sends in so many milliseconds.
    fn sent(&mut self, stream: &mut Stream, millis: u64) -> String {
        let until = self.now + millis;
        let mut sent = String::new();
        while let Some(chunk) = self.chunk(stream, until) {
            assert!(chunk.ends_with("\n\n"), "a chunk is whole blocks");
            sent.push_str(&chunk);
        }
        sent
    }
}

/// The seqs of the events in it.
fn seqs(sent: &str) -> Vec<u64> {
    let ids = sent
        .split("\n\n")
        .filter(|block| block.contains("data: ") && !block.contains("event: runnel."));
    ids.map(|block| {
        block
            .lines()
            .find_map(|line| line.strip_prefix("id: 000007-"))
            .unwrap()
            .parse()
            .unwrap()
    })
    .collect()
}

#[test]
fn opens_with_a_reconnection_time_and_a_comment_before_anything_is_read() {
    let world = World::new();
    let mut stream = world.open(Start::Earliest);
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
    let mut stream = world.open(Start::Earliest);
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
    let mut stream = world.open(Start::Live(Millis(world.now)));
    world.chunk(&mut stream, 0).unwrap();
    // Published after the client saw the stream open, before the stream first read the log.
    world.publish("early");
    world.now += 10;
    assert_eq!(seqs(&world.sent(&mut stream, 50)), [4]);
}

#[test]
fn a_stream_that_is_older_than_its_channel_gets_everything() {
    for start in [
        Start::Live(Millis(1_000_000)),
        Start::Last(1),
        Start::Earliest,
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
    let mut stream = world.open(Start::Earliest);
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
        let mut stream = Stream::new(
            "demo".parse().unwrap(),
            SETTINGS,
            Start::Earliest,
            true,
            seed,
            Mono(world.now),
        );
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
    let mut stream = world.open(Start::after("000007-1"));
    let sent = world.sent(&mut stream, 1_000);
    assert!(
        sent.ends_with("id: 000007-2\ndata: 0000000001\n\nid: 000007-2\nevent: runnel.end\ndata: {\"reason\":\"closed\"}\n\n"),
        "{sent}"
    );
    assert_eq!(stream.next(world.now()), Step::End);
}

#[test]
fn a_stream_has_nothing_to_say_after_the_end_or_when_it_does_not_wait() {
    let mut world = World::with_events(2, 10);
    let finished = |world: &World, start: &Start, live| {
        Stream::is_finished(start, live, world.head.as_ref(), world.now())
    };
    let last = Start::after("000007-2");
    assert!(!finished(&world, &last, true));
    assert!(finished(&world, &last, false));
    assert!(!finished(&world, &Start::Earliest, false));
    world.close();
    assert!(finished(&world, &last, true));
    assert!(!finished(&world, &Start::after("000007-1"), true));
    assert!(!finished(&world, &Start::after("garbage"), true));
    assert!(
        !finished(&world, &Start::Live(Millis(world.now + 1)), true),
        "it is told of the end first"
    );
    let nothing = World::new();
    assert!(finished(&nothing, &Start::Earliest, false));
    assert!(!finished(&nothing, &last, false));
    assert!(!finished(&nothing, &last, true));
}

#[test]
fn a_replay_without_waiting_ends_at_the_newest_event() {
    let mut world = World::with_events(500, 200);
    let mut stream = world.open_with(SETTINGS, Start::Last(300), false);
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
    let mut stream = world.open_with(SETTINGS, Start::after("000009-4"), false);
    assert!(world.sent(&mut stream, 9_000).ends_with(
        "event: runnel.gap\ndata: {\"reason\":\"reset\",\"requested\":\"000009-4\",\"resumed_from\":null}\n\n"
    ));
    assert_eq!(stream.next(world.now()), Step::End);
}

#[test]
fn a_cursor_of_another_log_is_told_of_the_gap_and_resumes() {
    let mut world = World::with_events(2, 10);
    for cursor in ["000009-4", "x".repeat(500).as_str(), "000007-1~000007-2"] {
        let mut stream = world.open(Start::after(cursor));
        let sent = world.sent(&mut stream, 100);
        let signal = format!(
            "id: 000007-0\nevent: runnel.gap\ndata: {{\"reason\":\"reset\",\"requested\":\"{cursor}\",\"resumed_from\":\"000007-1\"}}\n\n"
        );
        assert!(sent.contains(&signal), "{sent}");
        assert_eq!(seqs(&sent), [1, 2]);
    }
}

#[test]
fn a_cursor_ahead_of_the_log_is_first_given_the_benefit_of_the_doubt() {
    let mut world = World::with_events(2, 10);
    let mut stream = world.open(Start::after("000007-3"));
    assert!(seqs(&world.sent(&mut stream, 500)).is_empty());
    // The store's answer was stale: now it shows what the client had, and one more.
    world.publish("3");
    world.publish("4");
    let sent = world.sent(&mut stream, 500);
    assert!(!sent.contains("runnel.gap"));
    assert_eq!(seqs(&sent), [4]);

    let mut stream = world.open(Start::after("000007-9"));
    let sent = world.sent(&mut stream, 3_000);
    assert!(
        sent.contains(
            "{\"reason\":\"ahead\",\"requested\":\"000007-9\",\"resumed_from\":\"000007-1\"}"
        ),
        "{sent}"
    );
    assert_eq!(seqs(&sent), [1, 2, 3, 4]);
}

#[test]
fn a_slow_client_that_retention_overtook_is_told_and_goes_on() {
    let mut world = World::with_events(300, 200);
    let mut stream = world.open(Start::Earliest);
    world.chunk(&mut stream, 0);
    let first = world.chunk(&mut stream, u64::MAX).unwrap();
    let last = *seqs(&first).last().unwrap();
    world.retention.events = 10;
    for _ in 0..2_000 {
        world.publish(&"y".repeat(200));
    }
    let sent = world.sent(&mut stream, 3_000);
    assert_eq!(sent.matches("\"reason\":\"evicted\"").count(), 1, "{sent}");
    let seqs = seqs(&sent);
    let kept = world.head.as_ref().unwrap().first().0;
    let resumed = seqs.iter().position(|&seq| seq == kept).unwrap();
    assert_eq!(seqs[resumed..], (kept..=2_300).collect::<Vec<_>>());
    assert_eq!(
        seqs[..resumed],
        (last + 1..=last + resumed as u64).collect::<Vec<_>>()
    );
}

#[test]
fn a_segment_that_is_lost_for_good_is_skipped_with_a_gap() {
    let mut world = World::with_events(300, 200);
    let lost = world.head.as_ref().unwrap().segments[1];
    world.segments.remove(&SegmentRef {
        epoch: Epoch::from_random(7),
        first: lost.first,
    });
    let mut stream = world.open(Start::Earliest);
    let sent = world.sent(&mut stream, 5_000);
    let expected: Vec<_> = (1..lost.first.0).chain(lost.next().0..=300).collect();
    assert_eq!(seqs(&sent), expected);
    let gap = format!(
        "{{\"reason\":\"evicted\",\"requested\":\"000007-{}\",\"resumed_from\":\"000007-{}\"}}",
        lost.first.0 - 1,
        lost.next().0
    );
    assert_eq!(sent.matches(&gap).count(), 1, "{sent}");
}

#[test]
fn a_corrupt_segment_is_reported_and_skipped_with_a_gap() {
    let mut world = World::with_events(300, 200);
    let broken = world.head.as_ref().unwrap().segments[0];
    let name = SegmentRef {
        epoch: Epoch::from_random(7),
        first: broken.first,
    };
    world.segments.insert(name, Bytes::from_static(b"nonsense"));
    let mut stream = world.open(Start::Earliest);
    let sent = world.sent(&mut stream, 5_000);
    assert_eq!(seqs(&sent), (broken.next().0..=300).collect::<Vec<_>>());
    assert!(
        stream
            .take_error()
            .unwrap()
            .to_string()
            .contains("seg!demo!000007!1 is corrupt")
    );
}

#[test]
fn corrupt_records_in_the_head_are_skipped_with_a_gap() {
    let mut world = World::with_events(5, 10);
    let head = world.head.as_mut().unwrap();
    let mut records = head.inline.records.to_vec();
    records[40..].fill(0xff);
    head.inline.records = records.into();
    let mut stream = world.open(Start::Earliest);
    let sent = world.sent(&mut stream, 3_000);
    let delivered = seqs(&sent);
    assert!(
        delivered.len() < 5
            && delivered
                .iter()
                .eq(&(1..=delivered.len() as u64).collect::<Vec<_>>())
    );
    assert_eq!(
        sent.matches("\"resumed_from\":\"000007-6\"").count(),
        1,
        "{sent}"
    );
    assert!(stream.take_error().is_some());
}

#[test]
fn a_purge_in_mid_stream_is_a_gap_and_the_new_log_follows() {
    let mut world = World::with_events(2, 10);
    let mut stream = world.open(Start::Earliest);
    world.sent(&mut stream, 50);
    let mut purged = Head::new(Epoch::from_random(8));
    purged.commits = 3;
    world.head = Some(purged);
    let sent = world.sent(&mut stream, 1_000);
    assert!(
        sent.contains(
            "{\"reason\":\"reset\",\"requested\":\"000007-2\",\"resumed_from\":\"000008-1\"}"
        ),
        "{sent}"
    );
    world.publish("new");
    assert!(
        world
            .sent(&mut stream, 1_000)
            .contains("id: 000008-1\ndata: new\n\n")
    );
}

#[test]
fn a_log_that_is_lost_in_mid_stream_is_waited_for() {
    let mut world = World::with_events(2, 10);
    let mut stream = world.open(Start::Earliest);
    world.sent(&mut stream, 50);
    world.head = None;
    assert_eq!(world.sent(&mut stream, 20_000), ":\n\n");
    assert!(matches!(stream.next(world.now()), Step::Wait(_)));
}

#[test]
fn an_older_answer_of_the_store_is_no_news() {
    let mut world = World::with_events(3, 10);
    let old = world.head.clone();
    world.publish("4");
    let mut stream = world.open(Start::Earliest);
    assert_eq!(seqs(&world.sent(&mut stream, 50)), [1, 2, 3, 4]);
    let new = std::mem::replace(&mut world.head, old);
    assert_eq!(world.sent(&mut stream, 500), "");
    world.head = new;
    world.publish("5");
    assert_eq!(seqs(&world.sent(&mut stream, 500)), [5]);
}

#[test]
fn a_failing_store_costs_no_stream_until_patience_ends() {
    let mut world = World::with_events(2, 10);
    let mut stream = world.open(Start::Earliest);
    world.sent(&mut stream, 50);
    world.failing = true;
    let reads = world.head_reads;
    assert_eq!(world.sent(&mut stream, 25_000), ":\n\n");
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
    let end = sent
        .strip_prefix(":\n\n:\n\nretry: ")
        .and_then(|end| end.split_once("\n\n"))
        .unwrap();
    assert!(end.0.parse::<u64>().unwrap() >= 16_000);
    assert_eq!(
        end.1,
        ": the store does not answer; reconnect to resume\n\n"
    );
    assert_eq!(stream.next(world.now()), Step::End);
}

#[test]
fn a_segment_that_fails_once_among_others_is_read_again() {
    let mut world = World::with_events(600, 200);
    let segments = world.head.as_ref().unwrap().segments.clone();
    let name = |sealed: &crate::core::log::Sealed| SegmentRef {
        epoch: Epoch::from_random(7),
        first: sealed.first,
    };
    for failing in &segments {
        world.fails_once.insert(name(failing));
        let mut stream = world.open(Start::Earliest);
        let sent = world.sent(&mut stream, 5_000);
        assert_eq!(seqs(&sent), (1..=600).collect::<Vec<_>>());
    }
}

#[test]
fn a_live_stream_gets_no_history_from_the_segment_it_begins_in() {
    let mut world = World::with_events(3, 1_000);
    world.now += 1;
    let mut stream = world.open(Start::Live(Millis(world.now)));
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
fn streams_of_a_channel_look_for_news_at_the_same_ticks() {
    let mut world = World::with_events(1, 10);
    let settings = Settings {
        max_age_millis: 10_000_000,
        ..SETTINGS
    };
    let mut ticks = vec![];
    for opened in [0, 37, 111] {
        world.now = 1_000_000 + opened;
        let mut stream = world.open_with(settings, Start::Earliest, true);
        world.sent(&mut stream, 100_000);
        let step = loop {
            match stream.next(world.now()) {
                Step::Wait(until) => world.now = until.0,
                step => break step,
            }
        };
        assert!(matches!(step, Step::ReadHead(_)), "{step:?}");
        ticks.push(world.now % 500);
    }
    assert_eq!(ticks, [0, 0, 0]);
}

#[test]
fn a_store_that_never_answers_is_outwaited_with_heartbeats() {
    let world = World::new();
    let mut stream = world.open(Start::Earliest);
    let mut now = world.now();
    let mut sent = vec![];
    loop {
        match stream.next(now) {
            Step::Emit(bytes) => sent.push(String::from_utf8(bytes).unwrap()),
            Step::Wait(until) => now.mono = until,
            Step::End => break,
            Step::ReadHead(_) | Step::ReadSegments(_) => {}
        }
    }
    assert_eq!(sent[1], ":\n\n");
    assert!(sent[2].ends_with(": the store does not answer; reconnect to resume\n\n"));
    assert_eq!(now.mono.since(Mono(world.now)), 30_000);
}

#[test]
fn polls_often_after_activity_and_seldom_when_idle() {
    let mut world = World::with_events(1, 10);
    let settings = Settings {
        max_age_millis: 10_000_000,
        ..SETTINGS
    };
    let mut stream = world.open_with(settings, Start::Earliest, true);
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
    /// Law: whatever is published while a client reads, breaks off and resumes, it receives every
    /// event once and in order, or is told of a gap and goes on at the oldest event kept.
    #[test]
    fn every_event_arrives_once_and_in_order(
        seed: u64,
        keep in 5_u64..2_000,
        acts in prop::collection::vec((0_u8..10, 0_u64..200, 1_usize..12_000), 1..120),
    ) {
        let mut world = World::new();
        world.retention.events = keep;
        let mut stream = world.open(Start::Earliest);
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
                    assert!(at > last, "a gap leads on");
                    *missed += at - last;
                    received.extend(last + 1..=at);
                }
                received.extend(seqs(block));
            }
        };
        for (place, (act, millis, bytes)) in acts.into_iter().enumerate() {
            match act {
                0..=5 => for _ in 0..=act { world.publish(&"e".repeat(bytes)); },
                6 => if let Some(chunk) = world.chunk(&mut stream, world.now + millis) {
                    take(&chunk, &mut received, &mut gaps, &mut missed);
                },
                7 => {
                    let start = match received.last() {
                        Some(&seq) => Start::After(EventId { epoch: Epoch::from_random(7), seq: Seq(seq) }),
                        None => Start::Earliest,
                    };
                    stream = Stream::new("demo".parse().unwrap(), SETTINGS, start, true, seed ^ place as u64, Mono(world.now));
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
