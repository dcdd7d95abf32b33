//! Carries the limits out: leases out of the store, spent in the memory of the instance.

use std::cell::{Cell, RefCell};

use crate::core::limit::{Circuit, Decision, GcraSlot, Leases, Rate, RateKey};
use crate::core::log::SwapError;
use crate::platform::{clock, log, random, store};

/// How often a lost swap is tried again.
const ATTEMPTS: u32 = 8;

/// The longest wait before that, in milliseconds.
const LOST_MILLIS: u64 = 8;

/// How many swaps of an instance are for limits. Spin gives an instance 256 in its life, and its 128
/// requests need one each to commit.
const SWAPS: u32 = 100;

thread_local! {
    static LEASES: RefCell<Leases> = RefCell::default();
    static SWAPPED: Cell<u32> = const { Cell::new(0) };
    static CIRCUIT: RefCell<Circuit> = RefCell::default();
}

/// Asks for something of the circuit before the store.
pub fn circuit<T>(ask: impl FnOnce(&mut Circuit) -> T) -> T {
    CIRCUIT.with_borrow_mut(ask)
}

/// Spends a permit of `subject`, taking a lease by compare-and-swap if there is none: for the
/// component that publishes. A lease that cannot be taken because the store fails is not missed, for
/// the commit that follows needs the same store.
///
/// # Errors
/// In how many milliseconds there will be a permit.
pub async fn publishers(subject: RateKey, rate: Option<Rate>) -> Result<(), u64> {
    let Some(rate) = rate else { return Ok(()) };
    for _ in 0..ATTEMPTS {
        let wanted = match spend(subject, rate) {
            Decision::Spent => return Ok(()),
            Decision::Refused(millis) => return Err(millis),
            Decision::Take(wanted) => wanted,
        };
        if circuit(|circuit| circuit.is_open()) {
            return Ok(());
        }
        if SWAPPED.get() >= SWAPS {
            return take_unsafely(subject, rate, wanted).await;
        }
        match take(subject, rate, wanted) {
            Ok(answer) => return answer,
            Err(SwapError::Lost) => {
                clock::sleep_millis((random::u64() % LOST_MILLIS).saturating_add(1)).await;
            }
            Err(SwapError::Spent) => return take_unsafely(subject, rate, wanted).await,
            Err(SwapError::Store(error)) => {
                circuit(|circuit| circuit.failed(clock::monotonic(), random::u64()));
                return allow(&error);
            }
        }
    }
    Err(1_000)
}

/// The same for subscribers, which are not to stop the instance: their slots are read and then
/// written, so that those who do so in the same moment count as one.
///
/// # Errors
/// In how many milliseconds there will be a permit.
pub async fn subscribers(subject: RateKey, rate: Option<Rate>) -> Result<(), u64> {
    let Some(rate) = rate else { return Ok(()) };
    match spend(subject, rate) {
        Decision::Spent => Ok(()),
        Decision::Refused(millis) => Err(millis),
        Decision::Take(wanted) => take_unsafely(subject, rate, wanted).await,
    }
}

fn spend(subject: RateKey, rate: Rate) -> Decision {
    LEASES.with_borrow_mut(|leases| leases.spend(subject, rate, clock::monotonic()))
}

/// Takes a lease and spends a permit of it; `Ok(Err(_))` if there is none to take.
fn take(subject: RateKey, rate: Rate, wanted: u64) -> Result<Result<(), u64>, SwapError> {
    let (cas, value) = store::Cas::read(&subject.slot_key()).map_err(SwapError::Store)?;
    let mut slot = GcraSlot::decode(&value.unwrap_or_default());
    let taken = slot.take(subject, rate, wanted, clock::now().wall);
    if taken.is_ok() {
        cas.swap(&slot.encode())?;
        SWAPPED.set(SWAPPED.get().saturating_add(1));
    }
    // Swaps sort out those who ask together.
    Ok(remember(subject, rate, (wanted, taken), 0))
}

/// Takes a lease, or what looks like one.
async fn take_unsafely(subject: RateKey, rate: Rate, wanted: u64) -> Result<(), u64> {
    let key = subject.slot_key();
    let value = match store::get(&key).await {
        Ok(value) => value,
        Err(error) => return allow(&error),
    };
    let mut slot = GcraSlot::decode(&value.unwrap_or_default());
    let taken = slot.take(subject, rate, wanted, clock::now().wall);
    if taken.is_ok()
        && let Err(error) = store::set(&key, &slot.encode()).await
    {
        return allow(&error);
    }
    remember(subject, rate, (wanted, taken), random::u64())
}

fn remember(
    subject: RateKey,
    rate: Rate,
    (wanted, taken): (u64, Result<u64, u64>),
    random: u64,
) -> Result<(), u64> {
    let now = clock::monotonic();
    LEASES.with_borrow_mut(|leases| match taken {
        Ok(taken) => {
            leases.leased(subject, rate, (wanted, taken), random, now);
            Ok(())
        }
        Err(millis) => {
            leases.refused(subject, rate, millis, random, now);
            Err(millis)
        }
    })
}

/// Lets a request pass although the store fails.
fn allow(error: &str) -> Result<(), u64> {
    log::error("limit_failed", None, error);
    Ok(())
}
