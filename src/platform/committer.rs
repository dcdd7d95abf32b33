//! Carries commits out against the store.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::core::channel::Channel;
use crate::core::log::{
    Answer, Batch, Commit, Contention, Event, Failure, Lane, Lead, Outcome, Place, Retention,
    SwapError, Task, Work, create_key, head_key,
};
use crate::core::metrics::{Counter, Histogram};
use crate::platform::{clock, limiter, metrics, random, store};

thread_local! {
    static LANES: RefCell<HashMap<Channel, Lane>> = RefCell::new(HashMap::new());
}

/// Appends a batch, in one commit with those that others append to the channel at the same time.
///
/// # Errors
/// Why the commit was given up.
pub async fn append(channel: &Channel, batch: Batch, retention: Retention) -> Answer {
    let mut member = Member::join(channel, batch);
    loop {
        if let Some(answer) = member.in_lane(Lane::answer).flatten() {
            return answer;
        }
        let now = clock::mono();
        if let Some(lead) = member
            .in_lane(|lane, place| lane.lead(place, now))
            .flatten()
        {
            member.commit(lead, retention).await;
        } else if let Some(then) = member.in_lane(|lane, place| lane.look_again(place, now)) {
            clock::sleep_until(then).await;
        }
    }
}

/// Begins a new log.
///
/// # Errors
/// Why the commit was given up.
pub async fn purge(channel: &Channel, retention: Retention) -> Result<(), Failure> {
    commit(channel, Work::Purge, retention).await.0.map(drop)
}

/// A publisher in the lane of its channel, until it is dropped.
struct Member<'a> {
    channel: &'a Channel,
    place: Place,
    /// The group it is committing.
    leads: Option<u64>,
}

impl<'a> Member<'a> {
    fn join(channel: &'a Channel, batch: Batch) -> Self {
        let now = clock::mono();
        let place = LANES
            .with_borrow_mut(|lanes| lanes.entry(channel.clone()).or_default().join(batch, now));
        Self {
            channel,
            place,
            leads: None,
        }
    }

    fn in_lane<T>(&self, act: impl FnOnce(&mut Lane, &Place) -> T) -> Option<T> {
        LANES.with_borrow_mut(|lanes| Some(act(lanes.get_mut(self.channel)?, &self.place)))
    }

    async fn commit(&mut self, lead: Lead, retention: Retention) {
        self.leads = Some(lead.group());
        let work = Work::Append(lead.batches);
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
            self.in_lane(|lane, _| lane.finish(group, outcome, contention));
        }
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        // Dropped in mid-commit, it must not leave the others waiting.
        self.finish(
            Err(Failure::Unknown("the commit was abandoned".to_owned())),
            Contention::default(),
        );
        self.in_lane(|lane, place| lane.leave(place));
    }
}

/// Commits `work` to the log of `channel` and says what became of it, and who was in the way.
/// The store is not asked while it is known to fail.
async fn commit(channel: &Channel, work: Work, retention: Retention) -> (Outcome, Contention) {
    if let Err(millis) = limiter::circuit(|circuit| circuit.enter(clock::mono())) {
        return (Err(Failure::Away(millis)), Contention::default());
    }
    let (outcome, contention) = carry_out(channel, work, retention).await;
    metrics::count(Counter::SwapConflicts, contention.lost_swaps);
    limiter::circuit(|circuit| match &outcome {
        Err(Failure::Store(_) | Failure::Unknown(_)) => {
            circuit.failed(clock::mono(), random::u64());
        }
        _ => circuit.works(),
    });
    (outcome, contention)
}

async fn carry_out(channel: &Channel, work: Work, retention: Retention) -> (Outcome, Contention) {
    let mut commit = Commit::new(
        channel.clone(),
        work,
        retention,
        random::u64(),
        clock::mono(),
    )
    .with_restraint(store::restraint());
    let mut swap = None;
    let mut task = Task::Read;
    loop {
        let event = match task {
            Task::Read => Event::Read(store::Cas::read(&head_key(channel)).map(|(cas, value)| {
                swap = Some(cas);
                value
            })),
            Task::Claim(turn) => Event::Claimed(store::increment(&create_key(channel, turn))),
            Task::Write(values) => Event::Stored(store::set_many(values)),
            Task::Delete(keys) => Event::Stored(store::delete_many(&keys)),
            Task::Swap(value) => Event::Swapped(match swap.take() {
                Some(cas) => cas.swap(&value),
                None => Err(SwapError::Lost),
            }),
            Task::Sleep(millis) => {
                clock::sleep_millis(millis).await;
                Event::Slept
            }
            Task::Done(answers) => return (Ok(answers), commit.contention()),
            Task::Failed(failure) => return (Err(failure), commit.contention()),
        };
        task = commit.step(event, clock::now());
    }
}
