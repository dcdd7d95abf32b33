//! Publishers, and one that purges.

use bytes::Bytes;

use super::checker::{Checker, Told};
use super::store::{Answer, Call};
use super::world::{Next, Scene};
use crate::core::log::{
    Action, AppendError, Batch, ClockReading, Commit, CommitError, Completion, IdempotencyKey,
    NewEvent, Request, create_key, head_key,
};

/// What a publisher's events are like, and how often it does what it does seldom.
#[derive(Clone, Copy)]
pub(super) struct Habits {
    /// An event has fewer bytes than this, …
    pub(super) bytes: usize,
    /// … but one in so many has [`LARGE_BYTES`].
    pub(super) large_one_in: u32,
    /// One in so many batches closes the channel.
    pub(super) closes_one_in: u32,
    /// One that purges does so at least this often, in milliseconds.
    pub(super) purge_millis: u64,
}

/// More than a segment, which such an event is by itself.
pub(super) const LARGE_BYTES: usize = 17_000;

impl Habits {
    /// Everything happens within a few commits.
    pub(super) const OF_MANY_KINDS: Self = Self {
        bytes: 3_000,
        large_one_in: 8,
        closes_one_in: 100,
        purge_millis: 3_000,
    };
}

/// An instance that commits one group after another.
pub(super) struct Publisher {
    pub(super) name: usize,
    pub(super) purges: bool,
    left: u32,
    made: u64,
    commit: Option<Commit>,
    /// The batches of the commit, as the checker knows them.
    group: Vec<usize>,
    /// Batches whose outcome is unknown and that can safely be published again.
    again: Vec<usize>,
    expected: Option<Bytes>,
    habits: Habits,
}

impl Publisher {
    pub(super) fn new(name: usize, purges: bool, commits: u32, habits: Habits) -> Self {
        Self {
            name,
            purges,
            left: commits,
            made: 0,
            commit: None,
            group: vec![],
            again: vec![],
            expected: None,
            habits,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.left == 0 && self.commit.is_none()
    }

    /// One more commit, to be made at rest.
    pub(super) fn once_more(&mut self) {
        self.left = 1;
        self.purges = false;
    }

    /// No commits after the one that is being made.
    pub(super) fn stop(&mut self) {
        self.left = 0;
    }

    /// The instance dies; what it was doing remains unknown to those who waited for it.
    pub(super) fn crash(&mut self, checker: &mut Checker) {
        for batch in self.group.drain(..) {
            checker.tell(batch, Told::Unknown);
            if checker.batch(batch).keyed {
                self.again.push(batch);
            }
        }
        self.commit = None;
    }

    /// Time has passed, or the store has answered.
    pub(super) fn step(
        &mut self,
        answer: Option<Answer>,
        now: ClockReading,
        scene: &mut Scene,
    ) -> Next {
        let Scene {
            channel,
            retention,
            random,
            checker,
            stats,
            ..
        } = scene;
        let (channel, retention) = (&*channel, *retention);
        let task = match (&mut self.commit, answer) {
            (None, _) if self.left == 0 => return Next::Rest,
            (None, _) => {
                self.left -= 1;
                let work = if self.purges {
                    Request::Purge
                } else {
                    Request::Append(self.group(checker, random))
                };
                let commit = Commit::new(
                    channel.clone(),
                    work,
                    retention,
                    random.u64(..),
                    now.monotonic,
                );
                self.commit = Some(commit.with_restraint(random.u64(1..=25)));
                Action::Read
            }
            (Some(commit), None) => commit.step(Completion::Slept, now),
            (Some(commit), Some(answer)) => {
                let event = match (answer, &mut self.expected) {
                    (Answer::Value(value), expected) => {
                        *expected = value.clone().unwrap_or_default();
                        Completion::Read(value)
                    }
                    (Answer::Count(count), _) => Completion::Claimed(count),
                    (Answer::Swapped(swapped), _) => Completion::Swapped(swapped),
                    (Answer::Done(done), _) => Completion::Stored(done),
                    (Answer::Values(_), _) => unreachable!("publishers read no segments"),
                };
                commit.step(event, now)
            }
        };
        match task {
            Action::Read => Next::Call(Call::ReadForSwap(head_key(channel))),
            Action::CreationLease(turn) => Next::Call(Call::Increment(create_key(channel, turn))),
            Action::Write(values) => Next::Call(Call::SetAll(values)),
            Action::Delete(keys) => Next::Call(Call::DeleteAll(keys)),
            Action::Swap(value) => {
                let key = head_key(channel);
                Next::Call(Call::Swap {
                    key,
                    expected: self.expected.clone(),
                    value: value.into(),
                })
            }
            Action::Sleep(millis) => Next::Sleep(millis),
            Action::Done(answers) => {
                stats.purges += u64::from(self.purges);
                for (batch, answer) in std::mem::take(&mut self.group).into_iter().zip(answers) {
                    stats.repeated += u64::from(answer.is_ok_and(|appended| appended.repeated));
                    checker.tell(
                        batch,
                        match answer {
                            Ok(appended) => Told::Appended(appended),
                            Err(AppendError::Closed) => Told::Closed,
                            Err(AppendError::KeyReused) => unreachable!("no key is used twice"),
                        },
                    );
                }
                self.pause(random)
            }
            Action::Failed(failure) => {
                let told = match failure {
                    CommitError::Contended | CommitError::Store(_) | CommitError::Away(_) => {
                        Told::NotAppended
                    }
                    CommitError::Unknown(_) => Told::Unknown,
                    CommitError::Format(error) => unreachable!("{error}"),
                };
                stats.failures += 1;
                for batch in std::mem::take(&mut self.group) {
                    checker.tell(batch, told);
                    if checker.batch(batch).keyed {
                        self.again.push(batch);
                    }
                }
                self.pause(random)
            }
        }
    }

    fn pause(&mut self, random: &mut fastrand::Rng) -> Next {
        self.commit = None;
        let longest = if self.purges {
            self.habits.purge_millis
        } else {
            60
        };
        Next::Sleep(random.u64(1..=longest))
    }

    /// Some new batches, and those to be repeated.
    fn group(&mut self, checker: &mut Checker, random: &mut fastrand::Rng) -> Vec<Batch> {
        let habits = self.habits;
        let mut group: Vec<_> = std::mem::take(&mut self.again);
        for _ in 0..random.u8(1..=3) {
            let events = (0..random.u8(1..=3)).map(|_| {
                self.made += 1;
                format!("{}/{}", self.name, self.made)
            });
            let events = events.collect();
            group.push(checker.publish(events, random.bool()));
        }
        self.group = group;
        let batches = self.group.iter().map(|&batch| {
            let published = checker.batch(batch);
            let events = published.events.iter().map(|token| {
                let filler = if random.u32(..habits.large_one_in) == 0 {
                    LARGE_BYTES
                } else {
                    random.usize(..habits.bytes)
                };
                NewEvent {
                    event_type: None,
                    data: format!("{token} {}", "x".repeat(filler)),
                    trace: None,
                }
            });
            let events = events.collect();
            let key = |place: usize| (batch as u128 * 2 + place as u128).to_le_bytes();
            Batch {
                events,
                close: random.u32(..habits.closes_one_in) == 0,
                repeat: published.keyed.then(|| IdempotencyKey {
                    key: key(0),
                    content: key(1),
                }),
            }
        });
        batches.collect()
    }
}
