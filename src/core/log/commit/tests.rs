use super::super::{Batch, NewEvent};
use super::*;
use crate::core::time::Millis;

const NOW: Now = Now {
    mono: Mono(1_000),
    wall: Millis(1_800_000_000_000),
};

const RETENTION: Retention = Retention {
    events: 100,
    bytes: 100_000,
    seconds: 0,
};

/// An append of one event.
fn commit() -> Commit {
    let event = NewEvent {
        event_type: None,
        data: "x".to_owned(),
        trace: None,
    };
    let batch = Batch {
        events: vec![event],
        ..Batch::default()
    };
    let channel = "demo".parse().unwrap();
    Commit::new(channel, Work::Append(vec![batch]), RETENTION, 7, NOW.mono)
}

fn read(head: &Head) -> Event {
    Event::Read(Ok(Some(head.encode().unwrap().into())))
}

/// An append to a channel that has `head`, up to its swap; with the value it would put in place.
fn swapping(head: &Head) -> (Commit, Bytes) {
    let mut commit = commit();
    match commit.step(read(head), NOW) {
        Task::Swap(value) => (commit, value.into()),
        task => panic!("{task:?}"),
    }
}

#[test]
fn a_swap_that_took_place_is_not_lost_whatever_the_store_says() {
    let (mut commit, value) = swapping(&Head::new(Epoch::from_random(1)));
    let lost = commit.step(Event::Swapped(Err(SwapError::Lost)), NOW);
    assert!(matches!(lost, Task::Sleep(_)), "{lost:?}");
    assert_eq!(commit.step(Event::Slept, NOW), Task::Read);
    let done = commit.step(Event::Read(Ok(Some(value))), NOW);
    assert!(matches!(done, Task::Done(_)), "{done:?}");
    assert_eq!(commit.lost_swaps(), 0);
}

#[test]
fn a_swap_that_another_was_faster_than_is_lost_and_planned_again() {
    let head = Head::new(Epoch::from_random(1));
    let (mut commit, _) = swapping(&head);
    let other = Head { commits: 1, ..head };
    commit.step(Event::Swapped(Err(SwapError::Lost)), NOW);
    let again = commit.step(read(&other), NOW);
    assert!(matches!(again, Task::Swap(_)), "{again:?}");
    assert_eq!(commit.lost_swaps(), 1);
}

#[test]
fn a_segment_stored_for_a_swap_that_a_purge_was_faster_than_is_deleted() {
    let mut head = Head::new(Epoch::from_random(1));
    for nonce in 0..2 {
        let large = NewEvent {
            event_type: None,
            data: "x".repeat(12_000),
            trace: None,
        };
        let batch = Batch {
            events: vec![large],
            ..Batch::default()
        };
        let plan = append(&head, &[batch], nonce, NOW.wall, &RETENTION).unwrap();
        head = plan.change.unwrap().head;
    }
    let mut commit = commit();
    let stored = match commit.step(read(&head), NOW) {
        Task::Write(values) => values.into_iter().map(|(key, _)| key).collect::<Vec<_>>(),
        task => panic!("{task:?}"),
    };
    assert_eq!(stored.len(), 1);
    let swap = commit.step(Event::Stored(Ok(())), NOW);
    assert!(matches!(swap, Task::Swap(_)), "{swap:?}");
    commit.step(Event::Swapped(Err(SwapError::Lost)), NOW);
    let purged = purge(&head, Epoch::from_random(2), 9, NOW.wall).unwrap();
    assert_eq!(commit.step(read(&purged), NOW), Task::Delete(stored));
    assert_eq!(commit.step(Event::Stored(Ok(())), NOW), Task::Read);
}
