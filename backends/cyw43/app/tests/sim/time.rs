//! embassy's time, which the MQTT client reads: what the test's LAN says.

use std::cell::RefCell;
use std::task::Waker;

use embassy_time_driver::Driver;
use whohas::Instant;
use whohas::sim::LanClock;
use whohas::time::Clock;

thread_local! {
    static CLOCK: RefCell<Option<LanClock>> = const { RefCell::new(None) };
}

struct LanTime;

impl Driver for LanTime {
    fn now(&self) -> u64 {
        with(|clock| clock.now().as_micros())
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        with(|clock| clock.wake_at(Instant::from_micros(at), waker));
    }
}

embassy_time_driver::time_driver_impl!(static DRIVER: LanTime = LanTime);

fn with<R>(act: impl FnOnce(&LanClock) -> R) -> R {
    CLOCK.with_borrow(|clock| act(clock.as_ref().expect("a test with a LAN")))
}

/// This thread's time is this LAN's.
pub fn follow(clock: LanClock) {
    CLOCK.set(Some(clock));
}
