//! Virtual time and an executor in it: when every task sleeps, time goes to whatever wakes one next.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use whohas::Instant;
use whohas::sim::{Lan, SharedLan};
use whohas::time::Timer;

/// After so many rounds at one instant nobody is going to rest.
const RESTLESS: u32 = 100_000;

/// A LAN, and tasks that live in its time.
pub struct World {
    pub lan: SharedLan,
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
    pub fn new(seed: u64) -> Self {
        Self {
            lan: SharedLan::new(Lan::new(seed)),
            tasks: RefCell::default(),
        }
    }

    pub fn now(&self) -> Instant {
        self.lan.now()
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
        let (mut rounds, mut since) = (0, self.now());
        loop {
            rounds += 1;
            if since != self.now() {
                (rounds, since) = (0, self.now());
            }
            assert!(rounds < RESTLESS, "nobody ever rests at {since}");
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
        // What was sent on a cable of no length is there.
        self.lan.advance_to(self.now());
        any
    }

    /// Goes to the next time that something happens at. False if nothing will.
    fn next(&self) -> bool {
        let next = self.lan.next_event();
        if let Some(next) = next {
            self.lan.advance_to(next.max(self.now()));
        }
        next.is_some()
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
    let clock = world.lan.clock();
    let (mut future, mut sleep) = (pin!(future), pin!(clock.wait_until(deadline)));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => sleep.as_mut().poll(context).map(|()| None),
    })
    .await
}
