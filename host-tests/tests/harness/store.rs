//! A store in memory whose misfortunes a test can change while it is in use.

use std::sync::{Arc, Mutex};

use runnel_host::store::{Call, Fault, Faulty, Memory, Operation};

type Script = dyn FnMut(&Call<'_>) -> Fault + Send;

/// A store in memory that does what the current script says, and lists what it was asked.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) memory: Arc<Memory>,
    pub(crate) faulty: Arc<Faulty>,
    script: Arc<Mutex<Box<Script>>>,
    asked: Arc<Mutex<Vec<(Operation, String)>>>,
}

impl Default for Store {
    fn default() -> Self {
        Self::over(Arc::default())
    }
}

impl Store {
    /// A store with this content.
    pub(crate) fn over(memory: Arc<Memory>) -> Self {
        let script: Arc<Mutex<Box<Script>>> = Arc::new(Mutex::new(Box::new(|_| Fault::None)));
        let asked: Arc<Mutex<Vec<(Operation, String)>>> = Arc::default();
        let (current, list) = (script.clone(), asked.clone());
        let faulty = Faulty::new(memory.clone(), move |call| {
            list.lock()
                .unwrap()
                .push((call.operation, call.key.to_owned()));
            (*current.lock().unwrap())(call)
        });
        Self {
            memory,
            faulty: Arc::new(faulty),
            script,
            asked,
        }
    }

    /// From now on, asks `script` what is to befall each call.
    pub(crate) fn befall(&self, script: impl FnMut(&Call<'_>) -> Fault + Send + 'static) {
        *self.script.lock().unwrap() = Box::new(script);
    }

    /// From now on, nothing befalls anything.
    pub(crate) fn heal(&self) {
        self.befall(|_| Fault::None);
    }

    /// The calls since this was last asked.
    pub(crate) fn take_asked(&self) -> Vec<(Operation, String)> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// How many reads of keys with this prefix there were so far.
    pub(crate) fn reads(&self, prefix: &str) -> u64 {
        self.faulty.count(Operation::Get, prefix)
    }

    /// The keys it holds that begin so.
    pub(crate) fn keys(&self, prefix: &str) -> Vec<String> {
        let all = self.memory.snapshot().into_keys();
        all.filter(|key| key.starts_with(prefix)).collect()
    }
}
