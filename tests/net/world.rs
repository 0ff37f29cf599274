//! Virtual time and an executor in it: when every task sleeps, time goes to whatever wakes one next.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use whohas::Instant;
use whohas::time::{Clock, Timer};

type Alarm = Box<dyn FnOnce()>;

/// The time, and what happens when.
#[derive(Default)]
pub struct World {
    now: Cell<Instant>,
    alarms: RefCell<BTreeMap<(Instant, u64), Alarm>>,
    count: Cell<u64>,
    tasks: RefCell<Vec<Task>>,
}

struct Task {
    woken: Arc<Flag>,
    future: Pin<Box<dyn Future<Output = ()>>>,
}

#[derive(Default)]
pub struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Flag {
    fn raised() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(true)))
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }
}

impl World {
    pub fn new() -> Rc<Self> {
        Rc::new(Self::default())
    }

    /// Has something happen at a time.
    pub fn at(&self, time: Instant, alarm: impl FnOnce() + 'static) {
        self.count.set(self.count.get() + 1);
        self.alarms
            .borrow_mut()
            .insert((time.max(self.now()), self.count.get()), Box::new(alarm));
    }

    /// Adds a task that goes on whenever time does.
    pub fn spawn(&self, future: impl Future<Output = ()> + 'static) {
        self.tasks.borrow_mut().push(Task {
            woken: Flag::raised(),
            future: Box::pin(future),
        });
    }

    /// Lets time pass until the future ends.
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let woken = Flag::raised();
        let waker = Waker::from(woken.clone());
        loop {
            if woken.take()
                && let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker))
            {
                return output;
            }
            if !self.go_round() && !woken.0.load(Ordering::Relaxed) {
                assert!(self.next(), "everybody sleeps for ever");
            }
        }
    }

    /// Everybody does what there is to do now.
    pub fn settle(&self) {
        while self.go_round() {}
    }

    /// Polls every woken task once. True if there was one.
    fn go_round(&self) -> bool {
        let mut any = false;
        let mut tasks = core::mem::take(&mut *self.tasks.borrow_mut());
        tasks.retain_mut(|task| {
            if !task.woken.take() {
                return true;
            }
            any = true;
            let waker = Waker::from(task.woken.clone());
            task.future
                .as_mut()
                .poll(&mut Context::from_waker(&waker))
                .is_pending()
        });
        self.tasks.borrow_mut().append(&mut tasks);
        any
    }

    /// Goes to the next time that something happens at. False if nothing will.
    fn next(&self) -> bool {
        let first = self.alarms.borrow_mut().pop_first();
        let Some(((time, _), alarm)) = first else {
            return false;
        };
        self.now.set(time);
        alarm();
        true
    }
}

impl Clock for World {
    fn now(&self) -> Instant {
        self.now.get()
    }
}

impl Timer for World {
    async fn wait_until(&self, deadline: Instant) {
        let mut set = None;
        poll_fn(|context| {
            if self.now() >= deadline {
                return Poll::Ready(());
            }
            let slot = set.get_or_insert_with(|| {
                let slot = Rc::new(RefCell::new(None::<Waker>));
                let shared = Rc::downgrade(&slot);
                self.at(deadline, move || {
                    if let Some(waker) = shared.upgrade().and_then(|slot| slot.borrow_mut().take())
                    {
                        waker.wake();
                    }
                });
                slot
            });
            *slot.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Polls a future up to `polls` times, as often as it is woken, and drops it; its output if it ended.
pub async fn cut<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Both, until both have ended.
pub async fn both<A: Future, B: Future>(a: A, b: B) -> (A::Output, B::Output) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut of_a, mut of_b) = (None, None);
    poll_fn(|context| {
        if of_a.is_none()
            && let Poll::Ready(output) = a.as_mut().poll(context)
        {
            of_a = Some(output);
        }
        if of_b.is_none()
            && let Poll::Ready(output) = b.as_mut().poll(context)
        {
            of_b = Some(output);
        }
        match (of_a.take(), of_b.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (of_a, of_b) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}

/// The future's output, or `None` if it has not ended by then.
pub async fn until<F: Future>(world: &World, deadline: Instant, future: F) -> Option<F::Output> {
    let (mut future, mut sleep) = (pin!(future), pin!(world.wait_until(deadline)));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => sleep.as_mut().poll(context).map(|()| None),
    })
    .await
}
