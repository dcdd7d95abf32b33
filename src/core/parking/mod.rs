//! One task of an instance polls all of its streams that only wait.
//!
//! A sleeping task costs the host a timer, an event and a call into the component each time it wakes,
//! tens of microseconds, and an idle stream wakes twice a second only to find that another has polled.
//! So the first stream that becomes idle keeps its task as the *idle poller*. A stream that becomes idle
//! after it is *parked*: its future moves to the idle poller, its own task ends, and the idle poller
//! polls it when its time has come. While a stream waits for the host as well (a write, a read of the
//! store) it stays where it is.
//!
//! No task wakes another: wit-bindgen cannot do that. A stream is parked only if the idle poller wakes
//! no later than the stream has to; otherwise it sleeps once more in its own task.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use futures::future::{LocalBoxFuture, poll_fn};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

use super::environment::Environment;
use super::time::Instant;

/// The parked streams of an instance. Clones are handles to the same.
#[derive(Clone)]
pub struct Parking<E> {
    env: E,
    state: Rc<State>,
}

#[derive(Default)]
struct State {
    /// Set while a stream is polled that [`Parking::run`] drives.
    is_polling: Cell<bool>,
    /// The waits of the stream that is being polled, merged.
    wait: Cell<Option<Wait>>,
    /// The time at which the idle poller wakes, if there is one.
    wakes_at: Cell<Option<Instant>>,
    /// Streams on their way to the idle poller.
    arriving: RefCell<Vec<ParkedStream>>,
    /// The number of shared reads that have ended.
    reads: Cell<u64>,
}

type ParkedStream = LocalBoxFuture<'static, ()>;

/// The wait of a stream: its end, and the causes of an earlier one.
#[derive(Clone, Copy)]
struct Wait {
    until: Instant,
    /// The end of a shared read ends the wait.
    for_reads: bool,
    /// Something of the host's ends the wait; that keeps a stream in its task.
    for_host: bool,
}

impl<E> fmt::Debug for Parking<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parking").finish_non_exhaustive()
    }
}

impl<E: Environment> Parking<E> {
    /// Creates the parking of an instance, without streams.
    #[must_use]
    pub fn new(env: E) -> Self {
        Self {
            env,
            state: Rc::default(),
        }
    }

    /// Notes that a read whose result is shared has ended. Streams that wait for it are polled.
    pub fn read_ended(&self) {
        let reads = &self.state.reads;
        reads.set(reads.get().wrapping_add(1));
    }

    /// Sleeps until the monotonic clock shows `until`. With `or_read` the sleep may end when a shared read
    /// has ended. A stream that [`Parking::run`] drives can be parked meanwhile.
    pub async fn sleep(&self, until: Instant, or_read: bool) {
        let reads = self.state.reads.get();
        let mut timer = None;
        poll_fn(|context| {
            if self.env.now() >= until || (or_read && self.state.reads.get() != reads) {
                return Poll::Ready(());
            }
            if self.state.is_polling.get() {
                self.register(Wait {
                    until,
                    for_reads: or_read,
                    for_host: false,
                });
                return Poll::Pending;
            }
            timer
                .get_or_insert_with(|| self.env.sleep_until(until).boxed_local())
                .as_mut()
                .poll(context)
        })
        .await;
    }

    /// Awaits something that only the host completes.
    pub async fn on_host<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        poll_fn(|context| {
            let result = future.as_mut().poll(context);
            if result.is_pending() {
                self.register(Wait {
                    until: Instant::NEVER,
                    for_reads: false,
                    for_host: true,
                });
            }
            result
        })
        .await
    }

    /// Awaits something that only the host completes; returns `None` if it takes until `until`. Only for
    /// streams that [`Parking::run`] drives.
    pub async fn with_deadline<T>(
        &self,
        mut future: Pin<&mut impl Future<Output = T>>,
        until: Instant,
    ) -> Option<T> {
        poll_fn(|context| {
            if let Poll::Ready(result) = future.as_mut().poll(context) {
                return Poll::Ready(Some(result));
            }
            if self.env.now() >= until {
                return Poll::Ready(None);
            }
            self.register(Wait {
                until,
                for_reads: false,
                for_host: true,
            });
            Poll::Pending
        })
        .await
    }

    fn register(&self, wait: Wait) {
        let merged = match self.state.wait.get() {
            None => wait,
            Some(other) => Wait {
                until: wait.until.min(other.until),
                for_reads: wait.for_reads || other.for_reads,
                for_host: wait.for_host || other.for_host,
            },
        };
        self.state.wait.set(Some(merged));
    }

    /// Runs a stream: in this task while it is busy, then parked. Returns when this task is not needed any
    /// more.
    pub async fn run(self, stream: impl Future<Output = ()> + 'static) {
        let mut stream = stream.boxed_local();
        while let Some(until) = self.run_until_idle(&mut stream).await {
            match self.state.wakes_at.get() {
                None => return IdlePoller::new(self, stream).await,
                Some(wakes_at) if wakes_at <= until => {
                    return self.state.arriving.borrow_mut().push(stream);
                }
                Some(_) => self.env.sleep_until(until).await,
            }
        }
    }

    /// Polls a stream until it only waits, and returns the end of the wait; `None` when it has ended.
    async fn run_until_idle(&self, stream: &mut ParkedStream) -> Option<Instant> {
        let mut alarm = Alarm::default();
        poll_fn(|context| {
            loop {
                match self.poll(stream, context) {
                    (Poll::Ready(()), _) => return Poll::Ready(None),
                    (Poll::Pending, None) => return Poll::Pending,
                    (Poll::Pending, Some(wait)) if wait.for_host => {
                        ready!(alarm.poll(&self.env, wait.until, context));
                    }
                    (Poll::Pending, Some(wait)) => return Poll::Ready(Some(wait.until)),
                }
            }
        })
        .await
    }

    fn poll(
        &self,
        stream: &mut ParkedStream,
        context: &mut Context<'_>,
    ) -> (Poll<()>, Option<Wait>) {
        self.state.wait.set(None);
        self.state.is_polling.set(true);
        let result = stream.as_mut().poll(context);
        self.state.is_polling.set(false);
        (result, self.state.wait.take())
    }
}

/// A timer for many waits, one after the other.
#[derive(Default)]
struct Alarm(Option<(Instant, LocalBoxFuture<'static, ()>)>);

impl Alarm {
    /// Completes at `until`, or earlier: a timer that is set is not set anew for a later time.
    fn poll(
        &mut self,
        env: &impl Environment,
        until: Instant,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        if until == Instant::NEVER && self.0.is_none() {
            return Poll::Pending;
        }
        if self.0.as_ref().is_none_or(|(set, _)| *set > until) {
            self.0 = Some((until, env.sleep_until(until).boxed_local()));
        }
        let Some((_, timer)) = &mut self.0 else {
            return Poll::Pending;
        };
        let result = timer.as_mut().poll(context);
        if result.is_ready() {
            self.0 = None;
        }
        result
    }
}

/// The task that polls the parked streams of an instance. It ends with the last of them.
struct IdlePoller<E: Environment> {
    parking: Parking<E>,
    streams: FuturesUnordered<PolledStream<E>>,
    /// The number of streams that were ever parked here.
    count: u64,
    waits: Waits,
    alarm: Alarm,
}

/// The wait of each parked stream, and its waker.
type Waits = Rc<RefCell<BTreeMap<u64, (Wait, Waker)>>>;

struct PolledStream<E> {
    number: u64,
    stream: ParkedStream,
    parking: Parking<E>,
    waits: Waits,
}

impl<E: Environment> Future for PolledStream<E> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let (result, wait) = this.parking.poll(&mut this.stream, context);
        let mut waits = this.waits.borrow_mut();
        match wait {
            Some(wait) if result.is_pending() => {
                waits.insert(this.number, (wait, context.waker().clone()));
            }
            Some(_) | None => drop(waits.remove(&this.number)),
        }
        result
    }
}

impl<E: Environment> Unpin for PolledStream<E> {}
impl<E: Environment> Unpin for IdlePoller<E> {}

impl<E: Environment> IdlePoller<E> {
    fn new(parking: Parking<E>, first: ParkedStream) -> Self {
        parking.state.wakes_at.set(Some(parking.env.now()));
        let mut poller = Self {
            parking,
            streams: FuturesUnordered::new(),
            count: 0,
            waits: Waits::default(),
            alarm: Alarm::default(),
        };
        poller.park(first);
        poller
    }

    fn park(&mut self, stream: ParkedStream) {
        self.count = self.count.saturating_add(1);
        self.streams.push(PolledStream {
            number: self.count,
            stream,
            parking: self.parking.clone(),
            waits: self.waits.clone(),
        });
    }

    /// Wakes the streams whose wait is over; returns whether there are any.
    fn wake(&self, is_over: impl Fn(&Wait) -> bool) -> bool {
        let waits = self.waits.borrow();
        let mut over = waits.values().filter(|(wait, _)| is_over(wait)).peekable();
        let any = over.peek().is_some();
        over.for_each(|(_, waker)| waker.wake_by_ref());
        any
    }
}

impl<E: Environment> Future for IdlePoller<E> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            for stream in this.parking.state.arriving.take() {
                this.park(stream);
            }
            let reads = this.parking.state.reads.get();
            let now = this.parking.env.now();
            this.wake(|wait| now >= wait.until);
            while let Poll::Ready(ended) = this.streams.poll_next_unpin(context) {
                if ended.is_none() {
                    return Poll::Ready(());
                }
            }
            if this.parking.state.reads.get() != reads && this.wake(|wait| wait.for_reads) {
                continue;
            }
            let waits = this.waits.borrow();
            let next = waits.values().map(|(wait, _)| wait.until).min();
            // Without any, all streams wait for the host, and the end of that is not known.
            let next = next.unwrap_or(Instant::NEVER);
            this.parking.state.wakes_at.set(Some(next));
            ready!(this.alarm.poll(&this.parking.env, next, context));
        }
    }
}

impl<E: Environment> Drop for IdlePoller<E> {
    fn drop(&mut self) {
        self.parking.state.wakes_at.set(None);
    }
}

#[cfg(test)]
mod tests;
