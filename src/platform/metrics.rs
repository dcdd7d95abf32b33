//! Counts what happens in this instance, and writes the counts to the store.
//!
//! While an instance has something to do, one of its tasks writes every so often; when nothing has
//! happened for a second, it writes what is left and gives the slot back. It never writes twice within
//! the interval.

use std::cell::{Cell, RefCell};

use spin_sdk::wasip3::spawn;

use crate::core::log::SwapError;
use crate::core::metrics::{
    BLOCKS, Call, CallOutcome, Counter, Histogram, Recorder, Slot, block, probe, slot_creation_key,
    slot_key,
};
use crate::core::time::Instant;
use crate::platform::{clock, config, log, random, store};

/// How often the task looks whether anything has happened, in milliseconds.
const LOOK_MILLIS: u64 = 1_000;

/// How often a slot is looked at to claim one.
const LOOKS: u32 = 24;

/// How many slots an instance claims and gives back. The next it keeps: Spin gives an instance 256
/// swaps in its life, and its commits and limits need 228.
const CLAIMS: u32 = 20;

/// How often an idle instance tries to write before it gives up what it has counted.
const LAST_TRIES: u32 = 3;

thread_local! {
    static RECORDER: RefCell<Recorder> = RefCell::new(Recorder::new(random::u64().max(1)));
    static STATE: Cell<State> = const { Cell::new(State {
        active: 0,
        begun: 0,
        written: None,
        slot: None,
        claims: 0,
        is_watched: false,
    }) };
}

#[derive(Clone, Copy)]
struct State {
    /// How many requests and streams there are.
    active: u64,
    /// How many there have been.
    begun: u64,
    /// When the store was last asked to write.
    written: Option<Instant>,
    /// The slot that this instance has.
    slot: Option<u32>,
    /// How often it has claimed one.
    claims: u32,
    /// Whether there is a task that writes.
    is_watched: bool,
}

fn state<T>(change: impl FnOnce(&mut State) -> T) -> T {
    let mut state = STATE.get();
    let result = change(&mut state);
    STATE.set(state);
    result
}

/// Counts so many.
pub fn count(counter: Counter, count: u64) {
    if count > 0 {
        RECORDER.with_borrow_mut(|recorder| recorder.add(counter, count));
    }
}

/// Counts a value.
pub fn observe(histogram: Histogram, value: u64) {
    RECORDER.with_borrow_mut(|recorder| recorder.observe(histogram, value));
}

/// Counts a call of the store that took so many microseconds.
pub(super) fn called(call: Call, outcome: CallOutcome, micros: u64) {
    RECORDER.with_borrow_mut(|recorder| {
        recorder.add(Counter::StoreCalls(call, outcome), 1);
        recorder.observe(Histogram::Store(call), micros);
    });
}

/// Something that this instance is doing, until it is dropped.
#[derive(Debug)]
pub struct Activity(());

impl Activity {
    /// Begins a request, which is counted from now on. Only within a request's own task.
    #[must_use]
    pub fn begin() -> Self {
        let is_watched = state(|state| {
            state.active = state.active.saturating_add(1);
            state.begun = state.begun.saturating_add(1);
            std::mem::replace(&mut state.is_watched, true)
        });
        if !is_watched {
            spawn(watch());
        }
        Self(())
    }
}

impl Drop for Activity {
    fn drop(&mut self) {
        state(|state| state.active = state.active.saturating_sub(1));
    }
}

/// An event stream that is open, until it is dropped.
#[derive(Debug)]
pub struct OpenStream(Activity);

impl OpenStream {
    /// Counts a stream as open.
    #[must_use]
    pub fn begin() -> Self {
        RECORDER.with_borrow_mut(|recorder| {
            recorder.add(Counter::StreamsOpened, 1);
            recorder.stream_opened();
        });
        Self(Activity::begin())
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        RECORDER.with_borrow_mut(Recorder::stream_ended);
    }
}

/// Writes until the instance has nothing to do.
async fn watch() {
    let interval = match config::metrics_interval().await {
        Ok(Some(interval)) => interval,
        Ok(None) => return,
        Err(error) => return log::error("configuration_bad", None, error),
    };
    let born = clock::monotonic();
    let mut seen = 0;
    let mut last_tries = 0;
    loop {
        clock::sleep_millis(LOOK_MILLIS).await;
        let State {
            active,
            begun,
            written,
            ..
        } = STATE.get();
        let is_idle = active == 0 && begun == seen;
        seen = begun;
        let rested = |since: Instant| clock::monotonic().since(since) >= interval;
        if !written.map_or(is_idle || rested(born), rested) {
            continue;
        }
        let is_written = write(is_idle && STATE.get().claims < CLAIMS).await;
        last_tries = u32::from(is_idle).saturating_add(last_tries);
        let is_over = is_idle && STATE.get().begun == seen;
        if is_over && (is_written || last_tries >= LAST_TRIES) {
            return state(|state| state.is_watched = false);
        }
    }
}

/// Writes what was counted; whether it is written. With `gives_back` the slot is free for others.
async fn write(gives_back: bool) -> bool {
    if STATE.get().slot.is_none() && RECORDER.with_borrow(Recorder::is_clean) {
        return true;
    }
    state(|state| state.written = Some(clock::monotonic()));
    let written = match STATE.get().slot {
        Some(slot) => match renew(slot, gives_back).await {
            Ok(true) => Ok(true),
            Ok(false) => claim(gives_back),
            Err(error) => Err(error),
        },
        None => claim(gives_back),
    };
    written.unwrap_or_else(|error| {
        log::error("metrics_failed", None, error);
        false
    })
}

/// Writes the slot that this instance has; `false` if it is another's by now.
async fn renew(slot: u32, gives_back: bool) -> Result<bool, String> {
    let key = slot_key(slot);
    let stored = decode(store::get(&key).await?)?;
    let Some(value) = next(stored, gives_back) else {
        state(|state| state.slot = None);
        return Ok(false);
    };
    store::set(&key, &value.encode()?).await?;
    wrote(slot, gives_back);
    Ok(true)
}

/// Claims a slot and writes it, by one swap; `false` if none could be had. A slot whose creator dies
/// before it has written stays empty for good; there are hundreds.
fn claim(gives_back: bool) -> Result<bool, String> {
    let mut tried = 0;
    let mut again = None;
    for _ in 0..LOOKS {
        let Some(slot) = again.or_else(|| probe(tried, random::u64())) else {
            return Ok(false);
        };
        let (cas, stored) = store::Cas::read(&slot_key(slot))?;
        // Of several who swap a value that is not there, a store may let all win, so one is chosen.
        let is_others = stored.is_none() && store::increment(&slot_creation_key(slot))? != 1;
        let value = match is_others {
            true => None,
            false => next(decode(stored)?, gives_back),
        };
        let Some(value) = value else {
            again = None;
            tried = tried.saturating_add(1);
            continue;
        };
        // If this is said to fail, the slot tells whether it did.
        state(|state| {
            state.slot = Some(slot);
            state.claims = state.claims.saturating_add(1);
        });
        match cas.swap(&value.encode()?) {
            Ok(()) => {
                wrote(slot, gives_back);
                return Ok(true);
            }
            Err(SwapError::Lost) => again = Some(slot),
            Err(SwapError::Spent) => {
                state(|state| state.slot = None);
                return Ok(false);
            }
            Err(SwapError::Store(error)) => return Err(error),
        }
    }
    Ok(false)
}

fn decode(stored: Option<bytes::Bytes>) -> Result<Slot, String> {
    stored.map_or_else(|| Ok(Slot::default()), |bytes| Slot::decode(&bytes))
}

fn next(stored: Slot, gives_back: bool) -> Option<Slot> {
    let now = clock::now().wall;
    RECORDER.with_borrow_mut(|recorder| recorder.write(stored, now, gives_back))
}

fn wrote(slot: u32, gives_back: bool) {
    RECORDER.with_borrow_mut(Recorder::wrote);
    state(|state| state.slot = (!gives_back).then_some(slot));
}

/// The slots of all instances that there are, or were. Waits for the store.
///
/// # Errors
/// What the store said, or why a value of it is no slot.
pub fn slots() -> Result<Vec<Slot>, String> {
    let mut slots = vec![];
    for number in 0..BLOCKS {
        let keys: Vec<_> = block(number).map(slot_key).collect();
        let before = slots.len();
        for value in store::get_many(&keys)?.into_iter().flatten() {
            slots.push(Slot::decode(&value)?);
        }
        if slots.len() == before {
            break;
        }
    }
    Ok(slots)
}
