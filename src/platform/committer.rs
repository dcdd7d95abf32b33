//! Carries commits out against the store.

use crate::core::channel::Channel;
use crate::core::log::{
    Appended, Commit, Event, Failure, Refused, Retention, SwapError, Task, Work, create_key,
    head_key,
};
use crate::platform::{clock, random, store};

/// Commits `work` to the log of `channel` and says what became of it.
///
/// # Errors
/// Why the commit was given up.
pub async fn commit(
    channel: &Channel,
    work: Work,
    retention: Retention,
) -> Result<Vec<Result<Appended, Refused>>, Failure> {
    let mut commit = Commit::new(
        channel.clone(),
        work,
        retention,
        random::u64(),
        clock::mono(),
    );
    let mut swap = None;
    let mut task = Task::Read;
    loop {
        let event = match task {
            Task::Read => Event::Read(store::Cas::read(&head_key(channel)).map(|(cas, value)| {
                swap = Some(cas);
                value
            })),
            Task::Claim => Event::Claimed(store::increment(&create_key(channel))),
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
            Task::Done(answers) => return Ok(answers),
            Task::Failed(failure) => return Err(failure),
        };
        task = commit.step(event, clock::now());
    }
}
