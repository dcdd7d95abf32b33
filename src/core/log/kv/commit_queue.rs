//! Group commit: publishes to one channel that meet in an instance share one swap.
//!
//! A publisher joins the [`CommitQueue`] of its channel and polls it until its batch has an outcome,
//! because no task of an instance can wake another. The first to poll once the group has gathered, and
//! no commit is under way, becomes its [`GroupLeader`] and commits for all. A lone publisher commits at
//! once. A group is given a moment to gather when publishes have met recently, and now and then to find
//! out whether they would. The more swaps are lost to other instances, the longer a group gathers, for
//! fewer and larger commits.

use std::collections::VecDeque;
use std::time::Duration;

use super::append::MAX_GROUP_BYTES;
use super::commit::Contention;
use crate::core::log::{AppendError, Appended, Batch, CommitError};
use crate::core::time::Instant;

/// The largest number of batches in a group.
const MAX_GROUP_BATCHES: usize = 256;

/// After publishes have met, this many groups are given a moment to gather. While none meet, one group in
/// this many is.
const CROWDED_GROUPS: u32 = 16;

/// The interval at which publishers poll a group that is being committed, and the moment that a group is
/// given: 1 ms.
const MOMENT: Duration = Duration::from_millis(1);

/// The longest time that a group gathers, in attempts to commit, and absolutely.
const MAX_GATHER_ATTEMPTS: u32 = 16;
const MAX_GATHER: Duration = Duration::from_millis(128);

/// The outcome of a group: one for each batch, or an error for all of them.
pub(super) type GroupOutcome = Result<Vec<Result<Appended, AppendError>>, CommitError>;

/// The publishes to one channel that are under way in an instance.
#[derive(Debug, Default)]
pub struct CommitQueue {
    /// Oldest first; only the last can be joined.
    groups: VecDeque<Group>,
    next_group: u64,
    is_committing: bool,
    /// The number of groups that are still given a moment to gather.
    crowded: u32,
    /// The number of groups of one batch since publishes last met.
    lone: u32,
    /// The time that groups gather because swaps were lost: two attempts longer for each, one shorter for
    /// each group that lost none. It is measured in attempts, because an attempt takes from less than a
    /// millisecond to dozens, depending on the store.
    contended: Duration,
}

#[derive(Debug)]
struct Group {
    number: u64,
    gathered_at: Instant,
    batches: Vec<Batch>,
    bytes: usize,
    /// The number of batches that have joined, and of publishers that still wait.
    joined: usize,
    waiting: usize,
    state: GroupState,
}

#[derive(Debug)]
enum GroupState {
    Gathering,
    Committing,
    Committed(Vec<Option<Result<Appended, AppendError>>>),
}

/// A batch's number in a group.
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket {
    group: u64,
    index: usize,
}

/// The right and duty to commit a group.
#[derive(Debug, PartialEq, Eq)]
pub struct GroupLeader {
    group: u64,
    /// The batches to commit, in order.
    pub batches: Vec<Batch>,
    /// Set if swaps have been lost to other instances lately.
    pub is_contended: bool,
}

impl CommitQueue {
    /// Adds a batch to the group that is gathering, or begins one.
    pub fn join(&mut self, batch: Batch, now: Instant) -> Ticket {
        let bytes = batch.bytes();
        if let Some(group) = self.groups.back_mut().filter(|group| group.has_room(bytes)) {
            return group.add(batch, bytes);
        }
        let gathered_at = now.saturating_add(self.gather_time());
        let mut group = Group::new(self.next_group, gathered_at);
        let ticket = group.add(batch, bytes);
        self.groups.push_back(group);
        self.next_group = self.next_group.wrapping_add(1);
        ticket
    }

    fn gather_time(&self) -> Duration {
        let crowded = self.crowded > 0 || self.lone.is_multiple_of(CROWDED_GROUPS);
        let moment = if crowded { MOMENT } else { Duration::ZERO };
        self.contended.max(moment)
    }

    fn group(&mut self, number: u64) -> Option<&mut Group> {
        self.groups.iter_mut().find(|group| group.number == number)
    }

    /// Makes the caller the leader of its group, if the group has gathered and no commit is under way.
    pub fn try_lead(&mut self, ticket: &Ticket, now: Instant) -> Option<GroupLeader> {
        if self.is_committing {
            return None;
        }
        let group = self.group(ticket.group)?;
        if !matches!(group.state, GroupState::Gathering) || now < group.gathered_at {
            return None;
        }
        group.state = GroupState::Committing;
        let batches = std::mem::take(&mut group.batches);
        let has_met = group.waiting > 1;
        self.is_committing = true;
        if has_met {
            (self.crowded, self.lone) = (CROWDED_GROUPS, 0);
        } else {
            (self.crowded, self.lone) = (self.crowded.saturating_sub(1), self.lone.wrapping_add(1));
        }
        Some(GroupLeader {
            group: ticket.group,
            batches,
            is_contended: !self.contended.is_zero(),
        })
    }

    /// Takes the outcome of a group's commit.
    pub fn finish(&mut self, group: u64, outcome: GroupOutcome, contention: Contention) {
        self.is_committing = false;
        let attempt = contention.attempt.max(MOMENT);
        self.contended = if contention.lost_swaps == 0 {
            self.contended.saturating_sub(attempt)
        } else {
            let lost = u32::try_from(contention.lost_swaps).unwrap_or(u32::MAX);
            let longer = attempt.saturating_mul(lost.saturating_mul(2));
            let longest = attempt.saturating_mul(MAX_GATHER_ATTEMPTS).min(MAX_GATHER);
            self.contended.saturating_add(longer).min(longest)
        };
        if let Some(group) = self.group(group) {
            debug_assert!(matches!(group.state, GroupState::Committing));
            debug_assert!(
                outcome
                    .as_ref()
                    .map_or(true, |all| all.len() == group.joined)
            );
            group.state = GroupState::Committed(match outcome {
                Ok(outcomes) => outcomes.into_iter().map(Some).collect(),
                Err(error) => vec![Some(Err(error.into())); group.joined],
            });
        }
        self.remove_finished();
    }

    /// Returns the time at which to poll again.
    #[must_use]
    pub fn next_check(&self, ticket: &Ticket, now: Instant) -> Instant {
        let mut groups = self.groups.iter();
        let group = groups.find(|group| group.number == ticket.group);
        let gathered_at = group.map_or(now, |group| group.gathered_at);
        gathered_at.max(now.saturating_add(MOMENT))
    }

    /// Takes the outcome of the caller's batch, once its group is committed.
    pub fn take_outcome(&mut self, ticket: &Ticket) -> Option<Result<Appended, AppendError>> {
        match &mut self.group(ticket.group)?.state {
            GroupState::Committed(outcomes) => outcomes.get_mut(ticket.index)?.take(),
            GroupState::Gathering | GroupState::Committing => None,
        }
    }

    /// Removes the publisher, answered or not. Its batch stays in the group if others wait for that.
    pub fn leave(&mut self, ticket: &Ticket) {
        if let Some(group) = self.group(ticket.group) {
            group.waiting = group.waiting.saturating_sub(1);
        }
        self.remove_finished();
    }

    fn remove_finished(&mut self) {
        self.groups
            .retain(|group| group.waiting > 0 || matches!(group.state, GroupState::Committing));
    }
}

impl GroupLeader {
    /// Returns the number of the group, for [`CommitQueue::finish`].
    #[must_use]
    pub const fn group(&self) -> u64 {
        self.group
    }
}

impl Group {
    const fn new(number: u64, gathered_at: Instant) -> Self {
        Self {
            number,
            gathered_at,
            batches: vec![],
            bytes: 0,
            joined: 0,
            waiting: 0,
            state: GroupState::Gathering,
        }
    }

    fn has_room(&self, bytes: usize) -> bool {
        matches!(self.state, GroupState::Gathering)
            && self.joined < MAX_GROUP_BATCHES
            && self.bytes.saturating_add(bytes) <= MAX_GROUP_BYTES
    }

    fn add(&mut self, batch: Batch, bytes: usize) -> Ticket {
        let ticket = Ticket {
            group: self.number,
            index: self.joined,
        };
        self.batches.push(batch);
        self.bytes = self.bytes.saturating_add(bytes);
        self.waiting = self.waiting.saturating_add(1);
        self.joined = self.joined.saturating_add(1);
        ticket
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::log::NewEvent;
    use crate::core::sse::{Epoch, Seq};

    fn batch(bytes: usize) -> Batch {
        let event = NewEvent {
            event_type: None,
            data: "x".repeat(bytes),
            trace: None,
        };
        Batch {
            events: vec![event],
            ..Batch::default()
        }
    }

    fn appended(seq: u64) -> Result<Appended, AppendError> {
        Ok(Appended {
            epoch: Epoch::from_random(1),
            first: Seq(seq),
            count: 1,
            repeated: false,
        })
    }

    /// A queue in which publishes have not met for long enough.
    fn quiet() -> CommitQueue {
        CommitQueue {
            lone: 1,
            ..CommitQueue::default()
        }
    }

    const UNCONTENDED: Contention = lost(0);

    const fn lost(lost_swaps: u64) -> Contention {
        Contention {
            lost_swaps,
            attempt: MOMENT,
        }
    }

    const NOW: Instant = Instant(1_000);

    /// A time at which every group has gathered.
    const LATER: Instant = Instant(2_000);

    #[test]
    fn a_lone_publisher_commits_at_once() {
        let mut queue = quiet();
        let ticket = queue.join(batch(1), NOW);
        let leader = queue.try_lead(&ticket, NOW).unwrap();
        assert_eq!(leader.batches, [batch(1)]);
        assert_eq!(queue.take_outcome(&ticket), None);
        queue.finish(leader.group(), Ok(vec![appended(1)]), UNCONTENDED);
        assert_eq!(queue.take_outcome(&ticket), Some(appended(1)));
        queue.leave(&ticket);
        assert!(queue.groups.is_empty());
    }

    #[test]
    fn publishes_that_meet_share_a_commit_and_each_gets_its_own_outcome() {
        let mut queue = CommitQueue::default();
        let first = queue.join(batch(1), NOW);
        assert_eq!(queue.try_lead(&first, NOW), None, "others may join");
        let second = queue.join(batch(2), NOW);
        let leader = queue.try_lead(&second, NOW.saturating_add(MOMENT)).unwrap();
        assert_eq!(leader.batches, [batch(1), batch(2)]);
        assert_eq!(queue.try_lead(&first, LATER), None);
        queue.finish(
            leader.group(),
            Ok(vec![appended(1), Err(AppendError::KeyReused)]),
            UNCONTENDED,
        );
        assert_eq!(
            queue.take_outcome(&second),
            Some(Err(AppendError::KeyReused))
        );
        assert_eq!(queue.take_outcome(&first), Some(appended(1)));
        let third = queue.join(batch(3), NOW);
        assert_eq!(queue.try_lead(&third, NOW), None, "others may join again");
    }

    #[test]
    fn a_batch_that_arrives_during_a_commit_joins_the_next_one() {
        let mut queue = quiet();
        let first = queue.join(batch(1), NOW);
        let leader = queue.try_lead(&first, NOW).unwrap();
        let second = queue.join(batch(2), NOW);
        assert_eq!(queue.try_lead(&second, LATER), None, "one commit at a time");
        queue.finish(leader.group(), Ok(vec![appended(1)]), UNCONTENDED);
        assert_eq!(queue.try_lead(&second, LATER).unwrap().batches, [batch(2)]);
    }

    /// Returns how long a group gathers, in milliseconds. Its commit then loses `lost_swaps`, with attempts
    /// of `attempt_millis` each.
    fn gather_millis(queue: &mut CommitQueue, lost_swaps: u64, attempt_millis: u64) -> u64 {
        let ticket = queue.join(batch(1), NOW);
        let millis = (0..).find(|&millis| {
            queue
                .try_lead(&ticket, NOW.saturating_add(Duration::from_millis(millis)))
                .is_some()
        });
        let contention = Contention {
            lost_swaps,
            attempt: Duration::from_millis(attempt_millis),
        };
        queue.finish(ticket.group, Ok(vec![appended(1)]), contention);
        queue.leave(&ticket);
        millis.unwrap()
    }

    #[test]
    fn groups_gather_longer_while_swaps_are_lost_and_shorter_again_afterwards() {
        let mut queue = quiet();
        let longer = [1, 3, 20, 0].map(|lost| gather_millis(&mut queue, lost, 1));
        assert_eq!(longer, [0, 2, 8, 16]);
        let settled: Vec<_> = (0..15).map(|_| gather_millis(&mut queue, 0, 1)).collect();
        assert_eq!(settled, (1..=15).rev().collect::<Vec<_>>());
    }

    #[test]
    fn gathering_is_measured_in_attempts_on_a_slow_store() {
        let mut queue = quiet();
        let met = [(1, 5), (0, 5), (100, 5), (100, 50), (0, 50), (0, 0)];
        let millis = met.map(|(lost, took)| gather_millis(&mut queue, lost, took));
        assert_eq!(millis, [0, 10, 5, 80, 128, 78]);
    }

    #[test]
    fn a_group_is_bounded_in_bytes_and_in_number() {
        let mut queue = quiet();
        let first = queue.join(batch(MAX_GROUP_BYTES), NOW);
        let second = queue.join(batch(1), NOW);
        assert_ne!(first.group, second.group);
        let groups = (0..MAX_GROUP_BATCHES).map(|_| queue.join(batch(1), NOW).group);
        let with_second = groups.filter(|&group| group == second.group).count();
        assert_eq!(with_second, MAX_GROUP_BATCHES - 1);
    }

    #[test]
    fn an_error_is_the_outcome_of_every_batch() {
        let mut queue = quiet();
        let joined = [queue.join(batch(1), NOW), queue.join(batch(1), NOW)];
        let leader = queue.try_lead(&joined[0], NOW).unwrap();
        queue.finish(leader.group(), Err(CommitError::Contended), lost(9));
        assert!(
            joined.iter().all(
                |ticket| queue.take_outcome(ticket) == Some(Err(CommitError::Contended.into()))
            )
        );
    }

    #[test]
    fn a_publisher_that_leaves_delays_nobody_and_leaves_nothing_behind() {
        let mut queue = quiet();
        let first = queue.join(batch(1), NOW);
        let second = queue.join(batch(2), NOW);
        queue.leave(&first);
        let leader = queue.try_lead(&second, LATER).unwrap();
        assert_eq!(leader.batches.len(), 2);
        queue.leave(&second);
        queue.finish(
            leader.group(),
            Ok(vec![appended(1), appended(2)]),
            UNCONTENDED,
        );
        assert!(queue.groups.is_empty());
        let third = queue.join(batch(3), NOW);
        queue.leave(&third);
        assert!(queue.groups.is_empty());
    }

    #[test]
    fn a_lone_publisher_waits_for_others_in_one_of_sixteen_groups() {
        let mut queue = CommitQueue::default();
        let mut waits = 0;
        for _ in 0..10 * CROWDED_GROUPS {
            let ticket = queue.join(batch(1), NOW);
            let leader = queue.try_lead(&ticket, NOW).or_else(|| {
                waits += 1;
                queue.try_lead(&ticket, NOW.saturating_add(MOMENT))
            });
            queue.finish(leader.unwrap().group(), Ok(vec![appended(1)]), UNCONTENDED);
            queue.leave(&ticket);
        }
        assert_eq!(waits, 10);
    }
}
