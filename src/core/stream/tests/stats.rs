//! The statistics of a stream, and the reason of its end.

use super::*;
use crate::core::log::GapReason;
use crate::core::metrics::EndReason;
use crate::core::time::millis;

#[test]
fn events_are_replayed_until_the_subscriber_has_caught_up_once() {
    let mut world = World::with_events(300, 1_000);
    let mut stream = world.open(ResumePoint::Earliest);
    let sent = seqs(&world.sent(&mut stream, 100)).len() as u64;
    let expected = StreamStats {
        events: sent,
        replayed: sent,
        caught_up: true,
        ..StreamStats::default()
    };
    assert_eq!((sent, stream.take_stats()), (300, expected));
    assert_eq!(
        stream.take_stats(),
        StreamStats::default(),
        "they are counted once"
    );
    let appended = world.now().wall;
    world.publish("live");
    world.publish("and another");
    world.now += 20;
    world.sent(&mut stream, 100);
    let expected = StreamStats {
        events: 2,
        oldest_live: Some(appended),
        ..StreamStats::default()
    };
    assert_eq!(stream.take_stats(), expected);
}

#[test]
fn heartbeats_and_gaps_are_counted() {
    let mut world = World::with_events(5, 10);
    let mut stream = world.open(after("000008-3"));
    world.sent(&mut stream, 10);
    assert_eq!(stream.take_stats().gaps, [GapReason::Reset]);
    let sent = world.sent(&mut stream, 4 * millis(CONFIG.heartbeat));
    let beats = sent.lines().filter(|line| *line == ":").count();
    assert_eq!(stream.take_stats().heartbeats, beats as u64);
    assert!(beats >= 3, "{beats}");
}

#[test]
fn a_stream_knows_the_reason_of_its_end() {
    let mut world = World::with_events(3, 10);
    let mut aged = world.open(ResumePoint::Earliest);
    assert_eq!(aged.end_reason(), None);
    world.sent(&mut aged, 2 * millis(CONFIG.max_age));
    assert_eq!(aged.end_reason(), Some(EndReason::Age));

    let mut finite = world.open_with(CONFIG, ResumePoint::Earliest, false);
    world.sent(&mut finite, 100);
    assert_eq!(finite.end_reason(), Some(EndReason::Finished));

    world.close();
    let mut closed = world.open(ResumePoint::Earliest);
    world.sent(&mut closed, 100);
    assert_eq!(closed.end_reason(), Some(EndReason::Closed));

    let mut world = World::with_events(3, 10);
    let expiring = Subscription {
        expires: Some(Instant(world.now + 50)),
        ..subscription(ResumePoint::Earliest, true)
    };
    let mut expired = world.subscribe(expiring);
    world.sent(&mut expired, millis(CONFIG.max_age) / 2);
    assert_eq!(expired.end_reason(), Some(EndReason::Expired));
}
