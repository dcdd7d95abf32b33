//! One task of an instance carries all of its streams that have nothing to do but wait.
//!
//! A task that sleeps costs the host a timer, an event and a call into the component each time it
//! wakes, tens of microseconds, and an idle stream wakes twice a second only to find that another has
//! looked. So the first stream that comes to rest stays awake for all: a stream that comes to rest
//! after it goes on board, its own task ends, and the carrier polls it when its time has come. What
//! a stream waits for beside time (a write, a read of the store) it waits for where it is; both work
//! in any task of the instance.
//!
//! No task wakes another: wit-bindgen cannot do that. A stream goes on board only if the carrier is
//! awake by itself no later than the stream wants to be; else it sleeps on its own once more.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

use super::{clock, tail};
use crate::core::time::Mono;

thread_local! {
    /// What the stream that was polled last waits for, if it rests.
    static RESTING: Cell<Option<Rest>> = const { Cell::new(None) };
    /// When the carrier wakes, if there is one.
    static AWAKE: Cell<Option<Mono>> = const { Cell::new(None) };
    /// The streams that are going on board.
    static BOARDING: RefCell<Vec<Passenger>> = const { RefCell::new(vec![]) };
}

type Passenger = LocalBoxFuture<'static, ()>;

#[derive(Clone, Copy)]
struct Rest {
    until: Mono,
    /// Whether it also ends when another stream has read a head.
    or_news: bool,
}

/// Waits until the monotonic clock shows `until`; with `or_news` it may end when another stream has
/// read a head. Only for futures that [`carry`] runs, and while they wait for nothing else.
pub async fn rest(until: Mono, or_news: bool) {
    let began = tail::reads();
    futures::future::poll_fn(|_| {
        if clock::mono() >= until || (or_news && tail::reads() != began) {
            return Poll::Ready(());
        }
        RESTING.set(Some(Rest { until, or_news }));
        Poll::Pending
    })
    .await;
}

/// Runs a stream: in this task while it has something to do, then in the one that carries. Returns
/// when this task is not needed any more.
pub(super) async fn carry(stream: impl Future<Output = ()> + 'static) {
    let mut stream = stream.boxed_local();
    while let Some(rest) = run(&mut stream).await {
        match AWAKE.get() {
            None => return Carrier::new(stream).run().await,
            Some(awake) if awake <= rest.until => {
                return BOARDING.with_borrow_mut(|boarding| boarding.push(stream));
            }
            Some(_) => clock::sleep_until(rest.until).await,
        }
    }
}

/// Runs a stream until it rests; `None` when it has ended.
async fn run(stream: &mut Passenger) -> Option<Rest> {
    futures::future::poll_fn(|context| match poll(stream, context) {
        (Poll::Ready(()), _) => Poll::Ready(None),
        (Poll::Pending, Some(rest)) => Poll::Ready(Some(rest)),
        (Poll::Pending, None) => Poll::Pending,
    })
    .await
}

fn poll(stream: &mut Passenger, context: &mut Context<'_>) -> (Poll<()>, Option<Rest>) {
    RESTING.set(None);
    let result = stream.as_mut().poll(context);
    (result, RESTING.take())
}

/// The streams on board.
struct Carrier {
    streams: FuturesUnordered<Carried>,
    resting: Resting,
    /// The sleep until the next of them has to be woken.
    sleep: Option<(Mono, LocalBoxFuture<'static, ()>)>,
}

/// Those that rest, and how to wake them.
type Resting = Rc<RefCell<Vec<(Rest, Waker)>>>;

struct Carried {
    stream: Passenger,
    resting: Resting,
}

impl Future for Carried {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let (result, rest) = poll(&mut self.stream, context);
        if let Some(rest) = rest {
            let mut resting = self.resting.borrow_mut();
            resting.push((rest, context.waker().clone()));
        }
        result
    }
}

impl Carrier {
    fn new(first: Passenger) -> Self {
        let mut carrier = Self {
            streams: FuturesUnordered::new(),
            resting: Resting::default(),
            sleep: None,
        };
        AWAKE.set(Some(clock::mono()));
        carrier.board(first);
        carrier
    }

    fn board(&mut self, stream: Passenger) {
        let resting = self.resting.clone();
        self.streams.push(Carried { stream, resting });
    }

    /// Carries until nobody is on board.
    async fn run(mut self) {
        futures::future::poll_fn(|context| self.poll(context)).await;
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            for stream in BOARDING.take() {
                self.board(stream);
            }
            let before = tail::reads();
            self.wake(|rest| clock::mono() >= rest.until);
            while let Poll::Ready(ended) = self.streams.poll_next_unpin(context) {
                if ended.is_none() {
                    return Poll::Ready(());
                }
            }
            if tail::reads() != before && self.wake(|rest| rest.or_news) {
                continue;
            }
            if self.sleep(context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Wakes those whose rest is over; whether there are any.
    fn wake(&mut self, is_over: impl Fn(&Rest) -> bool) -> bool {
        let mut resting = self.resting.borrow_mut();
        let count = resting.len();
        resting.retain(|(rest, waker)| match is_over(rest) {
            true => {
                waker.wake_by_ref();
                false
            }
            false => true,
        });
        resting.len() < count
    }

    /// Sleeps until the first of those who rest has to be woken.
    fn sleep(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let first = self
            .resting
            .borrow()
            .iter()
            .map(|(rest, _)| rest.until)
            .min();
        // Without any, everybody waits for the host, and when that is over nobody knows.
        let until = first.unwrap_or(Mono(u64::MAX));
        AWAKE.set(Some(until));
        if self.sleep.as_ref().is_none_or(|(set, _)| *set != until) {
            self.sleep = first.map(|until| (until, clock::sleep_until(until).boxed_local()));
        }
        match &mut self.sleep {
            Some((_, sleep)) => sleep.as_mut().poll(context),
            None => Poll::Pending,
        }
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        AWAKE.set(None);
    }
}
