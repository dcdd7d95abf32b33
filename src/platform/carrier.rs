//! One task of an instance carries all of its streams that have nothing to do but wait.
//!
//! A task that sleeps costs the host a timer, an event and a call into the component each time it
//! wakes, tens of microseconds, and an idle stream wakes twice a second only to find that another has
//! looked. So the first stream that comes to rest stays awake for all: a stream that comes to rest
//! after it goes on board, its own task ends, and the carrier polls it when its time has come. What
//! a stream waits for beside time (a write, a read of the store) it waits for where it is: both can be
//! done in any task of the instance.
//!
//! No task wakes another: wit-bindgen cannot do that. A stream goes on board only if the carrier is
//! awake by itself no later than the stream wants to be; else it sleeps on its own once more.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures::future::{LocalBoxFuture, poll_fn};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

use super::{clock, tail};
use crate::core::time::Instant;

thread_local! {
    /// How long the stream that was polled last waits.
    static WAITING: Cell<Option<Wait>> = const { Cell::new(None) };
    /// When the carrier wakes, if there is one.
    static AWAKE: Cell<Option<Instant>> = const { Cell::new(None) };
    /// The streams that are going on board.
    static BOARDING: RefCell<Vec<Passenger>> = const { RefCell::new(vec![]) };
}

type Passenger = LocalBoxFuture<'static, ()>;

#[derive(Clone, Copy)]
struct Wait {
    until: Instant,
    what: What,
}

/// What ends a wait before its time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// Nothing.
    Nothing,
    /// That another stream has read something.
    News,
    /// Something of the host's; that keeps a stream in its task.
    Host,
}

/// Waits until the monotonic clock shows `until`; with `or_news` it may end when another stream has
/// read something. Only for futures that [`carry`] runs, and while they wait for nothing else.
pub async fn rest(until: Instant, or_news: bool) {
    let began = tail::reads();
    let what = if or_news { What::News } else { What::Nothing };
    poll_fn(|_| {
        if clock::monotonic() >= until || (or_news && tail::reads() != began) {
            return Poll::Ready(());
        }
        WAITING.set(Some(Wait { until, what }));
        Poll::Pending
    })
    .await;
}

/// What comes of something that the host does; `None` if that takes until `until`. Only for futures
/// that [`carry`] runs.
pub(super) async fn outlast<T>(
    mut doing: Pin<&mut impl Future<Output = T>>,
    until: Instant,
) -> Option<T> {
    poll_fn(|context| {
        if let Poll::Ready(done) = doing.as_mut().poll(context) {
            return Poll::Ready(Some(done));
        }
        if clock::monotonic() >= until {
            return Poll::Ready(None);
        }
        let what = What::Host;
        WAITING.set(Some(Wait { until, what }));
        Poll::Pending
    })
    .await
}

/// Runs a stream: in this task while it has something to do, then in the one that carries. Returns
/// when this task is not needed any more.
pub(super) async fn carry(stream: impl Future<Output = ()> + 'static) {
    let mut stream = stream.boxed_local();
    while let Some(until) = run(&mut stream).await {
        match AWAKE.get() {
            None => return Carrier::new(stream).run().await,
            Some(awake) if awake <= until => {
                return BOARDING.with_borrow_mut(|boarding| boarding.push(stream));
            }
            Some(_) => clock::sleep_until(until).await,
        }
    }
}

/// Runs a stream until it rests, and says until when; `None` when it has ended.
async fn run(stream: &mut Passenger) -> Option<Instant> {
    let mut alarm = Alarm::default();
    poll_fn(|context| {
        loop {
            match poll(stream, context) {
                (Poll::Ready(()), _) => return Poll::Ready(None),
                (Poll::Pending, None) => return Poll::Pending,
                (Poll::Pending, Some(wait)) if wait.what == What::Host => {
                    if alarm.poll(wait.until, context).is_pending() {
                        return Poll::Pending;
                    }
                }
                (Poll::Pending, Some(wait)) => return Poll::Ready(Some(wait.until)),
            }
        }
    })
    .await
}

fn poll(stream: &mut Passenger, context: &mut Context<'_>) -> (Poll<()>, Option<Wait>) {
    WAITING.set(None);
    let result = stream.as_mut().poll(context);
    (result, WAITING.take())
}

/// A timer for many waits, one after the other.
#[derive(Default)]
struct Alarm(Option<(Instant, LocalBoxFuture<'static, ()>)>);

impl Alarm {
    /// Wakes at `until`, or before: a timer that is set already is not set anew for a later time.
    fn poll(&mut self, until: Instant, context: &mut Context<'_>) -> Poll<()> {
        if self.0.as_ref().is_none_or(|(set, _)| *set > until) {
            self.0 = Some((until, clock::sleep_until(until).boxed_local()));
        }
        let Some((_, timer)) = &mut self.0 else {
            return Poll::Pending;
        };
        let rings = timer.as_mut().poll(context);
        if rings.is_ready() {
            self.0 = None;
        }
        rings
    }
}

/// The streams on board.
struct Carrier {
    streams: FuturesUnordered<Carried>,
    /// How many there have been.
    boarded: u64,
    waiting: Waiting,
    alarm: Alarm,
}

/// How long each of them waits, and how to wake it.
type Waiting = Rc<RefCell<BTreeMap<u64, (Wait, Waker)>>>;

struct Carried {
    number: u64,
    stream: Passenger,
    waiting: Waiting,
}

impl Future for Carried {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let (result, wait) = poll(&mut self.stream, context);
        let mut waiting = self.waiting.borrow_mut();
        match wait {
            Some(wait) => drop(waiting.insert(self.number, (wait, context.waker().clone()))),
            None => drop(waiting.remove(&self.number)),
        }
        result
    }
}

impl Carrier {
    fn new(first: Passenger) -> Self {
        let mut carrier = Self {
            streams: FuturesUnordered::new(),
            boarded: 0,
            waiting: Waiting::default(),
            alarm: Alarm::default(),
        };
        AWAKE.set(Some(clock::monotonic()));
        carrier.board(first);
        carrier
    }

    fn board(&mut self, stream: Passenger) {
        self.boarded = self.boarded.saturating_add(1);
        self.streams.push(Carried {
            number: self.boarded,
            stream,
            waiting: self.waiting.clone(),
        });
    }

    /// Carries until nobody is on board.
    async fn run(mut self) {
        poll_fn(|context| self.poll(context)).await;
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            for stream in BOARDING.take() {
                self.board(stream);
            }
            let before = tail::reads();
            let now = clock::monotonic();
            self.wake(|wait| now >= wait.until);
            while let Poll::Ready(ended) = self.streams.poll_next_unpin(context) {
                if ended.is_none() {
                    return Poll::Ready(());
                }
            }
            if tail::reads() != before && self.wake(|wait| wait.what == What::News) {
                continue;
            }
            let waiting = self.waiting.borrow();
            let first = waiting.values().map(|(wait, _)| wait.until).min();
            // Without any, everybody waits for the host, and when that is over nobody knows.
            AWAKE.set(Some(first.unwrap_or(Instant(u64::MAX))));
            match first {
                Some(first) if self.alarm.poll(first, context).is_ready() => {}
                _ => return Poll::Pending,
            }
        }
    }

    /// Wakes those whose wait is over; whether there are any.
    fn wake(&self, is_over: impl Fn(&Wait) -> bool) -> bool {
        let waiting = self.waiting.borrow();
        let mut over = waiting
            .values()
            .filter(|(wait, _)| is_over(wait))
            .peekable();
        let any = over.peek().is_some();
        over.for_each(|(_, waker)| waker.wake_by_ref());
        any
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        AWAKE.set(None);
    }
}
