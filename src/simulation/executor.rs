//! The tasks of a world.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};

use futures::future::LocalBoxFuture;

use super::{InstanceId, Violation};

/// A task of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TaskId(u64);

#[derive(Default)]
pub(super) struct Tasks {
    spawned: u64,
    live: BTreeMap<TaskId, Task>,
    wakes: Arc<Mutex<Wakes>>,
}

struct Task {
    instance: Option<InstanceId>,
    /// `None` while it is being polled.
    future: Option<LocalBoxFuture<'static, ()>>,
}

/// Behind a lock only because wakers may be sent to other threads.
#[derive(Default)]
struct Wakes {
    woken: VecDeque<TaskId>,
    polling: Option<TaskId>,
    /// A task, and another that woke it.
    violation: Option<(TaskId, TaskId)>,
}

struct TaskWaker {
    task: TaskId,
    wakes: Arc<Mutex<Wakes>>,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        let mut wakes = self.wakes.lock().unwrap();
        if let Some(polling) = wakes.polling.filter(|polling| *polling != self.task) {
            wakes.violation.get_or_insert((self.task, polling));
        }
        if !wakes.woken.contains(&self.task) {
            wakes.woken.push_back(self.task);
        }
    }
}

/// A task that was taken out to be polled.
pub(super) struct TaskPoll {
    pub(super) instance: Option<InstanceId>,
    future: LocalBoxFuture<'static, ()>,
    waker: Waker,
}

impl TaskPoll {
    /// Polls the task and returns whether it has ended.
    pub(super) fn run(&mut self) -> bool {
        let mut context = Context::from_waker(&self.waker);
        self.future.as_mut().poll(&mut context).is_ready()
    }
}

impl Tasks {
    pub(super) fn insert(
        &mut self,
        instance: Option<InstanceId>,
        future: LocalBoxFuture<'static, ()>,
    ) -> TaskId {
        self.spawned += 1;
        let id = TaskId(self.spawned);
        let future = Some(future);
        self.live.insert(id, Task { instance, future });
        self.wakes.lock().unwrap().woken.push_back(id);
        id
    }

    /// Removes a task. Its future is dropped with the returned value.
    pub(super) fn remove(&mut self, id: TaskId) -> impl Sized + use<> {
        self.live.remove(&id)
    }

    /// Removes all tasks of an instance. Their futures are dropped with the returned value.
    pub(super) fn remove_all_of(&mut self, instance: InstanceId) -> impl Sized + use<> {
        let is_of_instance = |task: &Task| task.instance == Some(instance);
        let removed = self.live.extract_if(.., |_, task| is_of_instance(task));
        removed.collect::<Vec<_>>()
    }

    /// Removes all tasks. Their futures are dropped with the returned value.
    pub(super) fn remove_all(&mut self) -> impl Sized + use<> {
        std::mem::take(&mut self.live)
    }

    pub(super) fn next_woken(&mut self) -> Option<TaskId> {
        self.wakes.lock().unwrap().woken.pop_front()
    }

    /// Takes a task out to be polled; `None` if it has ended.
    pub(super) fn begin_poll(&mut self, id: TaskId) -> Option<TaskPoll> {
        let task = self.live.get_mut(&id)?;
        let waker = TaskWaker {
            task: id,
            wakes: self.wakes.clone(),
        };
        let poll = TaskPoll {
            instance: task.instance,
            future: task.future.take()?,
            waker: Waker::from(Arc::new(waker)),
        };
        self.wakes.lock().unwrap().polling = Some(id);
        Some(poll)
    }

    /// Puts a task back, unless it has ended or was removed meanwhile; then its future is dropped with
    /// the returned value.
    pub(super) fn end_poll(
        &mut self,
        id: TaskId,
        poll: TaskPoll,
        has_ended: bool,
    ) -> Option<TaskPoll> {
        self.wakes.lock().unwrap().polling = None;
        if has_ended {
            self.live.remove(&id);
            return Some(poll);
        }
        let Some(task) = self.live.get_mut(&id) else {
            return Some(poll);
        };
        task.future = Some(poll.future);
        None
    }

    /// Reports a task of an instance that was woken by another: the runtime of Spin components cannot do
    /// that.
    pub(super) fn violation(&self) -> Option<Violation> {
        let (woken, waking) = self.wakes.lock().unwrap().violation.take()?;
        let is_of_instance = |id| {
            let task: Option<&Task> = self.live.get(id);
            task.is_some_and(|task| task.instance.is_some())
        };
        [woken, waking]
            .iter()
            .all(is_of_instance)
            .then(|| Violation(format!("{waking:?} wakes {woken:?}, which Spin cannot do")))
    }
}
