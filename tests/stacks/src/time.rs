//! embassy's time, one for each test: what the test's LAN says.

use core::task::Waker;
use std::cell::{Cell, RefCell};

use embassy_time_driver::Driver;
use whohas::Instant;
use whohas::time::Clock;

thread_local! {
    static NOW: Cell<u64> = const { Cell::new(0) };
    static ALARMS: RefCell<Vec<(u64, Waker)>> = const { RefCell::new(Vec::new()) };
}

struct LanTime;

impl Driver for LanTime {
    fn now(&self) -> u64 {
        NOW.get()
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        ALARMS.with_borrow_mut(|alarms| {
            let same = |(when, other): &(u64, Waker)| *when == at && other.will_wake(waker);
            if !alarms.iter().any(same) {
                alarms.push((at, waker.clone()));
            }
        });
    }
}

embassy_time_driver::time_driver_impl!(static DRIVER: LanTime = LanTime);

/// It is this late now: wakes who waits for it.
pub fn set(now: Instant) {
    let now = now.as_micros();
    NOW.set(now);
    let due = ALARMS.with_borrow_mut(|alarms| {
        let (due, later) = alarms
            .drain(..)
            .partition::<Vec<_>, _>(|(at, _)| *at <= now);
        *alarms = later;
        due
    });
    due.into_iter().for_each(|(_, waker)| waker.wake());
}

/// When somebody wants to be woken next.
pub fn next() -> Option<Instant> {
    let next = ALARMS.with_borrow(|alarms| alarms.iter().map(|(at, _)| *at).min());
    next.map(Instant::from_micros)
}

/// embassy's time as the clock of a link: what firmware writes too, with `embassy_time_driver`.
#[derive(Clone, Copy, Debug)]
pub struct EmbassyClock;

impl Clock for EmbassyClock {
    fn now(&self) -> Instant {
        Instant::from_micros(embassy_time_driver::now())
    }

    fn wake_at(&self, deadline: Instant, waker: &Waker) {
        embassy_time_driver::schedule_wake(deadline.as_micros(), waker);
    }
}
