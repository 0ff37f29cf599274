//! [`Tasks`]: an executor for the tasks of one loop.
//!
//! It is one of our own because the loop wants more than the known ones give: a number of tasks that is
//! bounded, so that nothing is allocated when one is woken; no task polled twice in a turn, so that the
//! queue comes round; and a set of tasks that has them all in its hands, so that dropping it returns what
//! they have, whatever other threads do with their wakers at that moment.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crossbeam_queue::ArrayQueue;

use super::parker::Parker;

/// The tasks of one loop, made by [`Lcore::tasks`](super::Lcore::tasks).
///
/// Make it after whatever the tasks borrow. They run on this thread only, while the loop does, and are
/// dropped with this.
pub struct Tasks<'a>(Rc<Set<'a>>);

/// Starts tasks beside the one that has it. Clones are for the same loop.
#[derive(Clone)]
pub struct Spawner<'a>(Weak<Set<'a>>);

/// Why a task was not started. It was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The loop has ended.
    #[error("the loop has ended: its tasks are told so before, by `Lcore::stopping`")]
    Ended,
    /// There are as many tasks as there may be.
    #[error("there are {limit} tasks already: wait for one to end, or raise `RunOptions::tasks`")]
    Full {
        /// How many there may be.
        limit: usize,
    },
}

type Task<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

struct Set<'a> {
    slots: RefCell<Slots<'a>>,
    /// How many tasks have not ended.
    running: Cell<usize>,
    ready: Arc<Ready>,
}

#[derive(Default)]
struct Slots<'a> {
    all: Vec<Slot<'a>>,
    free: Vec<usize>,
}

struct Slot<'a> {
    /// Not there while it is polled, nor in a slot that is free.
    task: Option<Task<'a>>,
    /// For all tasks that come to this place, so that a task which begins allocates no other. Whoever
    /// wakes one that has ended has its successor polled once for nothing.
    flag: Arc<Flag>,
    waker: Waker,
}

/// The numbers of tasks that want to be polled, each at most once.
struct Ready {
    queue: ArrayQueue<usize>,
    parker: Arc<Parker>,
}

struct Flag {
    number: usize,
    is_queued: AtomicBool,
    ready: Arc<Ready>,
}

impl<'a> Tasks<'a> {
    pub(super) fn new(limit: usize, parker: Arc<Parker>) -> Self {
        Self(Rc::new(Set {
            slots: RefCell::default(),
            running: Cell::new(0),
            ready: Arc::new(Ready {
                queue: ArrayQueue::new(limit.max(1)),
                parker,
            }),
        }))
    }

    /// Starts a task.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'a) -> Result<(), SpawnError> {
        self.0.spawn(Box::pin(task))
    }

    /// For tasks that start others.
    pub fn spawner(&self) -> Spawner<'a> {
        Spawner(Rc::downgrade(&self.0))
    }

    /// How many have not ended.
    pub fn len(&self) -> usize {
        self.0.running.get()
    }

    /// Whether all have ended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Polls those that want to be, each once, but no more than `budget`. Returns how many that were.
    pub(super) fn poll(&self, budget: usize) -> usize {
        let ready = &self.0.ready.queue;
        let count = ready.len().min(budget);
        for _ in 0..count {
            let Some(number) = ready.pop() else { break };
            self.0.poll(number);
        }
        count
    }

    pub(super) fn is_any_ready(&self) -> bool {
        !self.0.ready.queue.is_empty()
    }
}

impl<'a> Spawner<'a> {
    /// Starts a task.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'a) -> Result<(), SpawnError> {
        let set = self.0.upgrade().ok_or(SpawnError::Ended)?;
        set.spawn(Box::pin(task))
    }
}

impl<'a> Set<'a> {
    fn spawn(&self, task: Task<'a>) -> Result<(), SpawnError> {
        let flag = self.slots.borrow_mut().put(task, &self.ready)?;
        self.running.set(self.running.get() + 1);
        flag.raise();
        Ok(())
    }

    fn poll(&self, number: usize) {
        let (task, waker) = {
            let slot = &mut self.slots.borrow_mut().all[number];
            // From now on whoever wakes it has it polled again.
            slot.flag.is_queued.store(false, Ordering::Release);
            (slot.task.take(), slot.waker.clone())
        };
        let Some(mut task) = task else { return };
        // Nothing is borrowed: a task may start others, when it is polled and when it is dropped.
        let poll = task.as_mut().poll(&mut Context::from_waker(&waker));
        match poll {
            Poll::Pending => self.slots.borrow_mut().all[number].task = Some(task),
            Poll::Ready(()) => {
                drop(task);
                self.running.set(self.running.get() - 1);
                self.slots.borrow_mut().free.push(number);
            }
        }
    }
}

impl<'a> Slots<'a> {
    fn put(&mut self, task: Task<'a>, ready: &Arc<Ready>) -> Result<Arc<Flag>, SpawnError> {
        if let Some(number) = self.free.pop() {
            let slot = &mut self.all[number];
            slot.task = Some(task);
            return Ok(slot.flag.clone());
        }
        let number = self.all.len();
        let limit = ready.queue.capacity();
        if number == limit {
            return Err(SpawnError::Full { limit });
        }
        let flag = Arc::new(Flag {
            number,
            is_queued: AtomicBool::new(false),
            ready: ready.clone(),
        });
        self.all.push(Slot {
            task: Some(task),
            waker: flag.clone().into(),
            flag: flag.clone(),
        });
        Ok(flag)
    }
}

impl Flag {
    fn raise(&self) {
        if self.is_queued.swap(true, Ordering::AcqRel) {
            return;
        }
        // There is room: each number is there once, and there are no more than fit.
        let pushed = self.ready.queue.push(self.number);
        debug_assert!(pushed.is_ok(), "a task is queued once");
        self.ready.parker.end_sleep();
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.raise();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.raise();
    }
}

impl fmt::Debug for Tasks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasks")
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Spawner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawner").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};
    use std::thread;

    use super::*;

    fn tasks<'a>(limit: usize) -> Tasks<'a> {
        Tasks::new(limit, Parker::here())
    }

    /// A task that wakes itself for ever, and counts how often it is polled.
    async fn restless(polls: &Cell<u32>) {
        poll_fn(|context| {
            polls.set(polls.get() + 1);
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        })
        .await;
    }

    #[test]
    fn a_task_that_wakes_itself_is_polled_once_in_a_turn() {
        let polls = Cell::new(0);
        let tasks = tasks(4);
        tasks.spawn(restless(&polls)).unwrap();
        for turn in 1..=3 {
            assert_eq!(tasks.poll(64), 1);
            assert_eq!(polls.get(), turn);
        }
    }

    #[test]
    fn the_budget_goes_round() {
        let polls: [Cell<u32>; 5] = Default::default();
        let tasks = tasks(5);
        for polls in &polls {
            tasks.spawn(restless(polls)).unwrap();
        }
        for _ in 0..5 {
            assert_eq!(tasks.poll(2), 2);
        }
        assert!(polls.iter().all(|polls| polls.get() == 2));
    }

    #[test]
    fn a_full_set_says_so_until_a_task_has_ended() {
        let tasks = tasks(1);
        tasks.spawn(async {}).unwrap();
        let full = Err(SpawnError::Full { limit: 1 });
        assert_eq!(tasks.spawn(async {}), full);
        assert_eq!(tasks.poll(64), 1);
        assert!(tasks.is_empty());
        tasks.spawn(async {}).unwrap();
        assert_eq!(tasks.len(), 1);
    }

    #[test]
    fn tasks_start_tasks_that_borrow_what_they_borrow() {
        let ran = Cell::new(0);
        let tasks = tasks(8);
        let spawner = tasks.spawner();
        tasks
            .spawn(async {
                let more = spawner;
                for _ in 0..3 {
                    more.spawn(async { ran.set(ran.get() + 1) }).unwrap();
                }
            })
            .unwrap();
        assert_eq!(tasks.poll(64), 1);
        assert_eq!(tasks.poll(64), 3);
        assert_eq!(ran.get(), 3);
    }

    #[test]
    fn a_task_that_is_dropped_with_its_set_can_start_no_other() {
        struct Last<'a>(Spawner<'a>, &'a Cell<Option<SpawnError>>);
        impl Drop for Last<'_> {
            fn drop(&mut self) {
                self.1.set(self.0.spawn(async {}).err());
            }
        }
        let seen = Cell::new(None);
        let tasks = tasks(8);
        let last = Last(tasks.spawner(), &seen);
        tasks
            .spawn(async move {
                let _last = last;
                pending::<()>().await;
            })
            .unwrap();
        tasks.poll(64);
        drop(tasks);
        assert_eq!(seen.get(), Some(SpawnError::Ended));
    }

    #[test]
    fn wakers_of_tasks_that_have_ended_do_no_harm() {
        let kept = RefCell::new(None);
        let polls = Cell::new(0);
        let tasks = tasks(1);
        tasks
            .spawn(poll_fn(|context| {
                *kept.borrow_mut() = Some(context.waker().clone());
                Poll::Ready(())
            }))
            .unwrap();
        tasks.poll(64);
        let old = kept.take().unwrap();
        old.wake_by_ref();
        assert_eq!(tasks.poll(64), 1);
        tasks.spawn(restless(&polls)).unwrap();
        // It stands in line already.
        old.wake_by_ref();
        assert_eq!(tasks.poll(64), 1);
        assert_eq!(polls.get(), 1);
        drop(tasks);
        thread::scope(|scope| {
            scope.spawn(|| old.wake());
        });
    }

    #[test]
    fn wake_ups_from_many_threads_queue_a_task_once() {
        let kept = RefCell::new(None);
        let tasks = tasks(2);
        tasks
            .spawn(poll_fn(|context| {
                *kept.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }))
            .unwrap();
        tasks.poll(64);
        let waker = kept.take().unwrap();
        thread::scope(|scope| {
            for _ in 0..4 {
                let waker = waker.clone();
                scope.spawn(move || (0..1000).for_each(|_| waker.wake_by_ref()));
            }
        });
        assert_eq!(tasks.poll(64), 1);
        assert!(!tasks.is_any_ready());
    }

    #[test]
    fn a_task_that_panics_takes_the_others_with_it_in_order() {
        let held = Rc::new(());
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let tasks = tasks(4);
            let other = held.clone();
            let spawned = tasks.spawn(async move {
                let _other = other;
                pending::<()>().await;
            });
            spawned.unwrap();
            tasks.spawn(async { panic!("on purpose") }).unwrap();
            tasks.poll(64);
        }));
        assert!(caught.is_err());
        assert_eq!(Rc::strong_count(&held), 1);
    }
}
