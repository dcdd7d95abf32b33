//! What a stream says that it has done.

use super::*;
use crate::core::log::GapReason;
use crate::core::metrics::EndReason;

#[test]
fn events_are_replayed_until_the_subscriber_has_caught_up_once() {
    let mut world = World::with_events(300, 1_000);
    let mut stream = world.open(StartFrom::Earliest);
    let sent = seqs(&world.sent(&mut stream, 100)).len() as u64;
    let expected = StreamStats {
        events: sent,
        replayed: sent,
        caught_up: true,
        ..StreamStats::default()
    };
    assert_eq!((sent, stream.take_tally()), (300, expected));
    assert_eq!(
        stream.take_tally(),
        StreamStats::default(),
        "it was told once"
    );
    let appended = world.now().wall;
    world.publish("live");
    world.publish("and another");
    world.now += 20;
    world.sent(&mut stream, 100);
    let expected = StreamStats {
        events: 2,
        oldest: Some(appended),
        ..StreamStats::default()
    };
    assert_eq!(stream.take_tally(), expected);
}

#[test]
fn heartbeats_and_gaps_are_counted() {
    let mut world = World::with_events(5, 10);
    let mut stream = world.open(after("000008-3"));
    world.sent(&mut stream, 10);
    assert_eq!(stream.take_tally().gaps, [GapReason::Reset]);
    let sent = world.sent(&mut stream, 4 * CONFIG.heartbeat_millis);
    let beats = sent.matches("\n:\n").count() + usize::from(sent.starts_with(":\n"));
    assert_eq!(stream.take_tally().heartbeats, beats as u64);
    assert!(beats >= 3, "{beats}");
}

#[test]
fn a_stream_says_why_it_ended() {
    let mut world = World::with_events(3, 10);
    let mut aged = world.open(StartFrom::Earliest);
    assert_eq!(aged.end_reason(), None);
    world.sent(&mut aged, 2 * CONFIG.max_age_millis);
    assert_eq!(aged.end_reason(), Some(EndReason::Age));

    let mut finite = world.open_with(CONFIG, StartFrom::Earliest, false);
    world.sent(&mut finite, 100);
    assert_eq!(finite.end_reason(), Some(EndReason::Finished));

    world.close();
    let mut closed = world.open(StartFrom::Earliest);
    world.sent(&mut closed, 100);
    assert_eq!(closed.end_reason(), Some(EndReason::Closed));

    let mut world = World::with_events(3, 10);
    let expiring = Subscription {
        expires: Some(Instant(world.now + 50)),
        ..subscription(StartFrom::Earliest, true)
    };
    let mut expired = EventStream::new(expiring, CONFIG, 1, Instant(world.now));
    world.sent(&mut expired, CONFIG.max_age_millis / 2);
    assert_eq!(expired.end_reason(), Some(EndReason::Expired));
}
