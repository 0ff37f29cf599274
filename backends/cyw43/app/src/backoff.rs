//! How long to wait before the next try.

use core::time::Duration;

/// The shortest and the longest wait between two tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Patience {
    /// Before the second try, at most.
    pub first: Duration,
    /// Before any try, at most.
    pub most: Duration,
}

impl Patience {
    /// From one second to one minute.
    pub const DEFAULT: Self = Self {
        first: Duration::from_secs(1),
        most: Duration::from_secs(60),
    };
}

/// Exponential back-off with jitter: each wait is between one and two halves of a bound that doubles.
///
/// A thousand devices that lost one broker at one instant do not come back at one instant. The same
/// seed gives the same waits.
#[derive(Clone, Debug)]
pub struct Backoff {
    patience: Patience,
    bound: Duration,
    random: Random,
}

impl Backoff {
    /// Begins with the shortest wait.
    pub const fn new(patience: Patience, seed: u64) -> Self {
        Self {
            patience,
            bound: patience.first,
            random: Random::new(seed),
        }
    }

    /// How long to wait now.
    pub fn next_wait(&mut self) -> Duration {
        let bound = self.bound.min(self.patience.most);
        self.bound = bound.saturating_mul(2);
        let half = u64::try_from(bound.as_micros() / 2).unwrap_or(u64::MAX / 2);
        Duration::from_micros(half + self.random.below(half.saturating_add(1)))
    }

    /// It worked: the next wait is the shortest again.
    pub const fn reset(&mut self) {
        self.bound = self.patience.first;
    }
}

/// SplitMix64: waits and identifiers need to differ, not to be secret.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Less than `bound`; zero for zero.
    fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(bound);
        (product >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew_after_success() {
        let patience = Patience {
            first: Duration::from_secs(2),
            most: Duration::from_secs(11),
        };
        let mut backoff = Backoff::new(patience, 7);
        for bound in [2, 4, 8, 11, 11] {
            let wait = backoff.next_wait();
            let (half, whole) = (
                Duration::from_millis(bound * 500),
                Duration::from_secs(bound),
            );
            assert!((half..=whole).contains(&wait), "{wait:?} of {bound} s");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= patience.first);
    }

    #[test]
    fn two_devices_do_not_wait_equally_long() {
        let mut waits = [1, 2].map(|seed| Backoff::new(Patience::DEFAULT, seed).next_wait());
        waits.sort();
        assert!(waits[0] < waits[1]);
    }

    #[test]
    fn no_patience_at_all_is_no_wait() {
        let none = Patience {
            first: Duration::ZERO,
            most: Duration::ZERO,
        };
        assert_eq!(Backoff::new(none, 1).next_wait(), Duration::ZERO);
    }
}
