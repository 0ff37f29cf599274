//! How long to wait for what, and when it is a packet's turn.

use core::num::NonZeroU8;
use core::time::Duration;

use crate::time::{Instant, between, micros_of};

/// The constants of RFC 5227 section 1.1, as data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Timing {
    /// PROBE_WAIT: the first probe leaves at random within this time.
    pub probe_wait: Duration,
    /// PROBE_NUM: how many probes are sent. Zero skips probing and goes straight to announcing.
    pub probe_num: u8,
    /// PROBE_MIN: the shortest time between two probes.
    pub probe_min: Duration,
    /// PROBE_MAX: the longest time between two probes.
    pub probe_max: Duration,
    /// ANNOUNCE_WAIT: how long to listen after the last probe.
    pub announce_wait: Duration,
    /// ANNOUNCE_NUM: how many announcements are sent. The address is used from the first on.
    pub announce_num: NonZeroU8,
    /// ANNOUNCE_INTERVAL: the time between two announcements.
    pub announce_interval: Duration,
    /// MAX_CONFLICTS: from how many conflicts on attempts are limited.
    pub max_conflicts: u32,
    /// RATE_LIMIT_INTERVAL: how long after a conflict a limited attempt may begin.
    pub rate_limit_interval: Duration,
    /// DEFEND_INTERVAL: the shortest time between two defences.
    pub defend_interval: Duration,
}

impl Timing {
    /// What the RFC says.
    pub const RFC5227: Self = Self {
        probe_wait: Duration::from_secs(1),
        probe_num: 3,
        probe_min: Duration::from_secs(1),
        probe_max: Duration::from_secs(2),
        announce_wait: Duration::from_secs(2),
        announce_num: NonZeroU8::MIN.saturating_add(1),
        announce_interval: Duration::from_secs(2),
        max_conflicts: 10,
        rate_limit_interval: Duration::from_secs(60),
        defend_interval: Duration::from_secs(10),
    };

    /// Announces and defends without having asked: for an address that something else vouches for.
    pub const WITHOUT_PROBES: Self = Self {
        probe_num: 0,
        ..Self::RFC5227
    };

    pub(super) fn before_first_probe(&self, random: u32) -> Duration {
        uniform(Duration::ZERO, self.probe_wait, random)
    }

    pub(super) fn between_probes(&self, random: u32) -> Duration {
        uniform(self.probe_min, self.probe_max, random)
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self::RFC5227
    }
}

fn uniform(shortest: Duration, longest: Duration, random: u32) -> Duration {
    let (shortest, longest) = (micros_of(shortest), micros_of(longest));
    Duration::from_micros(between(shortest, longest, random))
}

/// When a packet may leave.
#[derive(Clone, Copy, Debug)]
pub(super) enum Turn {
    /// Not before this time.
    At(Instant),
    /// As soon as the driver takes it. There is no deadline any more.
    Now,
}

impl Turn {
    /// Lets the time pass.
    pub(super) fn advance(&mut self, now: Instant) {
        match *self {
            Self::At(time) if now >= time => *self = Self::Now,
            Self::At(_) | Self::Now => {}
        }
    }

    /// If the time has come already, lets it come again later.
    pub(super) fn postpone(&mut self, time: Instant) {
        match self {
            Self::At(_) => {}
            Self::Now => *self = Self::At(time),
        }
    }

    pub(super) const fn deadline(&self) -> Option<Instant> {
        match *self {
            Self::At(time) => Some(time),
            Self::Now => None,
        }
    }

    pub(super) const fn is_now(&self) -> bool {
        matches!(self, Self::Now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_are_those_of_the_rfc() {
        let secs = Duration::from_secs;
        let expected = Timing {
            probe_wait: secs(1),
            probe_num: 3,
            probe_min: secs(1),
            probe_max: secs(2),
            announce_wait: secs(2),
            announce_num: NonZeroU8::new(2).unwrap(),
            announce_interval: secs(2),
            max_conflicts: 10,
            rate_limit_interval: secs(60),
            defend_interval: secs(10),
        };
        assert_eq!(Timing::RFC5227, expected);
        assert_eq!(Timing::default(), expected);
    }

    #[test]
    fn random_times_reach_both_ends_and_are_spread_evenly() {
        let timing = Timing::RFC5227;
        assert_eq!(timing.before_first_probe(0), Duration::ZERO);
        assert_eq!(timing.before_first_probe(u32::MAX), Duration::from_secs(1));
        assert_eq!(timing.between_probes(0), Duration::from_secs(1));
        assert_eq!(timing.between_probes(u32::MAX), Duration::from_secs(2));
        for quarter in 0..4 {
            let expected = Duration::from_millis(1_000 + 250 * u64::from(quarter));
            assert_eq!(timing.between_probes(quarter << 30), expected);
        }
    }

    #[test]
    fn absurd_times_neither_overflow_nor_go_backwards() {
        let week = Duration::from_secs(7 * 86_400);
        assert_eq!(uniform(week, Duration::ZERO, u32::MAX), week);
        let longest = Duration::from_micros(micros_of(Duration::MAX));
        assert_eq!(uniform(longest, Duration::MAX, u32::MAX), longest);
        let longest = Duration::from_micros(u32::MAX.into());
        assert_eq!(uniform(Duration::ZERO, Duration::MAX, u32::MAX), longest);
    }
}
