//! The one source of chance in a simulation: a seed in, the same sequence out, on every machine.

use core::ops::RangeInclusive;
use core::time::Duration;

use crate::time::micros_of;

/// A small deterministic generator (SplitMix64). For simulations only: it hides no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// The generator that this seed stands for.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// 64 random bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.state;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number from the range, both ends included; the start of a range that holds nothing.
    pub fn range(&mut self, range: RangeInclusive<u64>) -> u64 {
        let (first, last) = range.into_inner();
        let span = u128::from(last.saturating_sub(first)) + 1;
        // The upper half of the product is below `span`: no remainder to take, no bias to speak of.
        first + ((u128::from(self.next_u64()) * span) >> 64) as u64
    }

    /// A time from the range, both ends included, in whole microseconds.
    pub fn duration(&mut self, range: RangeInclusive<Duration>) -> Duration {
        let (first, last) = range.into_inner();
        Duration::from_micros(self.range(micros_of(first)..=micros_of(last)))
    }

    /// True with this probability. What cannot happen costs no draw, so that switching a fault off
    /// leaves the rest of the sequence to the others.
    pub fn chance(&mut self, probability: f64) -> bool {
        const STEPS: u64 = 1 << 53;
        probability > 0.0 && self.range(0..=STEPS - 1) as f64 / (STEPS as f64) < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_reach_both_ends_and_nothing_else() {
        let mut rng = Rng::new(1);
        let mut seen = [0; 4];
        for _ in 0..1_000 {
            seen[(rng.range(10..=13) - 10) as usize] += 1;
        }
        assert!(seen.iter().all(|&count| count > 200), "{seen:?}");
        assert_eq!(rng.range(7..=7), 7);
        let (first, last) = (u64::MAX, 0);
        assert_eq!(rng.range(first..=last), first);
        // The widest range there is must not overflow.
        assert_ne!(rng.range(0..=u64::MAX), rng.range(0..=u64::MAX));
    }

    #[test]
    fn chances_are_kept_and_certainties_are_certain() {
        let mut rng = Rng::new(2);
        let hits = (0..10_000).filter(|_| rng.chance(0.25)).count();
        assert!((2_300..2_700).contains(&hits), "{hits}");
        assert!((0..10_000).all(|_| rng.chance(1.0)));
        let before = rng.clone();
        assert!((0..10_000).all(|_| !rng.chance(0.0) && !rng.chance(f64::NAN)));
        assert_eq!(rng, before);
    }
}
