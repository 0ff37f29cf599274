//! The board's time: embassy's, and as a clock of whohas'.
//!
//! One CMSDK timer counts for ever, another rings once.

use core::cell::RefCell;
use core::task::Waker;

use critical_section::{CriticalSection, Mutex};
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;
use whohas::Instant;
use whohas::time::{Clock, Timer};

use crate::registers::{ALARM, COUNTER};

const CTRL: usize = 0x0;
const VALUE: usize = 0x4;
const RELOAD: usize = 0x8;
/// Read: whether it rings. Written: it does not any more.
const RINGS: usize = 0xc;

const ENABLE: u32 = 1 << 0;
const INTERRUPT: u32 = 1 << 3;

/// The system clock of the board is 20 MHz.
const TICKS_PER_MICRO: u64 = 20;

/// The program's time.
#[derive(Clone, Copy, Debug, Default)]
pub struct BoardTime;

impl Clock for BoardTime {
    fn now(&self) -> Instant {
        Instant::from_micros(embassy_time_driver::now())
    }

    fn wake_at(&self, deadline: Instant, waker: &Waker) {
        embassy_time_driver::schedule_wake(deadline.as_micros(), waker);
    }
}

impl Timer for BoardTime {
    async fn wait_until(&self, deadline: Instant) {
        embassy_time::Timer::at(embassy_time::Instant::from_micros(deadline.as_micros())).await;
    }
}

/// Starts the time. Once.
pub fn start() {
    COUNTER.write(RELOAD, u32::MAX);
    COUNTER.write(VALUE, u32::MAX);
    COUNTER.write(CTRL, ENABLE | INTERRUPT);
}

/// How many ticks of 50 ns have passed since the time was started.
pub fn ticks() -> u64 {
    critical_section::with(|section| DRIVER.state.borrow_ref_mut(section).ticks())
}

pub(crate) fn on_interrupt() {
    critical_section::with(|section| {
        ALARM.write(CTRL, 0);
        ALARM.write(RINGS, 1);
        DRIVER.ring(section);
    });
}

struct BoardDriver {
    state: Mutex<RefCell<State>>,
}

struct State {
    queue: Queue,
    /// How often the counter has come to its end.
    rounds: u32,
}

embassy_time_driver::time_driver_impl!(static DRIVER: BoardDriver = BoardDriver {
    state: Mutex::new(RefCell::new(State { queue: Queue::new(), rounds: 0 })),
});

impl Driver for BoardDriver {
    fn now(&self) -> u64 {
        ticks() / TICKS_PER_MICRO
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|section| {
            let sooner = self
                .state
                .borrow_ref_mut(section)
                .queue
                .schedule_wake(at, waker);
            if sooner {
                self.ring(section);
            }
        });
    }
}

impl BoardDriver {
    /// Wakes those whose time has come, and sets the alarm for the next.
    fn ring(&self, section: CriticalSection<'_>) {
        let mut state = self.state.borrow_ref_mut(section);
        loop {
            let now = state.ticks();
            let next = state.queue.next_expiration(now / TICKS_PER_MICRO);
            if next == u64::MAX {
                return;
            }
            let wait = next.saturating_mul(TICKS_PER_MICRO).saturating_sub(now);
            if wait > 0 {
                // What is further away than the alarm can count is looked at again on the way.
                set_alarm(u32::try_from(wait).unwrap_or(u32::MAX));
                return;
            }
        }
    }
}

fn set_alarm(ticks: u32) {
    ALARM.write(CTRL, 0);
    ALARM.write(RINGS, 1);
    ALARM.write(RELOAD, ticks);
    ALARM.write(VALUE, ticks);
    ALARM.write(CTRL, ENABLE | INTERRUPT);
}

impl State {
    fn ticks(&mut self) -> u64 {
        let mut value = COUNTER.read(VALUE);
        if COUNTER.read(RINGS) & 1 != 0 {
            COUNTER.write(RINGS, 1);
            self.rounds += 1;
            // It may have been read before the end came.
            value = COUNTER.read(VALUE);
        }
        (u64::from(self.rounds) << 32) + u64::from(u32::MAX - value)
    }
}
