//! One commit, carried through whatever the store answers.
//!
//! [`Commit`] performs no I/O: it returns an [`Action`], the caller carries it out and reports its
//! [`Completion`]. It ends only once it knows whether the change was committed, or says that it does not:
//!
//! - A swap that failed may have taken effect, its reply lost or wrong (Spin's Redis store reports every
//!   committed swap as failed). So after a failed swap the head is read again: it has the commit's nonce
//!   if the swap took effect.
//! - A swap that ended in a store error may even take effect later. It cannot any more once the head has
//!   changed, for no two heads are equal; until then the outcome is unknown.
//! - Segments that were merged or sealed are stored before the swap that lists them, once in a commit
//!   however often its swap is lost.
//! - A missing head is created under a [`CreationLease`], because some stores (Spin's SQLite) let every
//!   swap on a missing key succeed.
//!
//! | state | action | next state |
//! |---|---|---|
//! | `Reading` | `Read` the head | with a head: `DeletingOrphans`, or with a plan `Merging`, `Sealing`, `Discarding` or `Swapping`; without one: `Leasing`, `Sleeping`, `Swapping` or `Reading`; after an error: as after a failed swap; `Clearing` or `Ended` if an earlier swap turns out committed; `Ended` if nothing is to be changed |
//! | `Settling` | `Read` the head, only to learn the outcome of a swap before a long wait | `Sleeping`; `DeletingOrphans`; `Clearing` or `Ended` if the swap turns out committed |
//! | `Leasing` | `Increment` a creation counter | `Leasing` or `Reading`; after an error: as after a failed swap |
//! | `Merging` | `ReadSegments` to be merged | `Sealing`; without the merge if one of them cannot be read |
//! | `Sealing` | `Write` new segments | `Discarding` or `Swapping`; after an error: as after a failed swap |
//! | `Discarding` | `Delete` old segments | `Swapping`; those that could not be deleted stay listed |
//! | `Swapping` | `Swap` the head | `Clearing` or `Ended` if it replaced a head; `Reading` if it created one; if it failed: `Settling` or `Sleeping`; `Ended` when no swap is left |
//! | `DeletingOrphans` | `Delete` segments of an overtaken plan | `Reading` |
//! | `Clearing` | `Delete` segments of a purged log | `Ended` |
//! | `Sleeping` | `Sleep` | `Reading` |
//! | `Ended` | `Done` or `Failed` | |
//!
//! A damaged head is read twice more, after `Sleeping`. After the timeout, or when the head cannot be used,
//! the next state is `Ended` with `Failed` instead.
//!
//! ```
//! use bytes::Bytes;
//! use runnel::core::log::kv::{Action, Commit, Completion, Head, Request};
//! use runnel::core::log::{Batch, NewEvent, Retention};
//! use runnel::core::sse::Epoch;
//! use runnel::core::time::{ClockReading, Instant, Timestamp};
//!
//! let event = NewEvent { event_type: None, data: "hello".to_owned(), trace: None };
//! let batch = Batch { events: vec![event], ..Batch::default() };
//! let retention = Retention { events: 100, bytes: 65_536, max_age: None };
//! let now = ClockReading { monotonic: Instant(0), wall: Timestamp(1_800_000_000_000) };
//! let channel = "demo".parse()?;
//! let mut commit = Commit::new(channel, Request::Append(vec![batch]), retention, 42, now.monotonic);
//!
//! // A store with one value, in which every call succeeds.
//! let mut stored = Bytes::from(Head::new(Epoch::from_random(1)).encode()?);
//! let mut action = Action::Read;
//! let outcomes = loop {
//!     let completion = match action {
//!         Action::Read => Completion::Read(Ok(Some(stored.clone()))),
//!         Action::Swap(value) => {
//!             stored = value.into();
//!             Completion::Swapped(Ok(()))
//!         }
//!         Action::Done(outcomes) => break outcomes,
//!         other => unreachable!("{other:?}"),
//!     };
//!     action = commit.step(completion, now);
//! };
//! let appended = outcomes[0].clone()?;
//! assert_eq!(appended.first_id().to_string(), "000001-1");
//! assert_eq!(Head::decode("head!demo", &stored)?.next(), appended.first.plus(1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod action;
mod retry;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;

pub use self::action::{Action, Completion, Request};
use self::retry::RetryBackoff;
use super::append::{Append, Change, append, purge};
use super::creation_lease::{CreationLease, LeaseAction};
use super::format::{self, FormatError};
use super::head::{Head, RECENT_COMMITS};
use super::key::{head_key, segment_key};
use super::merge::Merge;
use super::mutant::{Mutant, is_active};
use super::segment::{Parts, SegmentError, SegmentId};
use crate::core::channel::Channel;
use crate::core::log::{AppendError, Appended, CommitError, Retention};
use crate::core::sse::Epoch;
use crate::core::store::{StoreError, SwapError};
use crate::core::time::{ClockReading, Instant};

/// The time after which a commit that cannot get through is given up: 5 s, more than a period of a
/// [`CreationLease`] and its overrun.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest time between seeing that there is no head and creating it: 250 ms.
const CREATE_WITHIN: Duration = Duration::from_millis(250);

/// The number of times that a head is read again because it was damaged, and the wait before that: what
/// was only read badly is good then.
const MAX_REREADS: u32 = 2;
const REREAD_AFTER: Duration = Duration::from_millis(10);

/// The interval at which a head that another instance is creating is read: 10 ms.
const CREATION_POLL: Duration = Duration::from_millis(10);

/// The competition of a commit with others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Contention {
    /// The swaps that were lost to others. A swap that took effect although the store reported a loss
    /// does not count.
    pub lost_swaps: u64,
    /// The duration of the last attempt, from asking for the head to the outcome of its swap.
    pub attempt: Duration,
}

/// A commit under way.
#[derive(Debug)]
pub struct Commit {
    channel: Channel,
    request: Request,
    retention: Retention,
    nonce: u64,
    /// The epoch of the log that this commit may begin. It stays the same, because the head that is found
    /// in the end may be that of an earlier attempt.
    epoch: Epoch,
    random: fastrand::Rng,
    started: Instant,
    retry: RetryBackoff,
    lost_swaps: u64,
    lease: Option<CreationLease>,
    state: State,
    /// The last plan whose swap was tried, as long as it may have taken effect or may yet.
    unsettled: Option<Plan>,
    /// Segments that this commit has tried to store, and whether it has. A swap that is lost may make
    /// orphans of them.
    stored: HashMap<SegmentId, bool>,
    /// Set if segments may be merged on the way.
    merges: bool,
    /// Set if the head that was read last has the present format. Older versions, which may be writing as
    /// well, know nothing of merges.
    is_current: bool,
    rereads: u32,
    last_error: Option<StoreError>,
}

#[derive(Debug)]
enum State {
    Reading,
    Settling,
    Leasing,
    Merging(Plan, Merge),
    Sealing(Plan),
    Discarding(Plan),
    /// The plan is in `unsettled`.
    Swapping,
    DeletingOrphans,
    Clearing(Vec<Result<Appended, AppendError>>),
    Sleeping,
    Ended,
}

/// A planned change. Planning is deterministic: the same head yields the same plan.
#[derive(Debug)]
struct Plan {
    outcomes: Vec<Result<Appended, AppendError>>,
    change: Change,
    base: Base,
    /// The same swap was tried before, and may have taken effect or may yet.
    tried_before: bool,
}

/// The head that a plan replaces.
#[derive(Clone, Copy, Debug)]
enum Base {
    /// A head with this number of commits.
    Head { commits: u64 },
    /// None, as was seen at this time.
    Nothing { seen: Instant },
}

impl Base {
    const fn commits(self) -> u64 {
        match self {
            Self::Head { commits } => commits,
            Self::Nothing { .. } => 0,
        }
    }
}

impl Commit {
    /// Creates a commit to `channel`, whose first action is [`Action::Read`]. `random` must be drawn anew
    /// for each commit: the nonce is made of it.
    #[must_use]
    pub fn new(
        channel: Channel,
        request: Request,
        retention: Retention,
        random: u64,
        now: Instant,
    ) -> Self {
        let mut generator = fastrand::Rng::with_seed(random);
        Self {
            channel,
            request,
            retention,
            nonce: generator.u64(..),
            epoch: Epoch::from_random(generator.u64(..)),
            random: generator,
            started: now,
            retry: RetryBackoff::new(now),
            lost_swaps: 0,
            lease: None,
            state: State::Reading,
            unsettled: None,
            stored: HashMap::new(),
            merges: true,
            is_current: false,
            rereads: 0,
            last_error: None,
        }
    }

    /// Stretches the waits between attempts by `factor`, for an instance that has few swaps left.
    #[must_use]
    pub const fn with_backoff_factor(mut self, factor: u32) -> Self {
        self.retry.factor = factor;
        self
    }

    /// Sets whether the commit may merge segments on the way, if it has segments to store anyway.
    #[must_use]
    pub const fn with_merges(mut self, merges: bool) -> Self {
        self.merges = merges;
        self
    }

    /// Returns how much the commit has competed with others so far.
    #[must_use]
    pub const fn contention(&self) -> Contention {
        Contention {
            lost_swaps: self.lost_swaps,
            attempt: self.retry.attempt,
        }
    }

    /// Takes the completion of the last action and returns the next one.
    pub fn step(&mut self, completion: Completion, now: ClockReading) -> Action {
        let action = self.next(completion, now);
        match action {
            Action::Read => self.retry.attempt_started(now.monotonic),
            Action::Done(_) | Action::Failed(_) => self.state = State::Ended,
            _ => {}
        }
        debug_assert!(self.awaits(&action), "{action:?} in {:?}", self.state);
        action
    }

    /// Returns whether `action` is one of the present state, as the table of this module has them.
    fn awaits(&self, action: &Action) -> bool {
        match &self.state {
            State::Reading | State::Settling => *action == Action::Read,
            State::Leasing => matches!(action, Action::Increment(_)),
            State::Merging(_, merge) => {
                matches!(action, Action::ReadSegments(ids) if ids.len() == merge.sources.len())
            }
            State::Sealing(_) => matches!(action, Action::Write(values) if !values.is_empty()),
            State::Discarding(_) | State::DeletingOrphans | State::Clearing(_) => {
                matches!(action, Action::Delete(keys) if !keys.is_empty())
            }
            State::Swapping => self.unsettled.is_some() && matches!(action, Action::Swap(_)),
            State::Sleeping => matches!(action, Action::Sleep(_)),
            State::Ended => match (action, &self.request) {
                (Action::Done(outcomes), Request::Append(group)) => outcomes.len() == group.len(),
                (Action::Done(outcomes), Request::Purge) => outcomes.is_empty(),
                _ => matches!(action, Action::Failed(_)),
            },
        }
    }

    fn next(&mut self, completion: Completion, now: ClockReading) -> Action {
        match (std::mem::replace(&mut self.state, State::Ended), completion) {
            (State::Reading, Completion::Read(Ok(Some(bytes)))) => match self.settle(&bytes) {
                ControlFlow::Break(action) => action,
                ControlFlow::Continue(head) => self.plan_on(&head, now),
            },
            (State::Reading, Completion::Read(Ok(None))) => self.head_missing(now),
            (State::Reading, Completion::Read(Err(error))) => self.retry_after(error, now),
            (State::Settling, Completion::Read(Ok(Some(bytes)))) => match self.settle(&bytes) {
                ControlFlow::Break(action) => action,
                ControlFlow::Continue(_) => self.sleep(),
            },
            (State::Settling, Completion::Read(_)) => self.sleep(),
            (State::Leasing, Completion::Incremented(Ok(count))) => {
                self.lease
                    .get_or_insert(CreationLease::new(now.wall))
                    .incremented(count);
                self.lease_or_read(now)
            }
            (State::Leasing, Completion::Incremented(Err(error))) => {
                self.lease = None;
                self.retry_after(error, now)
            }
            (State::Merging(plan, merge), Completion::Segments(read)) => {
                self.merge(plan, &merge, read, now)
            }
            (State::Sealing(plan), Completion::Written(Ok(()))) => {
                let sealed = plan.change.seal.iter();
                self.stored.extend(sealed.map(|(id, _)| (*id, true)));
                self.discard(plan, now)
            }
            (State::Sealing(_), Completion::Written(Err(error))) => self.retry_after(error, now),
            (State::Discarding(plan), Completion::Written(Ok(()))) => self.swap(plan, now),
            (State::Discarding(mut plan), Completion::Written(Err(_))) => {
                // Nothing depends on the deletion.
                let kept = std::mem::take(&mut plan.change.discard);
                plan.change.head.delete_later(kept, now.wall);
                self.swap(plan, now)
            }
            (State::Swapping, Completion::Swapped(result)) => {
                self.retry.attempt_ended(now.monotonic);
                self.swapped(result, now)
            }
            // Orphans that could not be deleted do not stop the commit.
            (State::DeletingOrphans, Completion::Written(_))
            | (State::Sleeping, Completion::Slept) => self.read(),
            // What could not be deleted is still listed; the next commit sees to it.
            (State::Clearing(outcomes), Completion::Written(_)) => Action::Done(outcomes),
            (state, completion) => {
                debug_assert!(false, "{completion:?} does not complete {state:?}");
                Action::Failed(CommitError::OutcomeUnknown(
                    "the commit was driven out of order".to_owned(),
                ))
            }
        }
    }

    fn read(&mut self) -> Action {
        self.state = State::Reading;
        Action::Read
    }

    fn sleep(&mut self) -> Action {
        self.sleep_for(self.retry.wait)
    }

    fn sleep_for(&mut self, duration: Duration) -> Action {
        self.state = State::Sleeping;
        Action::Sleep(duration)
    }

    /// Settles the last swap by what the head says. Breaks with the action that follows from that, or
    /// continues with the head.
    fn settle(&mut self, bytes: &Bytes) -> ControlFlow<Action, Head> {
        let head = match Head::decode(&head_key(&self.channel), bytes) {
            Ok(head) => head,
            Err(error) => return ControlFlow::Break(self.head_unreadable(error)),
        };
        self.is_current = format::is_current(bytes);
        if let Some(plan) = self.unsettled.take() {
            if head.remembers(self.nonce) && !is_active(Mutant::ForgetsItsNonce) {
                return ControlFlow::Break(self.committed(plan));
            }
            match head.commits.saturating_sub(plan.base.commits()) {
                // The same head as before: the swap may still take effect.
                0 => self.unsettled = Some(plan),
                // No two heads are equal, so the swap can no longer take effect.
                1..=RECENT_COMMITS => {
                    self.lost_swaps = self.lost_swaps.saturating_add(1);
                }
                _ => {
                    let detail = "the head no longer remembers the commits of that time".to_owned();
                    let error = CommitError::OutcomeUnknown(detail);
                    return ControlFlow::Break(Action::Failed(error));
                }
            }
        }
        if let Some(orphans) = self.take_orphans(&head) {
            self.state = State::DeletingOrphans;
            return ControlFlow::Break(Action::Delete(orphans));
        }
        ControlFlow::Continue(head)
    }

    /// Reads a damaged head again, or gives up.
    fn head_unreadable(&mut self, error: FormatError) -> Action {
        let is_damaged = matches!(error, FormatError::Corrupt { .. });
        if is_damaged && self.rereads < MAX_REREADS {
            self.rereads = self.rereads.saturating_add(1);
            return self.sleep_for(REREAD_AFTER);
        }
        Action::Failed(match &self.unsettled {
            Some(_) => CommitError::OutcomeUnknown(error.to_string()),
            None => error.into(),
        })
    }

    /// Returns the keys of stored segments that no head will ever refer to: the log was purged, or they
    /// were merged or dropped by retention, in the meantime.
    fn take_orphans(&mut self, head: &Head) -> Option<Vec<String>> {
        let orphans: Vec<_> = self.stored.extract_if(|id, _| !head.knows(*id)).collect();
        let keys = orphans
            .iter()
            .map(|(id, _)| segment_key(&self.channel, *id));
        let keys: Vec<_> = keys.collect();
        (!keys.is_empty()).then_some(keys)
    }

    fn is_timed_out(&self, now: ClockReading) -> bool {
        now.monotonic.saturating_duration_since(self.started) > TIMEOUT
    }

    fn head_missing(&mut self, now: ClockReading) -> Action {
        if self.request == Request::Purge {
            return Action::Done(vec![]);
        }
        if self.is_timed_out(now) {
            return self.give_up();
        }
        let lease = self.lease.get_or_insert(CreationLease::new(now.wall));
        match lease.next(now.wall) {
            _ if is_active(Mutant::CreatesUnasked) => {}
            LeaseAction::Create => {}
            LeaseAction::Increment(period) => {
                self.state = State::Leasing;
                return Action::Increment(period);
            }
            LeaseAction::Wait => return self.sleep_for(CREATION_POLL),
        }
        let base = Base::Nothing {
            seen: now.monotonic,
        };
        self.plan(&Head::new(self.epoch), base, now)
    }

    fn lease_or_read(&mut self, now: ClockReading) -> Action {
        let lease = self.lease.get_or_insert(CreationLease::new(now.wall));
        match lease.next(now.wall) {
            LeaseAction::Increment(period) => {
                self.state = State::Leasing;
                Action::Increment(period)
            }
            LeaseAction::Create | LeaseAction::Wait => self.read(),
        }
    }

    fn plan_on(&mut self, head: &Head, now: ClockReading) -> Action {
        if self.is_timed_out(now) {
            return self.give_up();
        }
        let base = Base::Head {
            commits: head.commits,
        };
        self.plan(head, base, now)
    }

    fn plan(&mut self, head: &Head, base: Base, now: ClockReading) -> Action {
        let planned = match &self.request {
            Request::Append(group) => append(head, group, self.nonce, now.wall, &self.retention),
            Request::Purge => self.plan_purge(head, now),
        };
        let Append { outcomes, change } = match planned {
            Ok(plan) => plan,
            Err(error) => {
                let detail = format!("a record cannot be read: {error}");
                let key = head_key(&self.channel);
                return Action::Failed(FormatError::Corrupt { key, detail }.into());
            }
        };
        let Some(change) = change else {
            return Action::Done(outcomes);
        };
        let mut plan = Plan {
            outcomes,
            change,
            base,
            tried_before: self.unsettled.is_some(),
        };
        let merge = plan.change.merge.take();
        let Some(merge) = merge.filter(|_| self.merges && self.is_current) else {
            return self.seal(plan, now);
        };
        let epoch = plan.change.head.epoch;
        if self.has_stored(merge.merged.id(epoch)) {
            plan.change.list_merged(&merge, now.wall);
            return self.seal(plan, now);
        }
        let sources = merge.sources.iter().map(|source| source.id(epoch));
        let sources = sources.collect();
        self.state = State::Merging(plan, merge);
        Action::ReadSegments(sources)
    }

    fn has_stored(&self, id: SegmentId) -> bool {
        self.stored.get(&id) == Some(&true)
    }

    /// Merges the segments that were read. If the store failed, another commit will.
    fn merge(
        &mut self,
        mut plan: Plan,
        merge: &Merge,
        read: Vec<Result<Parts, SegmentError>>,
        now: ClockReading,
    ) -> Action {
        let (mut parts, mut unreadable, mut has_failed) = (vec![], vec![], false);
        for (source, read) in merge.sources.iter().zip(read) {
            match read {
                Ok(read) if source.describes(&read) => parts.extend(read.iter().cloned()),
                Err(SegmentError::Store(_)) => has_failed = true,
                Ok(_) | Err(SegmentError::Absent | SegmentError::Format(_)) => {
                    unreadable.push(*source);
                }
            }
        }
        let merged = if has_failed {
            Ok(())
        } else if unreadable.is_empty() {
            plan.change.merge(merge, parts, now.wall)
        } else {
            plan.change.give_up_merge(merge, &unreadable, now.wall);
            Ok(())
        };
        match merged {
            Ok(()) => self.seal(plan, now),
            Err(error) => self.cannot_encode(&error),
        }
    }

    /// Stores the segments of a plan, but those that this commit has stored before.
    fn seal(&mut self, plan: Plan, now: ClockReading) -> Action {
        let new = plan.change.seal.iter();
        let new: Vec<_> = new.filter(|(id, _)| !self.has_stored(*id)).collect();
        if new.is_empty() {
            return self.discard(plan, now);
        }
        self.stored.extend(new.iter().map(|(id, _)| (*id, false)));
        let values = new.into_iter();
        let values = values
            .map(|(id, value)| (segment_key(&self.channel, *id), value.clone()))
            .collect();
        self.state = State::Sealing(plan);
        Action::Write(values)
    }

    fn cannot_encode(&self, error: &postcard::Error) -> Action {
        let (key, detail) = (head_key(&self.channel), error.to_string());
        Action::Failed(FormatError::Corrupt { key, detail }.into())
    }

    fn plan_purge(&mut self, head: &Head, now: ClockReading) -> Result<Append, postcard::Error> {
        while self.epoch == head.epoch {
            self.epoch = Epoch::from_random(self.random.u64(..));
        }
        let head = purge(head, self.epoch, self.nonce, now.wall)?;
        Ok(Append {
            outcomes: vec![],
            change: Some(Change {
                head,
                seal: vec![],
                merge: None,
                discard: vec![],
            }),
        })
    }

    fn discard(&mut self, plan: Plan, now: ClockReading) -> Action {
        if plan.change.discard.is_empty() {
            return self.swap(plan, now);
        }
        let discarded = plan.change.discard.iter();
        let keys = discarded
            .map(|id| segment_key(&self.channel, *id))
            .collect();
        self.state = State::Discarding(plan);
        Action::Delete(keys)
    }

    fn swap(&mut self, plan: Plan, now: ClockReading) -> Action {
        if let Base::Nothing { seen } = plan.base {
            let holds_lease = self.lease.is_some_and(|lease| lease.is_current(now.wall));
            let holds_lease = holds_lease || is_active(Mutant::CreatesUnasked);
            let age = now.monotonic.saturating_duration_since(seen);
            if age > CREATE_WITHIN || !holds_lease {
                return self.read();
            }
        }
        match plan.change.head.encode() {
            Ok(bytes) => {
                self.unsettled = Some(plan);
                self.state = State::Swapping;
                Action::Swap(bytes)
            }
            Err(error) => self.cannot_encode(&error),
        }
    }

    fn swapped(&mut self, result: Result<(), SwapError>, now: ClockReading) -> Action {
        match (result, self.unsettled.take()) {
            (Ok(()), Some(plan)) if matches!(plan.base, Base::Head { .. }) => self.committed(plan),
            // The store may report success to two creators, of which only one succeeded.
            (Ok(()), plan) => {
                self.unsettled = plan;
                self.read()
            }
            (Err(SwapError::Lost), plan) => {
                self.unsettled = plan;
                self.back_off(now)
            }
            (Err(SwapError::Store(error)), plan) => {
                self.unsettled = plan;
                self.retry_after(error, now)
            }
            (Err(SwapError::Exhausted), plan) => Action::Failed(match plan {
                Some(plan) if plan.tried_before => {
                    let detail = "there was no swap left to try it again".to_owned();
                    CommitError::OutcomeUnknown(detail)
                }
                _ => CommitError::Contended,
            }),
        }
    }

    fn committed(&mut self, plan: Plan) -> Action {
        let pending = &plan.change.head.pending_deletes;
        if self.request != Request::Purge || pending.is_empty() {
            return Action::Done(plan.outcomes);
        }
        let keys = pending
            .iter()
            .map(|pending| segment_key(&self.channel, pending.segment))
            .collect();
        self.state = State::Clearing(plan.outcomes);
        Action::Delete(keys)
    }

    fn retry_after(&mut self, error: StoreError, now: ClockReading) -> Action {
        self.last_error = Some(error);
        self.back_off(now)
    }

    fn back_off(&mut self, now: ClockReading) -> Action {
        // A swap whose outcome is open deserves a last read of the head, however late it is.
        let timeout = if self.unsettled.is_some() {
            TIMEOUT.saturating_mul(2)
        } else {
            TIMEOUT
        };
        if now.monotonic.saturating_duration_since(self.started) > timeout {
            return self.give_up();
        }
        let random = self.random.u64(..);
        self.retry.back_off(self.last_error.is_some(), random);
        if self.unsettled.is_some() && self.retry.outlasts_recent_commits() {
            self.state = State::Settling;
            return Action::Read;
        }
        self.sleep()
    }

    fn give_up(&mut self) -> Action {
        let error = self.last_error.take();
        Action::Failed(match (&self.unsettled, error) {
            (Some(_), Some(error)) => CommitError::OutcomeUnknown(error.to_string()),
            (Some(_), None) => {
                CommitError::OutcomeUnknown("the head could not be read again".to_owned())
            }
            (None, Some(error)) => CommitError::Store(error),
            (None, None) if self.lost_swaps > 0 => CommitError::Contended,
            (None, None) => CommitError::Timeout,
        })
    }
}

#[cfg(test)]
mod tests;
