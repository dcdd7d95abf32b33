//! The world as one instance sees it.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::FutureExt;

use super::{EventKey, InstanceId, SimulatedStore, State, TaskId};
use crate::core::environment::{Environment, LogLineLost};
use crate::core::time::{ClockReading, Instant};

/// The environment of one instance. Clones are handles to it.
#[derive(Clone)]
pub(crate) struct SimulatedEnvironment {
    world: Rc<State>,
    instance: InstanceId,
}

impl SimulatedEnvironment {
    pub(super) const fn new(world: Rc<State>, instance: InstanceId) -> Self {
        Self { world, instance }
    }

    pub(crate) const fn id(&self) -> InstanceId {
        self.instance
    }

    /// Returns a handle to the store that all instances share.
    pub(crate) fn store(&self) -> SimulatedStore {
        SimulatedStore::new(self.world.clone(), self.instance)
    }

    /// Runs `task` in this instance; the test may kill it alone.
    pub(crate) fn spawn_task(&self, task: impl Future<Output = ()> + 'static) -> TaskId {
        self.world.spawn(Some(self.instance), task.boxed_local())
    }
}

impl Environment for SimulatedEnvironment {
    fn clock(&self) -> ClockReading {
        self.world.clock()
    }

    fn uptime(&self) -> Duration {
        Duration::from_millis(self.now().0)
    }

    fn random(&self) -> u64 {
        self.world.random.borrow_mut().u64(..)
    }

    fn sleep_until(&self, until: Instant) -> impl Future<Output = ()> + 'static {
        Sleep {
            world: self.world.clone(),
            until,
            timer: None,
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.spawn_task(task);
    }

    fn write_log_line(&self, line: &[u8]) -> Result<(), LogLineLost> {
        self.world.write_log_line(line);
        Ok(())
    }
}

/// A sleep. It takes a millisecond at least, so that a task that waits in a loop for a time that has
/// passed moves the clock.
struct Sleep {
    world: Rc<State>,
    until: Instant,
    timer: Option<Timer>,
}

struct Timer {
    /// `None` if it never rings.
    event: Option<EventKey>,
    alarm: Rc<Alarm>,
}

/// The future of something that happens once, and the event that makes it happen.
#[derive(Default)]
pub(super) struct Alarm {
    has_rung: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Alarm {
    pub(super) fn ring(&self) {
        self.has_rung.set(true);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    pub(super) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        if self.has_rung.get() {
            return Poll::Ready(());
        }
        self.waker.replace(Some(context.waker().clone()));
        Poll::Pending
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self {
            world,
            until,
            timer,
        } = &mut *self;
        let timer = timer.get_or_insert_with(|| {
            let alarm = Rc::new(Alarm::default());
            let at = world.after(1).max(*until);
            let event = (at != Instant::NEVER).then(|| {
                let alarm = alarm.clone();
                world.schedule(at, move |_| alarm.ring())
            });
            Timer { event, alarm }
        });
        timer.alarm.poll(context)
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(event) = self.timer.as_ref().and_then(|timer| timer.event) {
            self.world.cancel(event);
        }
    }
}
