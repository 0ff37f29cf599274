//! How fast requests may leave: as fast as is told, or as the link bears.

use std::time::Duration;

use whohas::Instant;

/// A rate that begins low, doubles while nothing is wrong, and halves when something is.
#[derive(Debug)]
pub(super) struct Pacer {
    /// Requests a second, now and at most.
    rate: u32,
    ceiling: u32,
    /// What may be sent, in millionths of a request: earned by waiting, up to `most_credit`.
    credit: u64,
    earned_until: Option<Instant>,
    /// When the rate doubles.
    faster_at: Option<Instant>,
    halved_at: Option<Instant>,
}

/// One request.
const REQUEST: u64 = 1_000_000;
/// No link is so slow or so busy that it would notice this.
const SLOWEST: u32 = 1_000;
/// Faster than this the receivers are what chokes.
const FASTEST: u32 = 200_000;
/// The share of the link that requests may take: one in this many bits.
const SHARE: u64 = 64;
/// The bits that a request takes on the wire, with preamble and gap.
const BITS: u64 = 84 * 8;
const DOUBLES_EVERY: Duration = Duration::from_millis(10);
const RESTS_FOR: Duration = Duration::from_millis(100);
const ONE_MOMENT: Duration = Duration::from_millis(20);
/// Sleeping for less is not worth the call.
const SLICE: Duration = Duration::from_millis(1);

impl Pacer {
    /// Always this many requests a second.
    pub(super) const fn fixed(rate: u32) -> Self {
        Self::new(rate, rate)
    }

    /// At most a sixty-fourth of what a link of `megabits` (per second, if known) carries.
    pub(super) fn for_link(megabits: Option<u32>) -> Self {
        let share = u64::from(megabits.unwrap_or(0)) * 1_000_000 / SHARE / BITS;
        let ceiling = (share as u32).clamp(SLOWEST, FASTEST);
        Self::new((ceiling / 8).max(SLOWEST), ceiling)
    }

    const fn new(rate: u32, ceiling: u32) -> Self {
        Self {
            rate,
            ceiling,
            credit: REQUEST,
            earned_until: None,
            faster_at: None,
            halved_at: None,
        }
    }

    /// Whether a request may leave now.
    pub(super) fn may_send(&mut self, now: Instant) -> bool {
        let since = self.earned_until.replace(now).unwrap_or(now);
        let micros = (now - since).as_micros() as u64;
        let earned = micros.saturating_mul(self.rate.into());
        self.credit = self.credit.saturating_add(earned).min(self.most_credit());
        self.speed_up(now);
        self.credit >= REQUEST
    }

    /// A request has left.
    pub(super) const fn sent(&mut self) {
        self.credit = self.credit.saturating_sub(REQUEST);
    }

    /// The link took no more: half as fast, and no faster for a while. What is refused in the same
    /// moment once more has the same cause, and is no reason to halve again.
    pub(super) fn choked(&mut self, now: Instant) {
        self.credit = 0;
        if self.halved_at.is_some_and(|at| now < at + ONE_MOMENT) {
            return;
        }
        let slowest = (self.ceiling / 16).max(SLOWEST).min(self.ceiling);
        self.rate = (self.rate / 2).max(slowest);
        self.halved_at = Some(now);
        self.faster_at = Some(now + RESTS_FOR);
    }

    /// When a slice's worth of requests may leave.
    pub(super) fn next(&self) -> Instant {
        let Some(since) = self.earned_until else {
            return Instant::ZERO;
        };
        if self.credit >= REQUEST {
            return since;
        }
        let one = (REQUEST - self.credit).div_ceil(self.rate.into());
        since + Duration::from_micros(one).max(SLICE)
    }

    /// Two slices' worth, so that a late wake-up costs nothing; on slow links a few requests.
    fn most_credit(&self) -> u64 {
        let slices = 2 * SLICE.as_micros() as u64;
        slices.saturating_mul(self.rate.into()).max(2 * REQUEST)
    }

    fn speed_up(&mut self, now: Instant) {
        let due = *self.faster_at.get_or_insert(now + DOUBLES_EVERY);
        if due <= now && self.rate < self.ceiling {
            self.rate = self.rate.saturating_mul(2).min(self.ceiling);
            self.faster_at = Some(now + DOUBLES_EVERY);
        }
    }
}
