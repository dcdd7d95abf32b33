//! Streams and requests of clients whose tokens expire.

use super::*;

/// Returns the last block of a stream whose token has expired, for a client at `id`.
fn expired(id: &str) -> String {
    format!("event: runnel.expired\ndata: {{\"reason\":\"token\"}}\n{id}\n")
}

fn open(world: &World, resume: ResumePoint, millis: u64) -> Client<EventStream> {
    world.subscribe(Subscription {
        expires: Some(Instant(world.now + millis)),
        ..subscription(resume, true)
    })
}

#[test]
fn the_last_event_of_a_stream_whose_token_expires_carries_the_clients_position() {
    let mut world = World::with_events(3, 10);
    let mut stream = open(&world, after("000007-1"), 60_000);
    let before = world.sent(&mut stream, 59_999);
    assert_eq!(seqs(&before), [2, 3]);
    assert!(!before.contains("runnel.expired"));
    assert_eq!(world.sent(&mut stream, 1), expired("id: 000007-3\n"));
    assert_eq!(stream.next(world.now()), Action::End);
}

#[test]
fn events_published_after_the_token_expired_are_not_delivered() {
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
fn a_replay_ends_between_two_chunks_when_the_token_expires() {
    let mut world = World::with_events(2_000, 200);
    let mut stream = open(&world, ResumePoint::Earliest, 1_000);
    let first = world.opening(&mut stream) + &world.chunk(&mut stream, 0).unwrap();
    let had = *seqs(&first).last().unwrap();
    assert!(had < 2_000);
    world.now += 1_000;
    let rest = world.sent(&mut stream, 1_000);
    assert_eq!(rest, expired(&format!("id: 000007-{had}\n")));
}

#[test]
fn the_last_event_has_no_id_if_the_client_has_no_position() {
    let mut world = World::new();
    world.failing = true;
    let mut stream = open(&world, ResumePoint::Earliest, 900);
    assert_eq!(after_opening(&world.sent(&mut stream, 900)), expired(""));
}

#[test]
fn a_token_that_outlives_the_stream_changes_nothing() {
    let mut world = World::new();
    let mut stream = open(&world, ResumePoint::Earliest, 300_001);
    let sent = world.sent(&mut stream, 300_000);
    assert!(sent.contains("data: {\"reason\":\"age\","), "{sent}");
}

#[test]
fn a_token_that_has_already_expired_gets_the_last_event_and_nothing_else() {
    let mut world = World::with_events(3, 10);
    let mut stream = open(&world, ResumePoint::Earliest, 0);
    assert_eq!(after_opening(&world.sent(&mut stream, 1_000)), expired(""));
    assert_eq!(world.head_reads, 0);
}
