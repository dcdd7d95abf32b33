//! Streams that send the frames that others have encoded.

use super::*;
use crate::core::sse::EventId;

pub(super) fn sharing(
    world: &World,
    frames: &SharedFrames,
    resume: ResumePoint,
) -> Client<EventStream> {
    let stream = world.stream(subscription(resume, true), world.config(), 42);
    world.client(stream.sharing(frames.clone()))
}

#[test]
fn a_second_stream_reads_no_segment() {
    let mut world = World::with_events(300, 1_000);
    let frames = SharedFrames::new(1 << 20);
    let mut first = world.open(ResumePoint::Earliest);
    let alone = world.sent(&mut first, 100);
    let mut first = sharing(&world, &frames, ResumePoint::Earliest);
    let shared = world.sent(&mut first, 100);
    assert_eq!(seqs(&shared), (1..=300).collect::<Vec<_>>());
    assert_eq!(after_opening(&shared), after_opening(&alone));
    // The segments are gone, and the second stream does not need them.
    world.segments.clear();
    let mut second = sharing(&world, &frames, ResumePoint::Earliest);
    assert_eq!(
        after_opening(&world.sent(&mut second, 100)),
        after_opening(&alone)
    );
    let filtered = Subscription {
        filter: EventFilter::Types(vec!["message".to_owned()]),
        ..subscription(ResumePoint::Earliest, true)
    };
    let filtered = world.stream(filtered, CONFIG, 1);
    let mut filtered = world.client(filtered.sharing(frames));
    let sent = world.sent(&mut filtered, 100);
    assert!(
        seqs(&sent).is_empty(),
        "a stream with a filter reads the log itself"
    );
}

#[test]
fn shared_frames_of_purged_or_dropped_events_are_not_sent() {
    let mut world = World::with_events(100, 1_000);
    let frames = SharedFrames::new(1 << 20);
    let mut first = sharing(&world, &frames, ResumePoint::Earliest);
    assert_eq!(seqs(&world.sent(&mut first, 100)).len(), 100);
    world.retention.events = 20;
    world.publish("one more");
    let mut late = sharing(&world, &frames, ResumePoint::Earliest);
    let sent = seqs(&world.sent(&mut late, 100));
    assert_eq!(sent.last(), Some(&101));
    assert!(sent.len() < 50, "{}", sent.len());
    world.head = Some(Head::new(Epoch::from_random(8)));
    let mut later = sharing(&world, &frames, after("000007-3"));
    let sent = world.sent(&mut later, 100);
    assert!(sent.contains("\"reason\":\"reset\""), "{sent}");
    assert!(seqs(&sent).is_empty());
}

#[test]
fn live_streams_send_the_frames_of_the_first_that_encoded_them() {
    let mut world = World::new();
    world.publish("first");
    world.now += 10;
    let frames = SharedFrames::new(1 << 20);
    let mut streams: Vec<_> = (0..3)
        .map(|_| sharing(&world, &frames, ResumePoint::Last(1)))
        .collect();
    for stream in &mut streams {
        world.sent(stream, 0);
    }
    for seq in 2..=50 {
        world.publish(&format!("{seq}"));
        let chunks: Vec<_> = streams
            .iter_mut()
            .map(|stream| world.sent(stream, 5))
            .collect();
        for chunk in chunks {
            assert_eq!(chunk, format!("data: {seq}\nid: 000007-{seq}\n\n"));
        }
        let last = EventId {
            epoch: Epoch::from_random(7),
            seq: Seq(seq - 1),
        };
        assert!(frames.after(&"demo".parse().unwrap(), last).is_some());
    }
}

proptest! {
    /// Property: whatever others have encoded and the cache has dropped, a stream that shares frames
    /// sends the events that it would have sent alone, and counts them the same.
    #[test]
    fn sharing_changes_nothing(
        sizes in prop::collection::vec(1_usize..6_000, 1..60),
        starts in prop::collection::vec(0_u64..60, 1..12),
        limit in 0_usize..200_000,
    ) {
        let mut world = World::new();
        for size in sizes {
            world.publish(&"x".repeat(size));
            world.now += 1;
        }
        let frames = SharedFrames::new(limit);
        for start in starts {
            let start = after(&format!("000007-{start}"));
            let mut alone = world.open(start.clone());
            let sent_alone = world.sent(&mut alone, 5);
            let mut shared = sharing(&world, &frames, start);
            let sent = world.sent(&mut shared, 5);
            prop_assert_eq!(after_opening(&sent), after_opening(&sent_alone));
            let stats = shared.take_stats();
            prop_assert_eq!(stats.events, seqs(&sent).len() as u64);
            prop_assert_eq!(stats, alone.take_stats());
        }
    }
}
