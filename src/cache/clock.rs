//! The cache's own time, which never goes backwards, and the token bucket that counts in it.

use core::time::Duration;

use super::policy::Rate;
use crate::time::{Instant, micros_of};

/// A caller's clock that jumps back further than this has been set anew.
const JITTER: Duration = Duration::from_secs(1);

/// Turns the caller's time into one that never goes backwards, and deadlines back into the
/// caller's.
///
/// A small step back (two threads that read the clock and swapped places) is taken as no time at
/// all. A large one means that the clock was set anew: time goes on from where it was, so that no
/// timer waits for the old time to come round again.
#[derive(Debug)]
pub(super) struct Clock {
    /// The latest time of the caller's.
    caller: Instant,
    /// By how many microseconds all settings of the caller's clock together have put it back.
    behind: u64,
}

impl Clock {
    pub(super) const fn new() -> Self {
        Self {
            caller: Instant::ZERO,
            behind: 0,
        }
    }

    /// What time it is in the cache.
    #[inline]
    pub(super) const fn now(&self) -> Instant {
        Instant::from_micros(self.caller.as_micros().saturating_add(self.behind))
    }

    #[inline]
    pub(super) fn advance(&mut self, caller: Instant) -> Instant {
        if caller >= self.caller {
            self.caller = caller;
        } else if self.caller - caller > JITTER {
            let back = self.caller.as_micros() - caller.as_micros();
            self.behind = self.behind.saturating_add(back);
            self.caller = caller;
        }
        self.now()
    }

    /// The caller's name for a time of the cache's.
    #[inline]
    pub(super) const fn for_caller(&self, deadline: Instant) -> Instant {
        Instant::from_micros(deadline.as_micros().saturating_sub(self.behind))
    }
}

/// A token bucket, kept as the one time at which it would be full again (the generic cell rate
/// algorithm): no refill to run, no remainder to lose.
#[derive(Debug)]
pub(super) struct Bucket {
    full_at: Instant,
}

impl Bucket {
    pub(super) const fn new() -> Self {
        Self {
            full_at: Instant::ZERO,
        }
    }

    /// When the next token is there.
    #[inline]
    pub(super) fn next(&self, rate: Rate) -> Instant {
        let Rate { interval, burst } = rate;
        let saved_up = micros_of(interval).saturating_mul(u64::from(burst.max(1)) - 1);
        Instant::from_micros(self.full_at.as_micros().saturating_sub(saved_up))
    }

    /// Takes a token if there is one.
    #[inline]
    pub(super) fn take(&mut self, now: Instant, rate: Rate) -> bool {
        let there = self.next(rate) <= now;
        if there {
            self.full_at = self.full_at.max(now) + rate.interval;
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_no_time_and_a_clock_set_back_goes_on_from_where_it_was() {
        let mut clock = Clock::new();
        assert_eq!(
            clock.advance(Instant::from_secs(100)),
            Instant::from_secs(100)
        );
        assert_eq!(
            clock.advance(Instant::from_secs(99)),
            Instant::from_secs(100)
        );
        assert_eq!(
            clock.advance(Instant::from_secs(101)),
            Instant::from_secs(101)
        );
        assert_eq!(
            clock.advance(Instant::from_secs(10)),
            Instant::from_secs(101)
        );
        assert_eq!(
            clock.advance(Instant::from_secs(11)),
            Instant::from_secs(102)
        );
        assert_eq!(
            clock.for_caller(Instant::from_secs(103)),
            Instant::from_secs(12)
        );
        assert_eq!(
            clock.for_caller(Instant::from_secs(100)),
            Instant::from_secs(9)
        );
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_one_per_interval() {
        let rate = Rate {
            interval: Duration::from_millis(10),
            burst: 3,
        };
        let mut bucket = Bucket::new();
        let start = Instant::from_secs(1);
        assert_eq!(
            [(); 4].map(|()| bucket.take(start, rate)),
            [true, true, true, false]
        );
        let next = start + rate.interval;
        assert_eq!(bucket.next(rate), next);
        assert!(!bucket.take(next - Duration::from_micros(1), rate));
        assert!(bucket.take(next, rate));
        assert!(!bucket.take(next, rate));
    }
}
