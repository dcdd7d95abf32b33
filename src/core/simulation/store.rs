//! Models of the stores that Spin offers.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::core::log::SwapError;

/// Which store is modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Model {
    /// A swap on a missing key always succeeds. Calls are local: when one is reported failed, it
    /// is over.
    Sqlite,
    /// Every swap is reported lost, also one that took place. Calls go over a network: one that
    /// was reported failed may take effect later.
    Redis,
    /// Plain reads may be stale for a while; the rest is sound. Over a network.
    DynamoDb,
    /// Sound in everything. Over a network.
    Sound,
}

/// How long a stale read may lag, in milliseconds.
const STALE_MILLIS: u64 = 400;

/// A call of the store.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Get(String),
    GetAll(Vec<String>),
    ReadForSwap(String),
    Swap {
        key: String,
        expected: Option<Bytes>,
        value: Bytes,
    },
    Increment(String),
    SetAll(Vec<(String, Bytes)>),
    DeleteAll(Vec<String>),
}

/// What it answers.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Value(Result<Option<Bytes>, String>),
    Values(Vec<Result<Option<Bytes>, String>>),
    Swapped(Result<(), SwapError>),
    Count(Result<i64, String>),
    Done(Result<(), String>),
}

impl Call {
    /// The answer when the call fails, or is said to.
    pub(super) fn failed(&self) -> Answer {
        let why = || "injected".to_owned();
        match self {
            Self::Get(_) | Self::ReadForSwap(_) => Answer::Value(Err(why())),
            Self::GetAll(keys) => Answer::Values(keys.iter().map(|_| Err(why())).collect()),
            Self::Swap { .. } => Answer::Swapped(Err(SwapError::Store(why()))),
            Self::Increment(_) => Answer::Count(Err(why())),
            Self::SetAll(_) | Self::DeleteAll(_) => Answer::Done(Err(why())),
        }
    }
}

impl Model {
    /// Whether a call can take effect after it was reported failed.
    pub(super) fn is_remote(self) -> bool {
        self != Self::Sqlite
    }

    pub(super) fn is_stale(self) -> bool {
        self == Self::DynamoDb
    }
}

/// How much there is in a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) keys: usize,
    /// The bytes of the values.
    pub(super) bytes: usize,
}

/// The values, and for stale reads what they were before.
#[derive(Debug)]
pub(super) struct Store {
    model: Model,
    values: BTreeMap<String, Bytes>,
    counters: BTreeMap<String, i64>,
    /// How many bytes the values have.
    bytes: usize,
    past: BTreeMap<String, Vec<(u64, Option<Bytes>)>>,
}

impl Store {
    pub(super) fn new(model: Model) -> Self {
        Self {
            model,
            values: BTreeMap::new(),
            counters: BTreeMap::new(),
            bytes: 0,
            past: BTreeMap::new(),
        }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &String> {
        self.values.keys()
    }

    /// How many counters there are. They are not among the keys.
    pub(super) fn counters(&self) -> usize {
        self.counters.len()
    }

    /// How much there is, counters included.
    pub(super) fn size(&self) -> Size {
        Size {
            keys: self.values.len() + self.counters.len(),
            bytes: self.bytes + self.counters.len() * size_of::<i64>(),
        }
    }

    pub(super) fn value(&self, key: &str) -> Option<&Bytes> {
        self.values.get(key)
    }

    /// Carries a call out. `random` decides what is left to chance. The second value is the key
    /// and value that a swap has put in place.
    pub(super) fn apply(
        &mut self,
        call: Call,
        now: u64,
        random: &mut fastrand::Rng,
    ) -> (Answer, Option<(String, Bytes)>) {
        let answer = match call {
            Call::Get(key) => Answer::Value(Ok(self.read(&key, now, random))),
            Call::GetAll(keys) => Answer::Values(
                keys.iter()
                    .map(|key| Ok(self.read(key, now, random)))
                    .collect(),
            ),
            Call::ReadForSwap(key) => Answer::Value(Ok(self.values.get(&key).cloned())),
            Call::Swap {
                key,
                expected,
                value,
            } => {
                let upsert = self.model == Model::Sqlite && expected.is_none();
                let swapped = upsert || self.values.get(&key) == expected.as_ref();
                if swapped {
                    self.set(&key, Some(value.clone()), now);
                }
                let told = match swapped {
                    true if self.model != Model::Redis => Ok(()),
                    _ => Err(SwapError::Lost),
                };
                return (Answer::Swapped(told), swapped.then_some((key, value)));
            }
            Call::Increment(key) => {
                let counter = self.counters.entry(key).or_default();
                *counter += 1;
                Answer::Count(Ok(*counter))
            }
            Call::SetAll(values) => {
                for (key, value) in values {
                    self.set(&key, Some(value), now);
                }
                Answer::Done(Ok(()))
            }
            Call::DeleteAll(keys) => {
                for key in keys {
                    self.set(&key, None, now);
                }
                Answer::Done(Ok(()))
            }
        };
        (answer, None)
    }

    fn set(&mut self, key: &str, value: Option<Bytes>, now: u64) {
        self.bytes += value.as_ref().map_or(0, Bytes::len);
        let before = match value {
            Some(value) => self.values.insert(key.to_owned(), value),
            None => self.values.remove(key),
        };
        self.bytes -= before.as_ref().map_or(0, Bytes::len);
        if self.model.is_stale() {
            self.past.retain(|_, past| {
                past.retain(|(until, _)| until + STALE_MILLIS > now);
                !past.is_empty()
            });
            let past = self.past.entry(key.to_owned()).or_default();
            past.push((now, before));
        }
    }

    fn read(&self, key: &str, now: u64, random: &mut fastrand::Rng) -> Option<Bytes> {
        if self.model.is_stale() && random.u8(..4) == 0 {
            let lag = random.u64(..STALE_MILLIS);
            let past = self.past.get(key).into_iter().flatten();
            if let Some((_, value)) = past.into_iter().find(|(until, _)| *until + lag > now) {
                return value.clone();
            }
        }
        self.values.get(key).cloned()
    }
}
