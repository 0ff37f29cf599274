//! The global limits: a token bucket.

use super::policy::Rate;
use crate::time::{Instant, Stored, micros_of};

/// A token bucket, kept as the one time at which it would be full again (the generic cell rate
/// algorithm): no refill to run, no remainder to lose.
#[derive(Debug)]
pub(super) struct Bucket {
    full_at: Stored,
}

impl Bucket {
    pub(super) const fn new() -> Self {
        Self {
            full_at: Stored::new(Instant::ZERO),
        }
    }

    /// When the next token is there.
    pub(super) fn next(&self, rate: Rate) -> Instant {
        let Rate { interval, burst } = rate;
        let saved_up = micros_of(interval).saturating_mul(u64::from(burst.max(1) - 1));
        Instant::from_micros(self.full_at.get().as_micros().saturating_sub(saved_up))
    }

    /// Takes a token if there is one.
    #[cfg_attr(target_pointer_width = "64", inline)] // longer than a call: not on a chip
    pub(super) fn take(&mut self, now: Instant, rate: Rate) -> bool {
        let there = self.next(rate) <= now;
        if there {
            self.full_at = Stored::new(self.full_at.get().max(now) + rate.interval);
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

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
