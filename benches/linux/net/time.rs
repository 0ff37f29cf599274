//! One clock for all: microseconds since the start, for `net` and for embassy's stack, and an executor
//! that sleeps until the driver or that clock has something to do.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use embassy_time_driver::Driver;
use whohas_linux::Waiter;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

pub(crate) fn micros() -> u64 {
    START.elapsed().as_micros() as u64
}

/// As a clock of the stack's.
pub(crate) fn now() -> whohas::Instant {
    whohas::Instant::from_micros(micros())
}

thread_local! {
    /// One for each task that wants to be woken, as embassy's own queues have it.
    static ALARMS: RefCell<Vec<(u64, Waker)>> = const { RefCell::new(Vec::new()) };
}

struct RealTime;

impl Driver for RealTime {
    fn now(&self) -> u64 {
        micros()
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        ALARMS.with_borrow_mut(|alarms| {
            match alarms.iter_mut().find(|(_, other)| other.will_wake(waker)) {
                Some((when, _)) => *when = at.min(*when),
                None => alarms.push((at, waker.clone())),
            }
        });
    }
}

embassy_time_driver::time_driver_impl!(static DRIVER: RealTime = RealTime);

/// Wakes who waits for this time; how long it is to the next alarm.
fn ring_alarms() -> Option<Duration> {
    let now = micros();
    let mut due = Vec::new();
    let next = ALARMS.with_borrow_mut(|alarms| {
        alarms.retain(|(at, waker)| {
            if *at <= now {
                due.push(waker.clone());
            }
            *at > now
        });
        alarms.iter().map(|(at, _)| *at).min()
    });
    due.into_iter().for_each(Waker::wake);
    next.map(|next| Duration::from_micros(next - now))
}

/// Whether a task was woken.
pub(crate) struct Flag(AtomicBool);

impl Flag {
    pub(crate) fn raised() -> Arc<Self> {
        Arc::new(Self(AtomicBool::new(true)))
    }

    pub(crate) fn take(&self) -> bool {
        self.0.swap(false, Relaxed)
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Relaxed);
    }
}

/// Runs `future` beside `runner`, two tasks on one thread, until it ends.
pub(crate) fn run_beside<F: Future>(
    runner: &mut Pin<Box<dyn Future<Output = ()>>>,
    waiter: &Waiter,
    future: F,
) -> F::Output {
    let mut future = pin!(future);
    let flags = [Flag::raised(), Flag::raised()];
    let [of_runner, of_future] = &flags;
    let wakers = flags.clone().map(Waker::from);
    let [for_runner, for_future] = &wakers;
    loop {
        if of_runner.take() {
            let ended = runner.as_mut().poll(&mut Context::from_waker(for_runner));
            assert!(ended.is_pending(), "stacks run for ever");
        }
        if of_future.take()
            && let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(for_future))
        {
            return output;
        }
        // After the tasks, which may have set new ones.
        let next = ring_alarms();
        if !flags.iter().any(|flag| flag.is_raised()) {
            waiter.wait(next).expect("poll works");
        }
    }
}

/// Keeps the stack beside which it is run busy until then.
pub(crate) async fn spin(until: Instant) {
    poll_fn(|context| {
        if Instant::now() >= until {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
