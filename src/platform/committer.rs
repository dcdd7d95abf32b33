//! Carries commits out against the store.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::core::channel::Channel;
use crate::core::log::{
    Action, Answer, Batch, Commit, CommitError, CommitQueue, Completion, Contention, GroupLeader,
    Outcome, Request, Retention, SwapError, Ticket, create_key, head_key,
};
use crate::core::metrics::{Counter, Histogram};
use crate::platform::{clock, limiter, metrics, random, store};

thread_local! {
    static QUEUES: RefCell<HashMap<Channel, CommitQueue>> = RefCell::new(HashMap::new());
}

/// Appends a batch, in one commit with those that others append to the channel at the same time.
///
/// # Errors
/// Why the commit was given up.
pub async fn append(channel: &Channel, batch: Batch, retention: Retention) -> Answer {
    let mut member = QueuedBatch::join(channel, batch);
    loop {
        if let Some(answer) = member.in_lane(CommitQueue::answer).flatten() {
            return answer;
        }
        let now = clock::monotonic();
        if let Some(lead) = member
            .in_lane(|queue, place| queue.lead(place, now))
            .flatten()
        {
            member.commit(lead, retention).await;
        } else if let Some(then) = member.in_lane(|queue, place| queue.look_again(place, now)) {
            clock::sleep_until(then).await;
        }
    }
}

/// Begins a new log.
///
/// # Errors
/// Why the commit was given up.
pub async fn purge(channel: &Channel, retention: Retention) -> Result<(), CommitError> {
    commit(channel, Request::Purge, retention).await.0.map(drop)
}

/// A publisher in the queue of its channel, until it is dropped.
struct QueuedBatch<'a> {
    channel: &'a Channel,
    place: Ticket,
    /// The group it is committing.
    leads: Option<u64>,
}

impl<'a> QueuedBatch<'a> {
    fn join(channel: &'a Channel, batch: Batch) -> Self {
        let now = clock::monotonic();
        let place = QUEUES
            .with_borrow_mut(|queues| queues.entry(channel.clone()).or_default().join(batch, now));
        Self {
            channel,
            place,
            leads: None,
        }
    }

    fn in_lane<T>(&self, act: impl FnOnce(&mut CommitQueue, &Ticket) -> T) -> Option<T> {
        QUEUES.with_borrow_mut(|queues| Some(act(queues.get_mut(self.channel)?, &self.place)))
    }

    async fn commit(&mut self, lead: GroupLeader, retention: Retention) {
        self.leads = Some(lead.group());
        let work = Request::Append(lead.batches);
        let (outcome, contention) = commit(self.channel, work, retention).await;
        let answers = outcome.iter().flatten().flatten();
        let appended = answers.filter(|appended| !appended.repeated);
        let events = appended.map(|appended| appended.count);
        match events.fold(0, u64::saturating_add) {
            0 => {}
            events => metrics::observe(Histogram::CommitEvents, events),
        }
        self.finish(outcome, contention);
    }

    fn finish(&mut self, outcome: Outcome, contention: Contention) {
        if let Some(group) = self.leads.take() {
            self.in_lane(|queue, _| queue.finish(group, outcome, contention));
        }
    }
}

impl Drop for QueuedBatch<'_> {
    fn drop(&mut self) {
        // Dropped in mid-commit, it must not leave the others waiting.
        self.finish(
            Err(CommitError::Unknown("the commit was abandoned".to_owned())),
            Contention::default(),
        );
        self.in_lane(|queue, place| queue.leave(place));
    }
}

/// Commits `work` to the log of `channel` and says what became of it, and who was in the way.
/// The store is not asked while it is known to fail.
async fn commit(channel: &Channel, work: Request, retention: Retention) -> (Outcome, Contention) {
    if let Err(millis) = limiter::circuit(|circuit| circuit.enter(clock::monotonic())) {
        return (Err(CommitError::Away(millis)), Contention::default());
    }
    let (outcome, contention) = carry_out(channel, work, retention).await;
    metrics::count(Counter::SwapConflicts, contention.lost_swaps);
    limiter::circuit(|circuit| match &outcome {
        Err(CommitError::Store(_) | CommitError::Unknown(_)) => {
            circuit.failed(clock::monotonic(), random::u64());
        }
        _ => circuit.works(),
    });
    (outcome, contention)
}

async fn carry_out(
    channel: &Channel,
    work: Request,
    retention: Retention,
) -> (Outcome, Contention) {
    let mut commit = Commit::new(
        channel.clone(),
        work,
        retention,
        random::u64(),
        clock::monotonic(),
    )
    .with_restraint(store::restraint());
    let mut swap = None;
    let mut task = Action::Read;
    loop {
        let event = match task {
            Action::Read => {
                Completion::Read(store::Cas::read(&head_key(channel)).map(|(cas, value)| {
                    swap = Some(cas);
                    value
                }))
            }
            Action::CreationLease(turn) => {
                Completion::Claimed(store::increment(&create_key(channel, turn)))
            }
            Action::Write(values) => Completion::Stored(store::set_many(values)),
            Action::Delete(keys) => Completion::Stored(store::delete_many(&keys)),
            Action::Swap(value) => Completion::Swapped(match swap.take() {
                Some(cas) => cas.swap(&value),
                None => Err(SwapError::Lost),
            }),
            Action::Sleep(millis) => {
                clock::sleep_millis(millis).await;
                Completion::Slept
            }
            Action::Done(answers) => return (Ok(answers), commit.contention()),
            Action::Failed(failure) => return (Err(failure), commit.contention()),
        };
        task = commit.step(event, clock::now());
    }
}
