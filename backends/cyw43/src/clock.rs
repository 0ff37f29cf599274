//! [`EmbassyClock`]: embassy's time as ours.

use core::future::poll_fn;
use core::task::{Poll, Waker};

use embassy_time_driver::{TICK_HZ, now, schedule_wake};
use whohas::Instant;
use whohas::time::{Clock, Timer};

/// The time driver that the program has for embassy-time 0.5, at whatever tick rate.
///
/// What is told is never ahead of the driver's time, and nobody is woken before his deadline: both are
/// rounded to that side. Who waits has to run on an executor that the driver's timer queue can serve;
/// embassy's own always does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EmbassyClock;

impl Clock for EmbassyClock {
    fn now(&self) -> Instant {
        Instant::from_micros(micros(now(), TICK_HZ))
    }

    fn wake_at(&self, deadline: Instant, waker: &Waker) {
        schedule_wake(ticks(deadline.as_micros(), TICK_HZ), waker);
    }
}

impl Timer for EmbassyClock {
    async fn wait_until(&self, deadline: Instant) {
        let deadline = ticks(deadline.as_micros(), TICK_HZ);
        poll_fn(|context| {
            if now() >= deadline {
                return Poll::Ready(());
            }
            schedule_wake(deadline, context.waker());
            Poll::Pending
        })
        .await;
    }
}

const MICROS: u64 = 1_000_000;

/// How many whole microseconds have passed after so many ticks.
const fn micros(ticks: u64, hz: u64) -> u64 {
    scale(ticks, hz, MICROS, 0)
}

/// After how many ticks so many microseconds have passed.
const fn ticks(micros: u64, hz: u64) -> u64 {
    scale(micros, MICROS, hz, MICROS - 1)
}

/// `time` in units of which `from` make a second, in units of which `to` do; in two parts, as the
/// product of both needs more than 64 bits.
const fn scale(time: u64, from: u64, to: u64, rounding: u64) -> u64 {
    if from == to {
        return time;
    }
    let (secs, rest) = (time / from, time % from);
    let rest = (rest * to + rounding) / from;
    secs.saturating_mul(to).saturating_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From one tick a second to the fastest timer of embassy's.
    const RATES: [u64; 7] = [
        1,
        1_000,
        32_768,
        1_000_000,
        12_000_000,
        150_000_000,
        5_242_880_000,
    ];

    #[test]
    fn at_a_deadline_it_is_time_and_a_tick_before_it_is_not() {
        for hz in RATES {
            for deadline in [
                1,
                999,
                30_517,
                30_518,
                999_999,
                1_000_000,
                31_536_000_000_001,
            ] {
                let at = ticks(deadline, hz);
                assert!(micros(at, hz) >= deadline, "{deadline} us at {hz} Hz");
                assert!(micros(at - 1, hz) < deadline, "{deadline} us at {hz} Hz");
            }
        }
    }

    #[test]
    fn whole_seconds_are_exact_at_every_rate() {
        for hz in RATES {
            assert_eq!(micros(7 * hz, hz), 7 * MICROS);
            assert_eq!(ticks(7 * MICROS, hz), 7 * hz);
        }
    }

    #[test]
    fn never_is_never_at_every_rate() {
        for hz in RATES {
            let never = ticks(Instant::FAR_FUTURE.as_micros(), hz);
            assert!(never >= u64::MAX / MICROS, "{never} ticks at {hz} Hz");
            assert!(micros(u64::MAX, hz) >= u64::MAX / hz);
        }
    }
}
