//! Streams of an instance on an executor of their own, with time that jumps from one timer to the next.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::{AbortHandle, abortable, join, select};

use super::*;
use crate::core::environment::LogLineLost;
use crate::core::time::{ClockReading, Timestamp};

/// A host with timers.
#[derive(Clone, Default)]
struct Host(Rc<HostState>);

#[derive(Default)]
struct HostState {
    now: Cell<u64>,
    timers: RefCell<Vec<(u64, Waker)>>,
    /// The number of timers that were ever set.
    timers_set: Cell<u64>,
}

impl Environment for Host {
    fn clock(&self) -> ClockReading {
        let now = self.0.now.get();
        ClockReading {
            monotonic: Instant(now),
            wall: Timestamp(now),
        }
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(self.0.now.get())
    }

    fn random(&self) -> u64 {
        42
    }

    fn sleep_until(&self, until: Instant) -> impl Future<Output = ()> + 'static {
        let host = self.clone();
        host.0.timers_set.update(|set| set + 1);
        let mut yielded = false;
        poll_fn(move |context| {
            if yielded && host.now() >= until {
                return Poll::Ready(());
            }
            yielded = true;
            let timer = (until.0, context.waker().clone());
            host.0.timers.borrow_mut().push(timer);
            Poll::Pending
        })
    }

    fn spawn(&self, _: impl Future<Output = ()> + 'static) {
        panic!("parking spawns nothing");
    }

    fn write_log_line(&self, _: &[u8]) -> Result<(), LogLineLost> {
        Ok(())
    }
}

/// The tasks of an instance.
struct Instance {
    host: Host,
    parking: Parking<Host>,
    tasks: FuturesUnordered<LocalBoxFuture<'static, ()>>,
    /// The polls of streams: their names and the times.
    polls: Rc<RefCell<Vec<(&'static str, u64)>>>,
}

/// A stream's own task.
struct Task {
    has_ended: Rc<Cell<bool>>,
    abort: AbortHandle,
}

impl Task {
    fn has_ended(&self) -> bool {
        self.has_ended.get()
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Instance {
    fn new() -> Self {
        let host = Host::default();
        Self {
            parking: Parking::new(host.clone()),
            host,
            tasks: FuturesUnordered::new(),
            polls: Rc::default(),
        }
    }

    /// Runs a stream in a task of its own.
    fn run(&self, stream: impl Future<Output = ()> + 'static) -> Task {
        let (running, abort) = abortable(self.parking.clone().run(stream));
        let has_ended = Rc::new(Cell::new(false));
        let ended = has_ended.clone();
        let task = async move {
            let _ = running.await;
            ended.set(true);
        };
        self.tasks.push(task.boxed_local());
        Task { has_ended, abort }
    }

    /// Runs a stream that only waits: it is polled every `interval` ms until `until`.
    fn run_idle(&self, name: &'static str, interval: u64, until: u64) -> Task {
        let stream = self.idle(name, interval, until);
        self.run(stream)
    }

    fn idle(
        &self,
        name: &'static str,
        interval: u64,
        until: u64,
    ) -> impl Future<Output = ()> + 'static {
        let (host, parking) = (self.host.clone(), self.parking.clone());
        let note = self.note(name);
        async move {
            while host.now().0 < until {
                note();
                let next = Instant(host.now().0 + interval);
                parking.sleep(next, false).await;
            }
        }
    }

    /// Returns a function that notes a poll of a stream.
    fn note(&self, name: &'static str) -> impl Fn() + 'static {
        let (host, polls) = (self.host.clone(), self.polls.clone());
        move || polls.borrow_mut().push((name, host.now().0))
    }

    /// Returns the times of the polls of a stream.
    fn polls(&self, name: &str) -> Vec<u64> {
        let polls = self.polls.borrow();
        let polls = polls.iter().filter(|(polled, _)| *polled == name);
        polls.map(|(_, time)| *time).collect()
    }

    /// Polls every task that was woken until none is.
    fn poll_tasks(&mut self) {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let mut context = Context::from_waker(&waker);
        loop {
            match self.tasks.poll_next_unpin(&mut context) {
                Poll::Ready(None) => return,
                Poll::Pending if !woken.0.swap(false, Ordering::Relaxed) => return,
                Poll::Ready(Some(())) | Poll::Pending => {}
            }
        }
    }

    /// Lets time pass until `until`.
    fn pass(&mut self, until: u64) {
        loop {
            self.poll_tasks();
            let mut timers = self.host.0.timers.borrow_mut();
            let next = timers.iter().map(|(time, _)| *time).min();
            let Some(next) = next.filter(|next| *next <= until) else {
                break;
            };
            let now = self.host.0.now.get().max(next);
            self.host.0.now.set(now);
            for (_, waker) in timers.extract_if(.., |(time, _)| *time <= now) {
                waker.wake();
            }
        }
        self.host.0.now.set(until);
    }
}

#[test]
fn a_parked_stream_is_polled_by_the_idle_poller() {
    let mut instance = Instance::new();
    let first = instance.run_idle("first", 10, 100);
    let second = instance.run_idle("second", 20, 100);
    instance.pass(0);
    assert!(!first.has_ended(), "it is the idle poller");
    assert!(second.has_ended(), "its stream is parked");
    instance.pass(200);
    assert_eq!(
        instance.polls("first"),
        (0..100).step_by(10).collect::<Vec<_>>()
    );
    assert_eq!(
        instance.polls("second"),
        (0..100).step_by(20).collect::<Vec<_>>()
    );
    assert!(first.has_ended(), "the last stream has ended");
}

#[test]
fn parked_streams_share_one_timer() {
    let mut instance = Instance::new();
    for name in ["a", "b", "c", "d"] {
        instance.run_idle(name, 10, 1_000);
    }
    instance.pass(2_000);
    assert_eq!(instance.polls("d").len(), 100);
    assert_eq!(instance.host.0.timers_set.get(), 100);
}

#[test]
fn a_stream_that_has_to_wake_before_the_idle_poller_sleeps_in_its_own_task() {
    let mut instance = Instance::new();
    let _first = instance.run_idle("first", 50, 1_000);
    let second = instance.run_idle("second", 30, 1_000);
    instance.pass(29);
    assert!(!second.has_ended());
    // At 30 ms it waits until 60 ms, and the idle poller wakes at 50 ms.
    instance.pass(30);
    assert!(second.has_ended());
    instance.pass(100);
    assert_eq!(instance.polls("second"), [0, 30, 60, 90]);
}

#[test]
fn a_stream_that_waits_for_the_host_stays_in_its_task() {
    let mut instance = Instance::new();
    let _first = instance.run_idle("first", 10, 1_000);
    let (complete, completed) = oneshot::channel::<()>();
    let (parking, note) = (instance.parking.clone(), instance.note("second"));
    let idle = instance.idle("second", 10, 1_000);
    let second = instance.run(async move {
        parking.on_host(completed).await.unwrap();
        note();
        idle.await;
    });
    instance.pass(35);
    assert!(!second.has_ended());
    assert_eq!(instance.polls("second"), Vec::<u64>::new());
    complete.send(()).unwrap();
    instance.pass(36);
    assert_eq!(instance.polls("second"), [35, 35], "the host woke its task");
    assert!(second.has_ended(), "it is parked since");
}

#[test]
fn a_stream_waits_until_the_earliest_of_its_waits() {
    let mut instance = Instance::new();
    let _first = instance.run_idle("first", 10, 1_000);
    let (parking, note) = (instance.parking.clone(), instance.note("second"));
    let second = instance.run(async move {
        let long = pin!(parking.sleep(Instant(500), false));
        let short = pin!(parking.sleep(Instant(40), true));
        select(long, short).await;
        note();
    });
    instance.pass(0);
    assert!(second.has_ended(), "it is parked");
    instance.pass(1_000);
    assert_eq!(instance.polls("second"), [40]);
}

#[test]
fn a_parked_stream_that_ends_leaves_no_wait_behind() {
    let mut instance = Instance::new();
    let _first = instance.run_idle("first", 10, 1_000);
    let parking = instance.parking.clone();
    instance.run(async move {
        let short = pin!(parking.sleep(Instant(40), false));
        let long = pin!(parking.sleep(Instant(500), false));
        select(long, short).await;
    });
    instance.pass(999);
    assert_eq!(instance.host.0.timers_set.get(), 100, "one every 10 ms");
}

#[test]
fn a_stream_that_waits_for_the_host_and_for_a_time_is_woken_by_either() {
    let mut instance = Instance::new();
    let _first = instance.run_idle("first", 10, 1_000);
    let (complete, completed) = oneshot::channel::<()>();
    let (parking, note) = (instance.parking.clone(), instance.note("second"));
    let second = instance.run(async move {
        let sleep = async {
            parking.sleep(Instant(40), false).await;
            note();
        };
        let host = async {
            parking.on_host(completed).await.unwrap();
            note();
        };
        join(sleep, host).await;
    });
    instance.pass(60);
    assert_eq!(instance.polls("second"), [40]);
    assert!(!second.has_ended(), "it still waits for the host");
    complete.send(()).unwrap();
    instance.pass(100);
    assert_eq!(instance.polls("second"), [40, 60]);
    assert!(second.has_ended());
}

#[test]
fn a_deadline_ends_a_wait_for_the_host() {
    let mut instance = Instance::new();
    let (complete, completed) = oneshot::channel::<()>();
    let (parking, note) = (instance.parking.clone(), instance.note("late"));
    let late = instance.run(async move {
        let mut never = std::future::pending::<()>();
        let deadline = parking.with_deadline(Pin::new(&mut never), Instant(50));
        assert_eq!(deadline.await, None);
        note();
    });
    let (parking, note) = (instance.parking.clone(), instance.note("early"));
    let early = instance.run(async move {
        let mut completed = completed;
        let deadline = parking.with_deadline(Pin::new(&mut completed), Instant(50));
        assert_eq!(deadline.await, Some(Ok(())));
        note();
    });
    instance.pass(20);
    complete.send(()).unwrap();
    instance.pass(100);
    assert_eq!(
        (instance.polls("early"), instance.polls("late")),
        (vec![20], vec![50])
    );
    assert!(early.has_ended() && late.has_ended());
}

#[test]
fn the_end_of_a_shared_read_wakes_the_parked_streams_that_wait_for_it() {
    let mut instance = Instance::new();
    let (host, parking) = (instance.host.clone(), instance.parking.clone());
    let _reader = instance.run(async move {
        parking.sleep(Instant(50), false).await;
        parking.read_ended();
        parking.sleep(Instant(900), false).await;
        assert_eq!(host.now(), Instant(900));
    });
    let waits = |name, or_read| {
        let (parking, note) = (instance.parking.clone(), instance.note(name));
        instance.run(async move {
            parking.sleep(Instant(800), or_read).await;
            note();
        })
    };
    let (waiting, other) = (waits("waiting", true), waits("other", false));
    instance.pass(0);
    assert!(waiting.has_ended() && other.has_ended(), "both are parked");
    instance.pass(1_000);
    assert_eq!(instance.polls("waiting"), [50]);
    assert_eq!(instance.polls("other"), [800]);
}

#[test]
fn a_read_that_ended_before_the_wait_does_not_end_it() {
    let mut instance = Instance::new();
    instance.parking.read_ended();
    let (parking, note) = (instance.parking.clone(), instance.note("stream"));
    instance.run(async move {
        parking.sleep(Instant(30), true).await;
        note();
    });
    instance.pass(100);
    assert_eq!(instance.polls("stream"), [30]);
}

#[test]
fn after_the_idle_poller_is_dropped_the_next_idle_stream_takes_over() {
    let mut instance = Instance::new();
    let first = instance.run_idle("first", 10, 1_000);
    instance.pass(25);
    first.abort.abort();
    instance.pass(30);
    assert!(first.has_ended());
    let second = instance.run_idle("second", 10, 1_000);
    let third = instance.run_idle("third", 10, 1_000);
    instance.pass(65);
    assert!(!second.has_ended(), "it is the idle poller");
    assert!(third.has_ended(), "its stream is parked");
    assert_eq!(instance.polls("first"), [0, 10, 20]);
    assert_eq!(instance.polls("second"), [30, 40, 50, 60]);
    assert_eq!(instance.polls("third"), [30, 40, 50, 60]);
}

#[test]
fn after_the_last_parked_stream_has_ended_the_next_idle_stream_takes_over() {
    let mut instance = Instance::new();
    let first = instance.run_idle("first", 10, 20);
    instance.pass(100);
    assert!(first.has_ended());
    let second = instance.run_idle("second", 10, 150);
    instance.pass(110);
    assert!(!second.has_ended(), "it is the idle poller");
    instance.pass(200);
    assert_eq!(instance.polls("second"), [100, 110, 120, 130, 140]);
    assert!(second.has_ended());
}

#[test]
fn outside_of_run_a_sleep_has_a_timer_of_its_own() {
    let mut instance = Instance::new();
    let (parking, note) = (instance.parking.clone(), instance.note("task"));
    let task = async move {
        parking.sleep(Instant(40), false).await;
        note();
    };
    instance.tasks.push(task.boxed_local());
    instance.pass(100);
    assert_eq!(instance.polls("task"), [40]);
    assert_eq!(instance.host.0.timers_set.get(), 1);
}
