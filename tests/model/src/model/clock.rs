//! The model's time and its limits.

use std::time::Duration;

use whohas::Instant;
use whohas::cache::Rate;

/// The caller's time, and our own that never goes back.
#[derive(Debug)]
pub(super) struct Time {
    pub(super) caller: Instant,
    pub(super) now: Instant,
}

impl Time {
    pub(super) fn advance(&mut self, caller: Instant) {
        self.now += caller - self.caller;
        if caller > self.caller || self.caller - caller > Duration::from_secs(1) {
            self.caller = caller;
        }
    }

    pub(super) fn for_caller(&self, deadline: Instant) -> Instant {
        self.caller - (self.now - deadline) + (deadline - self.now)
    }
}

/// What was saved up, in time.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) saved: Duration,
    pub(super) at: Instant,
}

impl Bucket {
    pub(super) fn full(rate: Rate) -> Self {
        Self {
            saved: rate.interval * u32::from(rate.burst),
            at: Instant::ZERO,
        }
    }

    pub(super) fn fill(&mut self, now: Instant, rate: Rate) {
        let full = rate.interval * u32::from(rate.burst);
        self.saved = full.min(self.saved + (now - self.at));
        self.at = now;
    }

    /// When the next one may be taken.
    pub(super) fn next(&self, rate: Rate) -> Instant {
        self.at + rate.interval.saturating_sub(self.saved)
    }

    pub(super) fn take(&mut self, now: Instant, rate: Rate) -> bool {
        self.fill(now, rate);
        let enough = self.saved >= rate.interval;
        if enough {
            self.saved -= rate.interval;
        }
        enough
    }
}
