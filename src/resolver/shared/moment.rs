//! One time for queues that each read the clock for themselves, and swap places before they say so.

use crate::time::{Instant, JITTER};

/// What a queue says the time is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    now: Instant,
    /// The queue has said a much later time before: its clock was set anew.
    set_back: bool,
}

impl Moment {
    /// From somebody who has said no time before.
    pub(super) fn at(now: Instant) -> Self {
        Self {
            now,
            set_back: false,
        }
    }

    /// From a queue that said `last` before.
    #[inline]
    pub(super) fn after(last: Instant, now: Instant) -> Self {
        let set_back = last.as_micros().saturating_sub(now.as_micros()) > JITTER;
        Self { now, set_back }
    }

    #[inline]
    pub(super) fn is_set_back(self) -> bool {
        self.set_back
    }

    /// The latest time there is, if it was `latest` before.
    #[inline]
    pub(super) fn latest(self, latest: Instant) -> Instant {
        if self.set_back {
            self.now
        } else {
            self.now.max(latest)
        }
    }
}

/// The latest of all queues' times. What a queue brings late, because it was stopped in between, is no
/// earlier time for the others; only a queue that contradicts itself says that the clock was set.
#[derive(Debug)]
pub(super) struct Latest(Instant);

impl Latest {
    pub(super) const fn new() -> Self {
        Self(Instant::ZERO)
    }

    pub(super) fn advance(&mut self, moment: Moment) -> Instant {
        self.0 = moment.latest(self.0);
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(secs: u64) -> Instant {
        Instant::from_secs(secs)
    }

    #[test]
    fn what_comes_late_is_no_time_and_a_queue_that_contradicts_itself_sets_the_clock() {
        let mut latest = Latest::new();
        assert_eq!(latest.advance(Moment::at(at(100))), at(100));
        let slow = Moment::after(at(10), at(40));
        assert_eq!(latest.advance(slow), at(100));
        let jitter = Moment::after(at(101), at(100));
        assert!(!jitter.is_set_back());
        let set = Moment::after(at(100), at(40));
        assert!(set.is_set_back());
        assert_eq!(latest.advance(set), at(40));
    }
}
