//! Group commit: publishes to one channel that meet in an instance share one swap.
//!
//! A publisher joins a [`CommitQueue`] and looks in again until it has its answer. Whoever looks first
//! once the group has gathered, and nothing is being committed, commits for all that have joined;
//! nobody wakes anybody. A lone publisher commits at once. A group is given a moment to gather
//! when publishes have met lately, or now and then to find out whether they would; and the more
//! swaps are lost to other instances, the longer it gathers, for fewer and larger commits.

use std::collections::VecDeque;

use super::{AppendError, Appended, Batch, CommitError, Contention, MAX_GROUP_BYTES};
use crate::core::time::Instant;

/// A group takes at most this many batches.
const MAX_GROUP_BATCHES: usize = 256;

/// Groups are given a moment to gather for this many groups after one in which publishes met, and
/// once in so many while none do.
const CROWDED_GROUPS: u32 = 16;

/// How often the waiting of a group that is being committed look in: 1 ms.
const MOMENT_MILLIS: u64 = 1;

/// A group gathers no longer than so many attempts to commit take, and no longer than 128 ms.
const MAX_GATHER_ATTEMPTS: u64 = 16;
const MAX_GATHER_MILLIS: u64 = 128;

/// What a group is answered, each batch for itself.
pub type Outcome = Result<Vec<Result<Appended, AppendError>>, CommitError>;

/// What a publish is answered.
pub type Answer = Result<Result<Appended, AppendError>, CommitError>;

/// The publishes to one channel that are under way in an instance.
#[derive(Debug, Default)]
pub struct CommitQueue {
    /// Oldest first; only the last can still be joined.
    groups: VecDeque<Group>,
    next_group: u64,
    committing: bool,
    /// How many more groups are given a moment to gather.
    crowded: u32,
    lone: u32,
    /// How long groups gather because swaps were lost: by two attempts longer with each, by one
    /// shorter with each group that lost none. It is counted in attempts, for stores take from less
    /// than a millisecond to dozens for one.
    contended_millis: u64,
}

#[derive(Debug)]
struct Group {
    number: u64,
    gathered: Instant,
    batches: Vec<Batch>,
    bytes: usize,
    /// How many have joined, and how many of them are still there.
    joined: usize,
    waiting: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    Gathering,
    Committing,
    Committed(Vec<Option<Answer>>),
}

/// A publisher's place in a group.
#[derive(Debug, PartialEq, Eq)]
pub struct Ticket {
    group: u64,
    number: usize,
}

/// A group that its finder commits.
#[derive(Debug, PartialEq, Eq)]
pub struct GroupLeader {
    group: u64,
    /// What to commit, in order.
    pub batches: Vec<Batch>,
}

impl CommitQueue {
    /// Joins the group that is gathering, or begins one.
    pub fn join(&mut self, batch: Batch, now: Instant) -> Ticket {
        let bytes = batch.bytes();
        if let Some(group) = self.groups.back_mut().filter(|group| group.has_room(bytes)) {
            return group.add(batch, bytes);
        }
        let mut group = Group::new(self.next_group, now.after(self.gather_millis()));
        let place = group.add(batch, bytes);
        self.groups.push_back(group);
        self.next_group = self.next_group.wrapping_add(1);
        place
    }

    fn gather_millis(&self) -> u64 {
        let crowded = self.crowded > 0 || self.lone.is_multiple_of(CROWDED_GROUPS);
        self.contended_millis.max(u64::from(crowded))
    }

    /// Takes the lead of the place's group, if it has gathered and nothing is being committed.
    pub fn lead(&mut self, place: &Ticket, now: Instant) -> Option<GroupLeader> {
        if self.committing {
            return None;
        }
        let group = self
            .groups
            .iter_mut()
            .find(|group| group.number == place.group)?;
        if !matches!(group.state, State::Gathering) || now < group.gathered {
            return None;
        }
        group.state = State::Committing;
        self.committing = true;
        if group.waiting > 1 {
            (self.crowded, self.lone) = (CROWDED_GROUPS, 0);
        } else {
            (self.crowded, self.lone) = (self.crowded.saturating_sub(1), self.lone.wrapping_add(1));
        }
        Some(GroupLeader {
            group: group.number,
            batches: std::mem::take(&mut group.batches),
        })
    }

    /// The group was committed, or could not be, and met `contention`.
    pub fn finish(&mut self, group: u64, outcome: Outcome, contention: Contention) {
        self.committing = false;
        let attempts = |number: u64| contention.attempt_millis.max(1).saturating_mul(number);
        let longest = attempts(MAX_GATHER_ATTEMPTS).min(MAX_GATHER_MILLIS);
        self.contended_millis = match contention.lost_swaps {
            0 => self.contended_millis.saturating_sub(attempts(1)),
            lost => {
                let longer = attempts(lost.saturating_mul(2));
                self.contended_millis.saturating_add(longer).min(longest)
            }
        };
        if let Some(group) = self.groups.iter_mut().find(|known| known.number == group) {
            group.state = State::Committed(match outcome {
                Ok(answers) => answers.into_iter().map(|answer| Some(Ok(answer))).collect(),
                Err(failure) => vec![Some(Err(failure)); group.joined],
            });
        }
        self.forget_the_done();
    }

    /// When it is worth looking in again, not having found anything now.
    #[must_use]
    pub fn look_again(&self, place: &Ticket, now: Instant) -> Instant {
        let group = self.groups.iter().find(|group| group.number == place.group);
        let gathered = group.map_or(now, |group| group.gathered);
        gathered.max(now.after(MOMENT_MILLIS))
    }

    /// The answer for the place, once its group is committed.
    pub fn answer(&mut self, place: &Ticket) -> Option<Answer> {
        let group = self
            .groups
            .iter_mut()
            .find(|group| group.number == place.group)?;
        match &mut group.state {
            State::Committed(answers) => answers.get_mut(place.number)?.take(),
            _ => None,
        }
    }

    /// The publisher is gone, answered or not. Its batch stays in the group, if others are in it.
    pub fn leave(&mut self, place: &Ticket) {
        if let Some(group) = self
            .groups
            .iter_mut()
            .find(|group| group.number == place.group)
        {
            group.waiting = group.waiting.saturating_sub(1);
        }
        self.forget_the_done();
    }

    fn forget_the_done(&mut self) {
        self.groups
            .retain(|group| group.waiting > 0 || matches!(group.state, State::Committing));
    }
}

impl GroupLeader {
    /// Which group it is, for [`CommitQueue::finish`].
    #[must_use]
    pub const fn group(&self) -> u64 {
        self.group
    }
}

impl Group {
    const fn new(number: u64, gathered: Instant) -> Self {
        Self {
            number,
            gathered,
            batches: vec![],
            bytes: 0,
            joined: 0,
            waiting: 0,
            state: State::Gathering,
        }
    }

    fn has_room(&self, bytes: usize) -> bool {
        matches!(self.state, State::Gathering)
            && self.joined < MAX_GROUP_BATCHES
            && self.bytes.saturating_add(bytes) <= MAX_GROUP_BYTES
    }

    fn add(&mut self, batch: Batch, bytes: usize) -> Ticket {
        let place = Ticket {
            group: self.number,
            number: self.joined,
        };
        self.batches.push(batch);
        self.bytes = self.bytes.saturating_add(bytes);
        self.waiting = self.waiting.saturating_add(1);
        self.joined = self.joined.saturating_add(1);
        place
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

    /// A queue in which nobody has met anybody for long enough to know that they do not.
    fn quiet() -> CommitQueue {
        CommitQueue {
            lone: 1,
            ..CommitQueue::default()
        }
    }

    const UNDISPUTED: Contention = lost(0);

    const fn lost(lost_swaps: u64) -> Contention {
        Contention {
            lost_swaps,
            attempt_millis: 1,
        }
    }

    const NOW: Instant = Instant(1_000);

    /// Everybody's look at the queue at a time when every group has gathered.
    const LATER: Instant = Instant(2_000);

    #[test]
    fn a_lone_publisher_commits_at_once() {
        let mut queue = quiet();
        let place = queue.join(batch(1), NOW);
        let lead = queue.lead(&place, NOW).unwrap();
        assert_eq!(lead.batches, [batch(1)]);
        assert_eq!(queue.answer(&place), None);
        queue.finish(lead.group(), Ok(vec![appended(1)]), UNDISPUTED);
        assert_eq!(queue.answer(&place), Some(Ok(appended(1))));
        queue.leave(&place);
        assert!(queue.groups.is_empty());
    }

    #[test]
    fn those_who_meet_share_a_commit_and_each_gets_its_own_answer() {
        let mut queue = CommitQueue::default();
        let first = queue.join(batch(1), NOW);
        assert_eq!(queue.lead(&first, NOW), None, "others may come");
        let second = queue.join(batch(2), NOW);
        let lead = queue.lead(&second, NOW.after(1)).unwrap();
        assert_eq!(lead.batches, [batch(1), batch(2)]);
        assert_eq!(queue.lead(&first, LATER), None);
        queue.finish(
            lead.group(),
            Ok(vec![appended(1), Err(AppendError::KeyReused)]),
            UNDISPUTED,
        );
        assert_eq!(queue.answer(&second), Some(Ok(Err(AppendError::KeyReused))));
        assert_eq!(queue.answer(&first), Some(Ok(appended(1))));
        let third = queue.join(batch(3), NOW);
        assert_eq!(queue.lead(&third, NOW), None, "others may come again");
    }

    #[test]
    fn who_comes_during_a_commit_is_in_the_next_one() {
        let mut queue = quiet();
        let first = queue.join(batch(1), NOW);
        let lead = queue.lead(&first, NOW).unwrap();
        let second = queue.join(batch(2), NOW);
        assert_eq!(queue.lead(&second, LATER), None, "one commit at a time");
        queue.finish(lead.group(), Ok(vec![appended(1)]), UNDISPUTED);
        assert_eq!(queue.lead(&second, LATER).unwrap().batches, [batch(2)]);
    }

    /// How long a group gathers whose commit then loses so many swaps, at so many milliseconds each.
    fn gathers(queue: &mut CommitQueue, lost_swaps: u64, attempt_millis: u64) -> u64 {
        let place = queue.join(batch(1), NOW);
        let millis = (0..).find(|&millis| queue.lead(&place, NOW.after(millis)).is_some());
        let contention = Contention {
            lost_swaps,
            attempt_millis,
        };
        queue.finish(place.group, Ok(vec![appended(1)]), contention);
        queue.leave(&place);
        millis.unwrap()
    }

    #[test]
    fn groups_gather_for_longer_while_swaps_are_lost_and_shorter_again() {
        let mut queue = quiet();
        let longer = [1, 3, 20, 0].map(|lost| gathers(&mut queue, lost, 1));
        assert_eq!(longer, [0, 2, 8, 16]);
        let settled: Vec<_> = (0..15).map(|_| gathers(&mut queue, 0, 1)).collect();
        assert_eq!(settled, (1..=15).rev().collect::<Vec<_>>());
    }

    #[test]
    fn groups_gather_for_as_many_attempts_on_a_slow_store() {
        let mut queue = quiet();
        let met = [(1, 5), (0, 5), (100, 5), (100, 50), (0, 50), (0, 0)];
        let millis = met.map(|(lost, took)| gathers(&mut queue, lost, took));
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
    fn a_failure_is_everybodys() {
        let mut queue = quiet();
        let joined = [queue.join(batch(1), NOW), queue.join(batch(1), NOW)];
        let lead = queue.lead(&joined[0], NOW).unwrap();
        queue.finish(lead.group(), Err(CommitError::Contended), lost(9));
        assert!(
            joined
                .iter()
                .all(|place| queue.answer(place) == Some(Err(CommitError::Contended)))
        );
    }

    #[test]
    fn who_leaves_holds_nobody_up_and_leaves_nothing_behind() {
        let mut queue = quiet();
        let first = queue.join(batch(1), NOW);
        let second = queue.join(batch(2), NOW);
        queue.leave(&first);
        let lead = queue.lead(&second, LATER).unwrap();
        assert_eq!(lead.batches.len(), 2);
        queue.leave(&second);
        queue.finish(lead.group(), Ok(vec![appended(1), appended(2)]), UNDISPUTED);
        assert!(queue.groups.is_empty());
        let third = queue.join(batch(3), NOW);
        queue.leave(&third);
        assert!(queue.groups.is_empty());
    }

    #[test]
    fn a_lone_publisher_waits_for_others_only_now_and_then() {
        let mut queue = CommitQueue::default();
        let mut waits = 0;
        for _ in 0..10 * CROWDED_GROUPS {
            let place = queue.join(batch(1), NOW);
            let lead = queue.lead(&place, NOW).or_else(|| {
                waits += 1;
                queue.lead(&place, NOW.after(1))
            });
            queue.finish(lead.unwrap().group(), Ok(vec![appended(1)]), UNDISPUTED);
            queue.leave(&place);
        }
        assert_eq!(waits, 10);
    }
}
