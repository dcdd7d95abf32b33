use super::*;
use crate::core::log::{Batch, NewEvent};
use crate::core::time::Timestamp;

const NOW: ClockReading = ClockReading {
    monotonic: Instant(1_000),
    wall: Timestamp(1_800_000_000_000),
};

const RETENTION: Retention = Retention {
    events: 100,
    bytes: 100_000,
    max_age: None,
};

/// Begins an append of one event.
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
    Commit::new(
        channel,
        Request::Append(vec![batch]),
        RETENTION,
        7,
        NOW.monotonic,
    )
}

fn down() -> StoreError {
    StoreError {
        call: "get head!demo".to_owned(),
        message: "down".to_owned(),
    }
}

fn read(head: &Head) -> Completion {
    Completion::Read(Ok(Some(head.encode().unwrap().into())))
}

/// Drives an append to a channel that has `head` up to its swap; returns the value to swap in, too.
fn swapping(head: &Head) -> (Commit, Bytes) {
    let mut commit = commit();
    match commit.step(read(head), NOW) {
        Action::Swap(value) => (commit, value.into()),
        action => panic!("{action:?}"),
    }
}

#[test]
fn a_swap_that_took_effect_is_committed_although_the_store_reports_a_loss() {
    let (mut commit, value) = swapping(&Head::new(Epoch::from_random(1)));
    let lost = commit.step(Completion::Swapped(Err(SwapError::Lost)), NOW);
    assert!(matches!(lost, Action::Sleep(_)), "{lost:?}");
    assert_eq!(commit.step(Completion::Slept, NOW), Action::Read);
    let done = commit.step(Completion::Read(Ok(Some(value))), NOW);
    assert!(matches!(done, Action::Done(_)), "{done:?}");
    assert_eq!(commit.contention().lost_swaps, 0);
}

#[test]
fn a_head_that_was_only_read_badly_is_read_again() {
    let head = Head::new(Epoch::from_random(1));
    let damaged = || Completion::Read(Ok(Some(Bytes::from_static(b"H\x02 damaged"))));
    let mut commit = commit();
    for _ in 0..MAX_REREADS {
        assert_eq!(commit.step(damaged(), NOW), Action::Sleep(REREAD_AFTER));
        assert_eq!(commit.step(Completion::Slept, NOW), Action::Read);
    }
    let swap = commit.step(read(&head), NOW);
    assert!(matches!(swap, Action::Swap(_)), "{swap:?}");
}

/// Reads a damaged head as often as the commit asks for it. Returns the last action.
fn read_damaged(commit: &mut Commit) -> Action {
    let damaged = || Completion::Read(Ok(Some(Bytes::from_static(b"H\x02 damaged"))));
    let mut action = commit.step(damaged(), NOW);
    while matches!(action, Action::Sleep(_)) {
        assert_eq!(commit.step(Completion::Slept, NOW), Action::Read);
        action = commit.step(damaged(), NOW);
    }
    action
}

#[test]
fn a_damaged_head_fails_a_commit_with_nothing_changed() {
    let failed = read_damaged(&mut commit());
    assert!(
        matches!(failed, Action::Failed(CommitError::Format(_))),
        "{failed:?}"
    );
}

#[test]
fn a_head_that_is_damaged_after_a_swap_leaves_the_outcome_unknown() {
    let (mut commit, _) = swapping(&Head::new(Epoch::from_random(1)));
    commit.step(Completion::Swapped(Err(SwapError::Lost)), NOW);
    assert_eq!(commit.step(Completion::Slept, NOW), Action::Read);
    let failed = read_damaged(&mut commit);
    assert!(
        matches!(failed, Action::Failed(CommitError::OutcomeUnknown(_))),
        "{failed:?}"
    );
}

/// Commits `count` changes of other writers.
fn commit_others(head: &mut Head, count: u64) {
    for _ in 0..count {
        head.commits += 1;
        head.recent_commits.push_back(head.commits);
    }
    let surplus = head
        .recent_commits
        .len()
        .saturating_sub(RECENT_COMMITS as usize);
    head.recent_commits.drain(..surplus);
}

/// Loses the swap under way to `commits` of others, after `millis`. Returns the wait in milliseconds,
/// whether the head is read before it, and the action after it.
fn lose(commit: &mut Commit, head: &mut Head, commits: u64, millis: u64) -> (u64, bool, Action) {
    let now = ClockReading {
        monotonic: NOW.monotonic.saturating_add(Duration::from_millis(millis)),
        ..NOW
    };
    let mut action = commit.step(Completion::Swapped(Err(SwapError::Lost)), now);
    let reads = action == Action::Read;
    commit_others(head, commits);
    if reads {
        action = commit.step(read(head), now);
        commit_others(head, 1_000);
    }
    let Action::Sleep(waits) = action else {
        panic!("{action:?}")
    };
    assert_eq!(commit.step(Completion::Slept, NOW), Action::Read);
    let waits = u64::try_from(waits.as_millis()).unwrap();
    (waits, reads, commit.step(read(head), NOW))
}

#[test]
fn a_swap_that_was_lost_to_another_writer_is_planned_again() {
    let mut head = Head::new(Epoch::from_random(1));
    let (mut commit, _) = swapping(&head);
    let (waits, reads, again) = lose(&mut commit, &mut head, 1, 1);
    assert_eq!((waits, reads), (1, false));
    assert!(matches!(again, Action::Swap(_)), "{again:?}");
    assert_eq!(commit.contention().lost_swaps, 1);
}

#[test]
fn a_swap_is_settled_before_a_wait_during_which_the_head_may_forget_its_commit() {
    let mut head = Head::new(Epoch::from_random(1));
    let (mut commit, _) = swapping(&head);
    let mut read_first = vec![];
    for lost in 1..40 {
        let (waits, reads, again) = lose(&mut commit, &mut head, RECENT_COMMITS, 2);
        assert_eq!(reads, waits > 16, "{waits}");
        assert!(matches!(again, Action::Swap(_)), "{again:?}");
        assert_eq!(commit.contention().lost_swaps, lost);
        read_first.push(reads);
    }
    assert!(read_first.contains(&true) && read_first.contains(&false));
}

#[test]
fn a_failed_read_while_settling_changes_nothing() {
    let mut head = Head::new(Epoch::from_random(1));
    let (commit, _) = swapping(&head);
    let mut commit = commit.with_backoff_factor(1_000);
    let failed = || SwapError::Store(down());
    assert_eq!(
        commit.step(Completion::Swapped(Err(failed())), NOW),
        Action::Read
    );
    let waits = commit.step(Completion::Read(Err(down())), NOW);
    assert_eq!(waits, Action::Sleep(Duration::from_secs(1)));
    assert_eq!(commit.step(Completion::Slept, NOW), Action::Read);
    commit_others(&mut head, 1);
    let again = commit.step(read(&head), NOW);
    assert!(matches!(again, Action::Swap(_)), "{again:?}");
}

#[test]
fn an_instance_with_few_swaps_left_waits_longer() {
    let mut head = Head::new(Epoch::from_random(1));
    let (commit, _) = swapping(&head);
    let mut commit = commit.with_backoff_factor(5);
    let waits: Vec<_> = (0..20)
        .map(|_| lose(&mut commit, &mut head, 1, 1).0)
        .collect();
    assert!(waits.iter().all(|waits| waits % 5 == 0), "{waits:?}");
    assert!(waits.iter().any(|&waits| waits > 32), "{waits:?}");
}

#[test]
fn a_swap_that_was_lost_to_no_other_writer_is_tried_again() {
    let mut head = Head::new(Epoch::from_random(1));
    let (mut commit, value) = swapping(&head);
    let (_, _, again) = lose(&mut commit, &mut head, 0, 1);
    assert_eq!(again, Action::Swap(value.into()));
    assert_eq!(commit.contention().lost_swaps, 0);
}

#[test]
fn an_instance_without_swaps_fails_at_once_with_nothing_appended() {
    let (mut commit, _) = swapping(&Head::new(Epoch::from_random(1)));
    let failed = commit.step(Completion::Swapped(Err(SwapError::Exhausted)), NOW);
    assert_eq!(failed, Action::Failed(CommitError::Contended));
}

#[test]
fn an_instance_without_swaps_does_not_deny_a_swap_it_tried_before() {
    let head = Head::new(Epoch::from_random(1));
    let (mut commit, _) = swapping(&head);
    let failed = SwapError::Store(down());
    commit.step(Completion::Swapped(Err(failed)), NOW);
    commit.step(Completion::Slept, NOW);
    let again = commit.step(read(&head), NOW);
    assert!(matches!(again, Action::Swap(_)), "{again:?}");
    let failed = commit.step(Completion::Swapped(Err(SwapError::Exhausted)), NOW);
    assert!(
        matches!(failed, Action::Failed(CommitError::OutcomeUnknown(_))),
        "{failed:?}"
    );
}

#[test]
fn a_segment_stored_for_a_swap_that_was_lost_to_a_purge_is_deleted() {
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
        Action::Write(values) => values.into_iter().map(|(key, _)| key).collect::<Vec<_>>(),
        action => panic!("{action:?}"),
    };
    assert_eq!(stored.len(), 1);
    let swap = commit.step(Completion::Written(Ok(())), NOW);
    assert!(matches!(swap, Action::Swap(_)), "{swap:?}");
    let lost = commit.step(Completion::Swapped(Err(SwapError::Lost)), NOW);
    assert!(matches!(lost, Action::Sleep(_)), "{lost:?}");
    assert_eq!(commit.step(Completion::Slept, NOW), Action::Read);
    let mut purged = purge(&head, Epoch::from_random(2), 9, NOW.wall).unwrap();
    // The purge listed the segment for deletion, and it has been deleted since.
    purged.pending_deletes.clear();
    assert_eq!(commit.step(read(&purged), NOW), Action::Delete(stored));
    assert_eq!(commit.step(Completion::Written(Ok(())), NOW), Action::Read);
}
