//! The limiter of an instance: takes leases out of the store and spends them in memory.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::num::NonZeroU64;
use std::rc::Rc;
use std::time::Duration;

use super::{Decision, GcraBucket, Leases, Rate, RateKey, RetryAfter, Verdicts};
use crate::core::environment::Environment;
use crate::core::logging::Logger;
use crate::core::store::{KeyValueStore, StoreClient, StoreError, SwapError};
use crate::core::time::millis;

/// The number of attempts to take a lease by compare-and-swap.
const ATTEMPTS: u32 = 8;

/// The longest wait between two attempts.
const MAX_RETRY_DELAY: Duration = Duration::from_millis(8);

/// The refusal when all attempts have lost to other instances.
const CONTENDED: RetryAfter = RetryAfter(Duration::from_secs(1));

/// The largest number of swaps that an instance uses for limits. Spin grants an instance 256 swaps in its
/// lifetime, and its 128 requests need one each to commit.
const SWAP_BUDGET: u32 = 100;

/// The limiter of an instance. Clones are handles to the same limiter.
pub struct Limiter<E, S>(Rc<Shared<E, S>>);

struct Shared<E, S> {
    env: E,
    store: StoreClient<E, S>,
    logger: Logger<E>,
    leases: RefCell<Leases>,
    verdicts: RefCell<Verdicts>,
    /// The number of leases taken by compare-and-swap.
    swaps: Cell<u32>,
}

impl<E, S> Clone for Limiter<E, S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<E, S> fmt::Debug for Limiter<E, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limiter").finish_non_exhaustive()
    }
}

/// An attempt to take a lease by compare-and-swap that failed.
enum TakeError {
    Refused(RetryAfter),
    Swap(SwapError),
}

impl From<SwapError> for TakeError {
    fn from(error: SwapError) -> Self {
        Self::Swap(error)
    }
}

impl<E: Environment, S: KeyValueStore> Limiter<E, S> {
    /// Creates a limiter without leases.
    #[must_use]
    pub fn new(env: E, store: StoreClient<E, S>, logger: Logger<E>) -> Self {
        Self(Rc::new(Shared {
            env,
            store,
            logger,
            leases: RefCell::default(),
            verdicts: RefCell::default(),
            swaps: Cell::new(0),
        }))
    }

    /// Spends a permit of `key`. If there is none, takes a lease by compare-and-swap, so that the rate
    /// holds across instances. While the store fails, requests pass.
    ///
    /// For publishers: a swap blocks the instance, as the commit that follows does.
    ///
    /// # Errors
    /// If the rate is exceeded.
    pub async fn acquire(&self, key: RateKey, rate: Option<Rate>) -> Result<(), RetryAfter> {
        let Some(rate) = rate else { return Ok(()) };
        let Shared { env, store, .. } = &*self.0;
        for _ in 0..ATTEMPTS {
            let wanted = match self.spend(key, rate) {
                Decision::Allowed => return Ok(()),
                Decision::Refused(retry_after) => return Err(retry_after),
                Decision::TakeLease(wanted) => wanted,
            };
            if store.circuit(|circuit| circuit.is_open()) {
                return Ok(());
            }
            if self.0.swaps.get() >= SWAP_BUDGET {
                return self.take_without_swap(key, rate, wanted).await;
            }
            match self.take_by_swap(key, rate, wanted).await {
                Ok(()) => return Ok(()),
                Err(TakeError::Refused(retry_after)) => return Err(retry_after),
                Err(TakeError::Swap(SwapError::Lost)) => {
                    env.sleep(retry_delay(env.random())).await;
                }
                Err(TakeError::Swap(SwapError::Exhausted)) => {
                    return self.take_without_swap(key, rate, wanted).await;
                }
                Err(TakeError::Swap(SwapError::Store(error))) => {
                    let (now, random) = (env.now(), env.random());
                    store.circuit(|circuit| circuit.failed(now, random));
                    return self.allow_despite(&error);
                }
            }
        }
        Err(CONTENDED)
    }

    /// Spends a permit of `key` as [`Limiter::acquire`] does, but takes leases by a read and a write, which
    /// do not block the instance. Requests that are decided at the same moment count as one.
    ///
    /// For subscribers.
    ///
    /// # Errors
    /// If the rate is exceeded.
    pub async fn acquire_loosely(
        &self,
        key: RateKey,
        rate: Option<Rate>,
    ) -> Result<(), RetryAfter> {
        let Some(rate) = rate else { return Ok(()) };
        match self.spend(key, rate) {
            Decision::Allowed => Ok(()),
            Decision::Refused(retry_after) => Err(retry_after),
            Decision::TakeLease(wanted) => self.take_without_swap(key, rate, wanted).await,
        }
    }

    /// Returns the refusal of `key` if this instance knows of one. Only [`Limiter::count`] causes any.
    #[must_use]
    pub fn known_refusal(&self, key: RateKey) -> Option<RetryAfter> {
        let now = self.0.env.now();
        self.0.verdicts.borrow().refusal(key, now)
    }

    /// Counts what `key` has done already, such as sending a wrong token.
    ///
    /// One in `Rate::max_lease` is counted for all of them, chosen at random: on average the count is
    /// right however many instances share it, and few calls write to the store. The others read it, unless
    /// a verdict on the key is recent. The key is over its rate if there are no permits for one that is
    /// counted. While the store fails, nothing is refused.
    ///
    /// # Errors
    /// If the rate is exceeded.
    pub async fn count(&self, key: RateKey, rate: Option<Rate>) -> Result<(), RetryAfter> {
        let Some(rate) = rate else { return Ok(()) };
        let Shared { env, store, .. } = &*self.0;
        let weight = NonZeroU64::new(rate.max_lease()).unwrap_or(NonZeroU64::MIN);
        let is_counted = env.random() % weight == 0;
        let is_known = self.0.verdicts.borrow().has(key, env.now());
        if is_known && !is_counted {
            return self.known_refusal(key).map_or(Ok(()), Err);
        }
        let bucket_key = key.bucket_key();
        let value = match store.get(&bucket_key).await {
            Ok(value) => value,
            Err(error) => return self.allow_despite(&error),
        };
        let mut bucket = GcraBucket::decode(&value.unwrap_or_default());
        let wall = env.clock().wall;
        let is_within = |bucket: &GcraBucket| bucket.available(key, rate, wall) >= weight.get();
        if !is_within(&bucket) {
            return Err(self.refuse(key, rate));
        }
        if is_counted {
            // There are as many.
            let _ = bucket.take(key, rate, weight.get(), wall);
            if let Err(error) = store.set(&bucket_key, &bucket.encode()).await {
                return self.allow_despite(&error);
            }
        }
        if is_within(&bucket) {
            let now = env.now();
            self.0.verdicts.borrow_mut().accepted(key, now);
        } else {
            self.refuse(key, rate);
        }
        Ok(())
    }

    /// Refuses the key for a while without asking the store.
    fn refuse(&self, key: RateKey, rate: Rate) -> RetryAfter {
        let (now, random) = (self.0.env.now(), self.0.env.random());
        let mut verdicts = self.0.verdicts.borrow_mut();
        verdicts.refused(key, rate, random, now)
    }

    fn spend(&self, key: RateKey, rate: Rate) -> Decision {
        let now = self.0.env.now();
        self.0.leases.borrow_mut().spend(key, rate, now)
    }

    async fn take_by_swap(&self, key: RateKey, rate: Rate, wanted: u64) -> Result<(), TakeError> {
        let Shared { env, store, .. } = &*self.0;
        let read = store.read_for_swap(&key.bucket_key()).await;
        let (cas, value) = read.map_err(SwapError::Store)?;
        let mut bucket = GcraBucket::decode(&value.unwrap_or_default());
        let taken = bucket.take(key, rate, wanted, env.clock().wall);
        if taken.is_ok() {
            store.swap(cas, &bucket.encode()).await?;
            self.0.swaps.set(self.0.swaps.get().saturating_add(1));
        }
        // Swaps already separate instances that ask together, so no jitter is needed.
        self.remember(key, rate, (wanted, taken), 0)
            .map_err(TakeError::Refused)
    }

    async fn take_without_swap(
        &self,
        key: RateKey,
        rate: Rate,
        wanted: u64,
    ) -> Result<(), RetryAfter> {
        let Shared { env, store, .. } = &*self.0;
        let bucket_key = key.bucket_key();
        let value = match store.get(&bucket_key).await {
            Ok(value) => value,
            Err(error) => return self.allow_despite(&error),
        };
        let mut bucket = GcraBucket::decode(&value.unwrap_or_default());
        let taken = bucket.take(key, rate, wanted, env.clock().wall);
        if taken.is_ok()
            && let Err(error) = store.set(&bucket_key, &bucket.encode()).await
        {
            return self.allow_despite(&error);
        }
        self.remember(key, rate, (wanted, taken), env.random())
    }

    /// Stores a lease, of which the request spends one permit, or the refusal.
    fn remember(
        &self,
        key: RateKey,
        rate: Rate,
        (wanted, taken): (u64, Result<u64, RetryAfter>),
        random: u64,
    ) -> Result<(), RetryAfter> {
        let now = self.0.env.now();
        let mut leases = self.0.leases.borrow_mut();
        match taken {
            Ok(taken) => leases.granted(key, rate, (wanted, taken), random, now),
            Err(retry_after) => leases.refused(key, rate, retry_after, random, now),
        }
        taken.map(drop)
    }

    /// Lets a request pass although the store fails.
    fn allow_despite(&self, error: &StoreError) -> Result<(), RetryAfter> {
        self.0.logger.error("limit_failed", None, error);
        Ok(())
    }
}

/// Returns 1 ms to [`MAX_RETRY_DELAY`], evenly distributed if `random` is.
fn retry_delay(random: u64) -> Duration {
    let longest = NonZeroU64::new(millis(MAX_RETRY_DELAY)).unwrap_or(NonZeroU64::MIN);
    Duration::from_millis((random % longest).saturating_add(1))
}
