//! A client: a state machine with the fetcher and the readers that production runs, in a host whose
//! calls complete at once.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;

use super::super::long_poll::PollAction;
use super::super::{Action, EventStream, Fetcher, LongPoll, LongPollPage, MergedReader};
use super::{StreamConfig, World};
use crate::core::channel::Channel;
use crate::core::environment::{Environment, LogLineLost};
use crate::core::log::kv::KvLog;
use crate::core::metrics::Metrics;
use crate::core::parking::Parking;
use crate::core::store::{KeyValueStore, StoreClient, StoreError, SwapError};
use crate::core::time::{ClockReading, Instant};

/// The host of one client: the worlds that it is lent while it runs, one for each channel. To sleep
/// is to move their clocks.
#[derive(Clone, Default)]
struct Host(Rc<RefCell<Vec<World>>>, Rc<RefCell<Option<OnSleep>>>);

/// Changes a world whenever time has passed.
type OnSleep = Box<dyn FnMut(&mut World)>;

impl Environment for Host {
    fn clock(&self) -> ClockReading {
        self.0.borrow()[0].now()
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(self.now().0)
    }

    fn random(&self) -> u64 {
        42
    }

    fn sleep_until(&self, until: Instant) -> impl Future<Output = ()> + 'static {
        let host = self.clone();
        async move {
            for world in host.0.borrow_mut().iter_mut() {
                world.now = world.now.max(until.0);
                if let Some(on_sleep) = &mut *host.1.borrow_mut() {
                    on_sleep(world);
                }
            }
        }
    }

    fn spawn(&self, _: impl Future<Output = ()> + 'static) {
        panic!("readers spawn nothing");
    }

    fn write_log_line(&self, _: &[u8]) -> Result<(), LogLineLost> {
        Ok(())
    }
}

impl KeyValueStore for Host {
    type Cas = ();

    async fn get(&self, key: &str) -> Result<Option<Bytes>, StoreError> {
        let channel = key.split('!').nth(1);
        let mut worlds = self.0.borrow_mut();
        let mut worlds = worlds.iter_mut();
        let world = worlds.find(|world| Some(world.channel.as_str()) == channel);
        world.unwrap().get(key)
    }

    async fn get_many(&self, _: &[String]) -> Result<Vec<Option<Bytes>>, StoreError> {
        panic!("readers only get")
    }

    async fn set(&self, _: &str, _: &[u8]) -> Result<(), StoreError> {
        panic!("readers only get")
    }

    async fn set_many(&self, _: Vec<(String, Bytes)>) -> Result<(), StoreError> {
        panic!("readers only get")
    }

    async fn delete_many(&self, _: &[String]) -> Result<(), StoreError> {
        panic!("readers only get")
    }

    async fn increment(&self, _: &str) -> Result<i64, StoreError> {
        panic!("readers only get")
    }

    async fn read_for_swap(&self, _: &str) -> Result<((), Option<Bytes>), StoreError> {
        panic!("readers only get")
    }

    async fn swap(&self, (): (), _: &[u8]) -> Result<(), SwapError> {
        panic!("readers only get")
    }
}

/// A stream or a long-poll in an instance of its own: it shares no cache with other clients.
pub(super) struct Client<M> {
    machine: M,
    host: Host,
    fetcher: Fetcher<Host, KvLog<Host, Host>>,
}

impl<M> Deref for Client<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.machine
    }
}

impl<M> DerefMut for Client<M> {
    fn deref_mut(&mut self) -> &mut M {
        &mut self.machine
    }
}

impl<M> Client<M> {
    pub(super) fn new(
        machine: M,
        channels: &[Channel],
        config: StreamConfig,
        opened: Instant,
    ) -> Self {
        let host = Host::default();
        let metrics = Metrics::new(1);
        let store = StoreClient::new(host.clone(), host.clone(), metrics.clone());
        let parking = Parking::new(host.clone());
        let log = KvLog::new(host.clone(), store, metrics, parking.clone());
        Self {
            machine,
            fetcher: Fetcher::new(host.clone(), parking, &log, channels, config, opened),
            host,
        }
    }

    /// Runs the client in `worlds`.
    pub(super) fn run_in<T>(
        &mut self,
        worlds: &mut Vec<World>,
        run: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.host.0.swap(&RefCell::new(std::mem::take(worlds)));
        let result = run(self);
        *worlds = self.host.0.take();
        result
    }
}

/// Asserts that a chunk is comments and whole blocks, each of which has data on one line or more.
fn assert_every_block_has_data(chunk: &str) {
    let (mut fields, mut has_data) = (0, false);
    for line in chunk.strip_suffix('\n').unwrap().split('\n') {
        if line.is_empty() {
            assert!(has_data, "a block without data: {chunk:?}");
            (fields, has_data) = (0, false);
        } else if !line.starts_with(':') {
            fields += 1;
            has_data |= line.starts_with("data: ");
        }
    }
    assert_eq!(fields, 0, "a block is incomplete: {chunk:?}");
}

/// Waits as production does. Reads complete at once, so that only time can end the wait.
fn wait(
    fetcher: &mut Fetcher<Host, KvLog<Host, Host>>,
    host: &Host,
    until: Instant,
    reader: &mut MergedReader,
) {
    let before = host.now();
    fetcher.wait(until, reader).now_or_never().unwrap();
    assert!(host.now() > before, "a wait makes time pass");
}

impl Client<EventStream> {
    /// Reads the first page of each channel.
    pub(super) fn read_first_pages(&mut self) {
        let now = self.host.now();
        for (index, request) in self.machine.reader().first_reads(now) {
            self.fetcher.begin(index, request);
        }
        let reads = self.fetcher.deliver(self.machine.reader());
        reads.now_or_never().unwrap();
        assert!(self.fetcher.is_idle());
    }

    /// Returns the next chunk that the stream sends no later than `until`; `None` if it ends or waits.
    pub(super) fn chunk(&mut self, until: Instant) -> Option<String> {
        let Self {
            machine,
            host,
            fetcher,
        } = self;
        loop {
            fetcher.deliver(machine.reader()).now_or_never().unwrap();
            match machine.next(host.clock()) {
                Action::Emit(bytes) => {
                    let chunk = String::from_utf8(bytes).unwrap();
                    assert_every_block_has_data(&chunk);
                    return Some(chunk);
                }
                Action::Read(index, request) => fetcher.begin(index, request),
                Action::Wait(at) => {
                    assert!(at > host.now(), "a wait makes time pass");
                    if host.now() >= until {
                        return None;
                    }
                    wait(fetcher, host, at.min(until), machine.reader());
                }
                Action::End => return None,
            }
        }
    }

    /// Returns everything that the stream sends until `until`.
    pub(super) fn sent(&mut self, until: Instant) -> String {
        std::iter::from_fn(|| self.chunk(until)).collect()
    }
}

impl Client<LongPoll> {
    /// Drives the request to its answer. `on_sleep` is called whenever time has passed.
    pub(super) fn run(&mut self, on_sleep: impl FnMut(&mut World) + 'static) {
        *self.host.1.borrow_mut() = Some(Box::new(on_sleep));
        let Self {
            machine,
            host,
            fetcher,
        } = self;
        loop {
            fetcher.deliver(machine.reader()).now_or_never().unwrap();
            match machine.next(host.clock()) {
                PollAction::Read(index, request) => fetcher.begin(index, request),
                PollAction::Wait(at) => {
                    assert!(at > host.now(), "a wait makes time pass");
                    wait(fetcher, host, at, machine.reader());
                }
                PollAction::Done => return,
            }
        }
    }

    /// Returns the answer; `None` if the store has not said where the client starts.
    pub(super) fn into_page(self) -> Option<LongPollPage> {
        self.machine.into_page()
    }
}
