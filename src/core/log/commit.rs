//! One commit, carried through whatever the store answers.
//!
//! [`Commit`] is told what happened and says what to do next; the caller only obeys. It never
//! answers a publisher before it knows what became of the events:
//!
//! - A swap that failed may have committed all the same, its reply lost or wrong (Spin's Redis
//!   backend reports every committed swap as failed). So after any failed swap the head is read
//!   again, and the commit's nonce in it tells.
//! - A swap that ended in a store error may even commit later. It cannot any more once the head
//!   has changed, for every head is different; until then the outcome is unknown.
//! - A head that does not exist is created in turns, because some stores (Spin's SQLite) let every
//!   swap on a missing key succeed: see [`CreationLease`](super::creation::CreationLease).

mod pace;

use bytes::Bytes;

use self::pace::RetryBackoff;
use super::creation::{CreationLease, LeaseAction, turn};
use super::mutant::{Mutant, is_active};
use super::{
    Action, Append, AppendError, Appended, Change, ClockReading, CommitError, Completion,
    FormatError, Head, PendingDelete, RECENT_COMMITS, Request, Retention, SegmentId, SwapError,
    append, head_key, purge, segment_key,
};
use crate::core::channel::Channel;
use crate::core::sse::Epoch;
use crate::core::time::Instant;

/// After this long a commit that cannot get through is given up: 5 s, more than a turn and its
/// overtime.
const PATIENCE_MILLIS: u64 = 5_000;

/// Between seeing that there is no head and creating it, no more time than this may pass: 250 ms.
const CREATE_WITHIN_MILLIS: u64 = 250;

/// How often a head that somebody else creates is looked for: 10 ms.
const AWAIT_CREATOR_MILLIS: u64 = 10;

/// How much others were in a commit's way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contention {
    /// How many swaps were lost to others; one that took place although the store denied it was not.
    pub lost_swaps: u64,
    /// How long the last attempt took, from asking for the head to the outcome of its swap.
    pub attempt_millis: u64,
}

/// A commit on its way.
#[derive(Debug)]
pub struct Commit {
    channel: Channel,
    work: Request,
    retention: Retention,
    nonce: u64,
    /// The epoch of the log that this commit may begin: always the same, for the head that is found
    /// in the end may be that of an earlier attempt.
    epoch: Epoch,
    random: fastrand::Rng,
    started: Instant,
    pace: RetryBackoff,
    lost_swaps: u64,
    claim: Option<CreationLease>,
    /// The plan that is being carried out.
    planned: Option<Plan>,
    /// The last plan whose swap was tried, as long as it may have taken place or may yet.
    swapped: Option<Plan>,
    /// The head is being read only to learn what became of a swap, before a wait.
    settling: bool,
    /// Segments stored for a swap that was lost; a purge may have made orphans of them.
    strays: Vec<SegmentId>,
    last_error: Option<String>,
}

/// A plan, and how far it was carried out. Plans based on the same head are the same.
#[derive(Debug)]
struct Plan {
    answers: Vec<Result<Appended, AppendError>>,
    change: Change,
    based_on: Base,
    step: Step,
    /// Its swap was tried before, and may have taken place or may yet.
    tried: bool,
}

/// What a plan is based on.
#[derive(Clone, Copy, Debug)]
enum Base {
    /// A head with so many commits.
    Head { commits: u64 },
    /// No head, as was seen at this time.
    Nothing { seen: Instant },
}

impl Base {
    fn commits(self) -> u64 {
        match self {
            Self::Head { commits } => commits,
            Self::Nothing { .. } => 0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Sealing,
    Discarding,
    Swapping,
    /// CommitRecord; a purge deletes what it left.
    Clearing,
}

impl Commit {
    /// A commit to `channel`. `random` must be drawn anew for each commit: it makes the nonce.
    /// Begin with [`Action::Read`].
    #[must_use]
    pub fn new(
        channel: Channel,
        work: Request,
        retention: Retention,
        random: u64,
        now: Instant,
    ) -> Self {
        let mut generator = fastrand::Rng::with_seed(random);
        Self {
            channel,
            work,
            retention,
            nonce: generator.u64(..),
            epoch: Epoch::from_random(generator.u64(..)),
            random: generator,
            started: now,
            pace: RetryBackoff::new(now),
            lost_swaps: 0,
            claim: None,
            planned: None,
            swapped: None,
            settling: false,
            strays: vec![],
            last_error: None,
        }
    }

    /// The commit waits so many times as long between its attempts, for whoever has few left.
    #[must_use]
    pub fn with_restraint(mut self, restraint: u64) -> Self {
        self.pace.restraint = restraint;
        self
    }

    /// What this commit met so far.
    #[must_use]
    pub const fn contention(&self) -> Contention {
        Contention {
            lost_swaps: self.lost_swaps,
            attempt_millis: self.pace.attempt_millis,
        }
    }

    /// The next thing to do, after `event`.
    pub fn step(&mut self, event: Completion, now: ClockReading) -> Action {
        let task = self.next(event, now);
        if matches!(task, Action::Read) {
            self.pace.asked(now.monotonic);
        }
        task
    }

    fn next(&mut self, event: Completion, now: ClockReading) -> Action {
        let settling = std::mem::take(&mut self.settling);
        match event {
            Completion::Slept => Action::Read,
            Completion::Read(Ok(Some(bytes))) => self.head_read(&bytes, settling, now),
            Completion::Read(Ok(None)) if !settling => self.head_missing(now),
            Completion::Claimed(Ok(count)) => {
                let claim = self.claim.get_or_insert(CreationLease::new(now.wall));
                claim.counted(count);
                match claim.next(now.wall) {
                    LeaseAction::Count(turn) => Action::CreationLease(turn),
                    _ => Action::Read,
                }
            }
            Completion::Claimed(Err(error)) => {
                self.claim = None;
                self.retry_after(error, now)
            }
            Completion::Read(Err(error)) if !settling => self.retry_after(error, now),
            Completion::Read(_) => self.rest(),
            Completion::Stored(result) => self.go_on(result, now),
            Completion::Swapped(result) => {
                self.pace.answered(now.monotonic);
                self.swapped(result, now)
            }
        }
    }

    fn head_read(&mut self, bytes: &Bytes, settling: bool, now: ClockReading) -> Action {
        let head = match Head::decode(&head_key(&self.channel), bytes) {
            Ok(head) => head,
            Err(error) => return Action::Failed(CommitError::Format(error)),
        };
        if let Some(plan) = self.swapped.take() {
            if head.committed(self.nonce).is_some() && !is_active(Mutant::ForgetsItsNonce) {
                return self.committed(plan);
            }
            match head.commits.saturating_sub(plan.based_on.commits()) {
                // The same head as before: the swap may still be on its way.
                0 => self.swapped = Some(plan),
                // Every head is different, so the swap can no longer take place.
                1..=RECENT_COMMITS => {
                    self.lost_swaps = self.lost_swaps.saturating_add(1);
                    self.stray(&plan);
                }
                _ => {
                    return Action::Failed(CommitError::Unknown(
                        "too many commits since to tell".to_owned(),
                    ));
                }
            }
        }
        if let Some(orphans) = self.orphans(&head) {
            return Action::Delete(orphans);
        }
        if settling {
            return self.rest();
        }
        if now.monotonic.since(self.started) > PATIENCE_MILLIS {
            return self.give_up();
        }
        let based_on = Base::Head {
            commits: head.commits,
        };
        self.plan(&head, based_on, now)
    }

    /// What this plan has stored, or may have, belongs to nothing now.
    fn stray(&mut self, plan: &Plan) {
        let sealed = plan.change.seal.iter();
        self.strays.extend(sealed.map(|(name, _)| *name));
    }

    /// Segments of an overtaken plan that no head will ever refer to: of a log that was purged, or
    /// dropped by retention in the meantime.
    fn orphans(&mut self, head: &Head) -> Option<Vec<String>> {
        let strays = std::mem::take(&mut self.strays);
        let orphans = strays
            .into_iter()
            .filter(|name| name.epoch != head.epoch || name.first < head.first());
        let orphans: Vec<_> = orphans
            .map(|name| segment_key(&self.channel, name))
            .collect();
        (!orphans.is_empty()).then_some(orphans)
    }

    fn head_missing(&mut self, now: ClockReading) -> Action {
        if self.work == Request::Purge {
            return Action::Done(vec![]);
        }
        if now.monotonic.since(self.started) > PATIENCE_MILLIS {
            return self.give_up();
        }
        let claim = self.claim.get_or_insert(CreationLease::new(now.wall));
        match claim.next(now.wall) {
            _ if is_active(Mutant::CreatesUnasked) => {}
            LeaseAction::Create => {}
            LeaseAction::Count(turn) => return Action::CreationLease(turn),
            LeaseAction::Wait => return Action::Sleep(AWAIT_CREATOR_MILLIS),
        }
        let based_on = Base::Nothing {
            seen: now.monotonic,
        };
        self.plan(&Head::new(self.epoch), based_on, now)
    }

    fn plan(&mut self, head: &Head, based_on: Base, now: ClockReading) -> Action {
        let planned = match &self.work {
            Request::Append(group) => append(head, group, self.nonce, now.wall, &self.retention),
            Request::Purge => self.purge(head, now),
        };
        let Append { answers, change } = match planned {
            Ok(plan) => plan,
            Err(error) => {
                let detail = format!("a record cannot be read: {error}");
                let key = head_key(&self.channel);
                return Action::Failed(CommitError::Format(FormatError::Corrupt { key, detail }));
            }
        };
        let Some(change) = change else {
            return Action::Done(answers);
        };
        self.planned = Some(Plan {
            answers,
            change,
            based_on,
            step: Step::Sealing,
            tried: self.swapped.is_some(),
        });
        self.go_on(Ok(()), now)
    }

    fn purge(&mut self, head: &Head, now: ClockReading) -> Result<Append, postcard::Error> {
        while self.epoch == head.epoch {
            self.epoch = Epoch::from_random(self.random.u64(..));
        }
        let head = purge(head, self.epoch, self.nonce, now.wall)?;
        Ok(Append {
            answers: vec![],
            change: Some(Change {
                head,
                seal: vec![],
                discard: vec![],
            }),
        })
    }

    /// Takes the next step of the plan, the last having ended so.
    fn go_on(&mut self, last: Result<(), String>, now: ClockReading) -> Action {
        let Some(mut planned) = self.planned.take() else {
            // Strays that could not be deleted are only that: the commit goes on.
            return Action::Read;
        };
        if planned.step == Step::Clearing {
            // What could not be deleted is still listed as trash; the next commit sees to it.
            return Action::Done(planned.answers);
        }
        match last {
            Ok(()) => {}
            // Nothing depends on the deletion: what is not deleted stays listed as trash.
            Err(_) if planned.step == Step::Swapping => {
                let kept = planned.change.discard.drain(..);
                let kept = kept.map(|segment| PendingDelete {
                    segment,
                    since: now.wall,
                });
                planned.change.head.trash.extend(kept);
            }
            Err(error) => {
                self.stray(&planned);
                return self.retry_after(error, now);
            }
        }
        let channel = &self.channel;
        let task = match planned.step {
            Step::Sealing if !planned.change.seal.is_empty() => {
                planned.step = Step::Discarding;
                let sealed = planned.change.seal.iter();
                Action::Write(
                    sealed
                        .map(|(name, value)| (segment_key(channel, *name), value.clone()))
                        .collect(),
                )
            }
            Step::Sealing | Step::Discarding if !planned.change.discard.is_empty() => {
                planned.step = Step::Swapping;
                let discarded = planned.change.discard.iter();
                Action::Delete(discarded.map(|name| segment_key(channel, *name)).collect())
            }
            _ => return self.swap(planned, now),
        };
        self.planned = Some(planned);
        task
    }

    fn swap(&mut self, plan: Plan, now: ClockReading) -> Action {
        if let Base::Nothing { seen } = plan.based_on {
            let in_turn = self.claim.is_some_and(|claim| claim.turn == turn(now.wall));
            let in_turn = in_turn || is_active(Mutant::CreatesUnasked);
            if now.monotonic.since(seen) > CREATE_WITHIN_MILLIS || !in_turn {
                return Action::Read;
            }
        }
        match plan.change.head.encode() {
            Ok(bytes) => {
                self.swapped = Some(plan);
                Action::Swap(bytes)
            }
            Err(error) => Action::Failed(CommitError::Store(error.to_string())),
        }
    }

    fn swapped(&mut self, result: Result<(), SwapError>, now: ClockReading) -> Action {
        match (result, self.swapped.take()) {
            (Ok(()), Some(plan)) if matches!(plan.based_on, Base::Head { .. }) => {
                self.committed(plan)
            }
            // Two creators may both be told that they succeeded; only one of them did.
            (Ok(()), plan) => {
                self.swapped = plan;
                Action::Read
            }
            (Err(SwapError::Lost), plan) => {
                self.swapped = plan;
                self.back_off(now)
            }
            (Err(SwapError::Store(error)), plan) => {
                self.swapped = plan;
                self.retry_after(error, now)
            }
            (Err(SwapError::Spent), plan) => Action::Failed(match plan {
                Some(plan) if plan.tried => {
                    CommitError::Unknown("there was no swap left to try it again".to_owned())
                }
                _ => CommitError::Contended,
            }),
        }
    }

    fn committed(&mut self, mut planned: Plan) -> Action {
        if self.work != Request::Purge || planned.change.head.trash.is_empty() {
            return Action::Done(planned.answers);
        }
        let trash = planned.change.head.trash.iter();
        let keys = trash
            .map(|trashed| segment_key(&self.channel, trashed.segment))
            .collect();
        planned.step = Step::Clearing;
        self.planned = Some(planned);
        Action::Delete(keys)
    }

    fn retry_after(&mut self, error: String, now: ClockReading) -> Action {
        self.last_error = Some(error);
        self.back_off(now)
    }

    fn back_off(&mut self, now: ClockReading) -> Action {
        // A swap whose outcome is open deserves a last look at the head, however late it is.
        let patience = if self.swapped.is_some() {
            PATIENCE_MILLIS * 2
        } else {
            PATIENCE_MILLIS
        };
        if now.monotonic.since(self.started) > patience {
            return self.give_up();
        }
        self.pace
            .slow_down(self.last_error.is_some(), &mut self.random);
        self.settling = self.swapped.is_some() && self.pace.outlasts_a_head();
        match self.settling {
            true => Action::Read,
            false => self.rest(),
        }
    }

    const fn rest(&self) -> Action {
        Action::Sleep(self.pace.rest_millis)
    }

    fn give_up(&mut self) -> Action {
        let error = self.last_error.take();
        Action::Failed(match self.swapped {
            Some(_) => CommitError::Unknown(
                error.unwrap_or_else(|| "the head could not be read again".to_owned()),
            ),
            None => match error {
                Some(error) => CommitError::Store(error),
                None if self.lost_swaps > 0 => CommitError::Contended,
                None => CommitError::Store("it took too long".to_owned()),
            },
        })
    }
}

#[cfg(test)]
mod tests;
