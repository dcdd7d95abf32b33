//! Streams and requests of clients whose tokens expire.

use super::*;

/// What the stream says when the token has expired, the client standing at `id`.
fn expired(id: &str) -> String {
    format!("event: runnel.expired\ndata: {{\"reason\":\"token\"}}\n{id}\n")
}

fn open(world: &World, start: StartFrom, millis: u64) -> EventStream {
    let subscription = Subscription {
        expires: Some(Instant(world.now + millis)),
        ..subscription(start, true)
    };
    EventStream::new(subscription, CONFIG, 42, Instant(world.now))
}

#[test]
fn a_stream_says_that_its_token_has_expired_and_where_the_client_stands_and_ends() {
    let mut world = World::with_events(3, 10);
    let mut stream = open(&world, after("000007-1"), 60_000);
    let before = world.sent(&mut stream, 59_999);
    assert_eq!(seqs(&before), [2, 3]);
    assert!(!before.contains("runnel.expired"));
    assert_eq!(world.sent(&mut stream, 1), expired("id: 000007-3\n"));
    assert_eq!(stream.next(world.now()), Step::End);
}

#[test]
fn what_is_published_after_the_token_has_expired_is_not_delivered() {
    let mut world = World::with_events(3, 10);
    let mut stream = open(&world, after("000007-3"), 60_000);
    world.sent(&mut stream, 59_990);
    world.now += 20;
    world.publish("late");
    assert_eq!(world.sent(&mut stream, 1_000), expired("id: 000007-3\n"));
    let mut again = world.open(after("000007-3"));
    assert_eq!(seqs(&world.sent(&mut again, 1_000)), [4]);
}

#[test]
fn a_replay_is_cut_where_it_is_when_the_token_expires() {
    let mut world = World::with_events(2_000, 200);
    let mut stream = open(&world, StartFrom::Earliest, 1_000);
    let first = world.chunk(&mut stream, 0).unwrap() + &world.chunk(&mut stream, 0).unwrap();
    let had = *seqs(&first).last().unwrap();
    assert!(had < 2_000);
    world.now += 1_000;
    let rest = world.sent(&mut stream, 1_000);
    assert_eq!(rest, expired(&format!("id: 000007-{had}\n")));
}

#[test]
fn a_stream_that_stands_nowhere_says_so_without_an_id() {
    let mut world = World::new();
    world.failing = true;
    let mut stream = open(&world, StartFrom::Earliest, 1_000);
    world.chunk(&mut stream, 0).unwrap();
    assert_eq!(world.sent(&mut stream, 1_000), expired(""));
}

#[test]
fn a_token_that_outlives_the_stream_changes_nothing() {
    let mut world = World::new();
    let mut stream = open(&world, StartFrom::Earliest, 300_001);
    let sent = world.sent(&mut stream, 300_000);
    assert!(sent.ends_with(": this stream has reached its age; reconnect to resume\n\n"));
}

#[test]
fn a_token_that_has_expired_already_gets_the_signal_and_nothing_else() {
    let mut world = World::with_events(3, 10);
    let mut stream = open(&world, StartFrom::Earliest, 0);
    world.chunk(&mut stream, 0).unwrap();
    assert_eq!(world.sent(&mut stream, 1_000), expired(""));
    assert_eq!(world.head_reads, 0);
}
