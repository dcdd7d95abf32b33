use super::super::{Batch, NewEvent};
use super::*;
use crate::core::time::Millis;

const NOW: Now = Now {
    mono: Mono(1_000),
    wall: Millis(1_800_000_000_000),
};

/// An append to a channel that has `head`, up to its swap; with the value it would put in place.
fn swapping(head: &Head) -> (Commit, Bytes) {
    let retention = Retention {
        events: 100,
        bytes: 100_000,
        seconds: 0,
    };
    let event = NewEvent {
        event_type: None,
        data: "x".to_owned(),
    };
    let batch = Batch {
        events: vec![event],
        ..Batch::default()
    };
    let channel = "demo".parse().unwrap();
    let mut commit = Commit::new(channel, Work::Append(vec![batch]), retention, 7, NOW.mono);
    let bytes = head.encode().unwrap().into();
    match commit.step(Event::Read(Ok(Some(bytes))), NOW) {
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
    let other = other.encode().unwrap().into();
    let again = commit.step(Event::Read(Ok(Some(other))), NOW);
    assert!(matches!(again, Task::Swap(_)), "{again:?}");
    assert_eq!(commit.lost_swaps(), 1);
}
