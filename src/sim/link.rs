//! One direction of a cable: what it does to the frames on it, and what it has done so far.

use alloc::vec::Vec;
use core::time::Duration;

use super::Rng;
use crate::time::Instant;

/// How one direction of a port's cable treats frames. Probabilities are from 0.0 to 1.0.
///
/// ```
/// use core::time::Duration;
/// use whohas::sim::Link;
///
/// let radio = Link {
///     loss: 0.05,
///     jitter: Duration::from_millis(3),
///     ..Link::delayed(Duration::from_millis(2))
/// };
/// assert_eq!(radio.duplication, 0.0);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Link {
    /// How long every frame travels.
    pub delay: Duration,
    /// Up to this much more, drawn for each frame. Jitter alone never changes the order.
    pub jitter: Duration,
    /// How likely a frame vanishes.
    pub loss: f64,
    /// How likely a frame arrives twice.
    pub duplication: f64,
    /// How likely a frame is held back, so that those behind it overtake.
    pub reordering: f64,
    /// Up to this long a frame is held back, drawn for each.
    pub holdback: Duration,
    /// How likely one bit is flipped.
    pub corruption: f64,
    /// How likely the end of the frame is missing.
    pub truncation: f64,
}

impl Link {
    /// Everything arrives, once, in order, at once, as it was sent.
    pub const PERFECT: Self = Self::delayed(Duration::ZERO);

    /// A link whose one fault is its length.
    pub const fn delayed(delay: Duration) -> Self {
        Self {
            delay,
            jitter: Duration::ZERO,
            loss: 0.0,
            duplication: 0.0,
            reordering: 0.0,
            holdback: Duration::ZERO,
            corruption: 0.0,
            truncation: 0.0,
        }
    }

    /// A link whose one fault is that it loses this share of the frames.
    pub const fn lossy(loss: f64) -> Self {
        Self {
            loss,
            ..Self::PERFECT
        }
    }
}

impl Default for Link {
    fn default() -> Self {
        Self::PERFECT
    }
}

/// What one direction of a port's cable has done.
///
/// Every frame is accounted for once:
/// `sent + duplicated = delivered + lost + unplugged + overrun + in_flight()`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct LinkStats {
    /// Frames put on the link.
    pub sent: u64,
    /// Frames that reached the other end.
    pub delivered: u64,
    /// Frames that vanished by [`Link::loss`].
    pub lost: u64,
    /// Frames that met an unplugged cable.
    pub unplugged: u64,
    /// Frames dropped at one of the simulation's own bounds: [`INBOX_FRAMES`](super::INBOX_FRAMES)
    /// or [`MAX_EVENTS`](super::MAX_EVENTS).
    pub overrun: u64,
    /// Second copies made.
    pub duplicated: u64,
    /// Frames held back for others to overtake.
    pub reordered: u64,
    /// Frames with a bit flipped.
    pub corrupted: u64,
    /// Frames cut short.
    pub truncated: u64,
}

impl LinkStats {
    /// Frames that are still on their way.
    pub const fn in_flight(&self) -> u64 {
        (self.sent + self.duplicated) - (self.delivered + self.lost + self.unplugged + self.overrun)
    }
}

/// One direction of a cable with its state.
#[derive(Debug, Default)]
pub(super) struct Cable {
    pub(super) link: Link,
    pub(super) stats: LinkStats,
    /// When the last frame that kept its place arrives; no later one may do so before it.
    last_arrival: Instant,
}

impl Cable {
    /// Puts a frame on the link. What survives is handed to `arrive` with the time of its arrival;
    /// `arrive` says whether there was room for it.
    pub(super) fn carry(
        &mut self,
        now: Instant,
        frame: &[u8],
        rng: &mut Rng,
        mut arrive: impl FnMut(Instant, Vec<u8>) -> bool,
    ) {
        self.stats.sent += 1;
        if rng.chance(self.link.loss) {
            self.stats.lost += 1;
            return;
        }
        let twice = rng.chance(self.link.duplication);
        self.stats.duplicated += u64::from(twice);
        for _ in 0..1 + u8::from(twice) {
            let arrival = self.arrival(now, rng);
            if !arrive(arrival, self.damaged(frame, rng)) {
                self.stats.overrun += 1;
            }
        }
    }

    fn arrival(&mut self, now: Instant, rng: &mut Rng) -> Instant {
        let travelled = now + self.link.delay + rng.duration(Duration::ZERO..=self.link.jitter);
        let in_order = travelled.max(self.last_arrival);
        if rng.chance(self.link.reordering) {
            self.stats.reordered += 1;
            // At least a tick, or the frame would keep its place after all.
            let tick = Duration::from_micros(1);
            return in_order + rng.duration(tick..=self.link.holdback);
        }
        self.last_arrival = in_order;
        in_order
    }

    fn damaged(&mut self, frame: &[u8], rng: &mut Rng) -> Vec<u8> {
        let mut frame = frame.to_vec();
        if !frame.is_empty() && rng.chance(self.link.corruption) {
            self.stats.corrupted += 1;
            let bit = rng.range(0..=frame.len() as u64 * 8 - 1) as usize;
            frame[bit / 8] ^= 1 << (bit % 8);
        }
        if !frame.is_empty() && rng.chance(self.link.truncation) {
            self.stats.truncated += 1;
            frame.truncate(rng.range(0..=frame.len() as u64 - 1) as usize);
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAMES: u16 = 2_000;

    /// What arrives, in order of arrival, of frames that are numbered and 10 us apart.
    fn carried(link: Link) -> (LinkStats, Vec<(Instant, Vec<u8>)>) {
        let (mut cable, mut rng) = (Cable::default(), Rng::new(5));
        cable.link = link;
        let mut arrivals = Vec::new();
        for number in 0..FRAMES {
            let mut frame = [0; 60];
            frame[..2].copy_from_slice(&number.to_be_bytes());
            let now = Instant::from_micros(u64::from(number) * 10);
            cable.carry(now, &frame, &mut rng, |at, frame| {
                arrivals.push((at, frame));
                true
            });
        }
        // A stable sort: equal times keep the order in which the frames were sent.
        arrivals.sort_by_key(|&(at, _)| at);
        (cable.stats, arrivals)
    }

    fn numbers(arrivals: &[(Instant, Vec<u8>)]) -> Vec<u16> {
        let number = |frame: &[u8]| u16::from_be_bytes([frame[0], frame[1]]);
        arrivals.iter().map(|(_, frame)| number(frame)).collect()
    }

    /// A fifth of the frames, give or take.
    #[track_caller]
    fn assert_fifth(count: u64) {
        assert!((350..450).contains(&count), "{count} of {FRAMES}");
    }

    #[test]
    fn a_perfect_link_changes_nothing() {
        let (stats, arrivals) = carried(Link::PERFECT);
        assert_eq!(numbers(&arrivals), (0..FRAMES).collect::<Vec<_>>());
        assert_eq!(arrivals[3].0, Instant::from_micros(30));
        let sent = u64::from(FRAMES);
        assert_eq!(
            stats,
            LinkStats {
                sent,
                ..LinkStats::default()
            }
        );
    }

    #[test]
    fn loss_and_duplication_are_counted_and_true() {
        let (stats, arrivals) = carried(Link::lossy(0.2));
        assert_fifth(stats.lost);
        assert_eq!(arrivals.len() as u64, stats.sent - stats.lost);

        let (stats, arrivals) = carried(Link {
            duplication: 0.2,
            ..Link::PERFECT
        });
        assert_fifth(stats.duplicated);
        assert_eq!(arrivals.len() as u64, stats.sent + stats.duplicated);
        let numbers = numbers(&arrivals);
        let twins = numbers.windows(2).filter(|pair| pair[0] == pair[1]);
        assert_eq!(twins.count() as u64, stats.duplicated);
    }

    #[test]
    fn jitter_keeps_the_order_that_reordering_breaks() {
        let jitter = Duration::from_micros(500);
        let delay = Duration::from_millis(1);
        let (stats, arrivals) = carried(Link {
            jitter,
            ..Link::delayed(delay)
        });
        assert!(numbers(&arrivals).is_sorted());
        assert_eq!(stats.reordered, 0);
        let earliest = Instant::ZERO + delay;
        assert!((earliest..=earliest + jitter).contains(&arrivals[0].0));
        let stamps = arrivals.iter().map(|&(at, _)| at);
        assert!(
            stamps
                .zip(0..)
                .any(|(at, n)| at > earliest + Duration::from_micros(n * 10))
        );

        let (stats, arrivals) = carried(Link {
            reordering: 0.2,
            holdback: Duration::from_micros(100),
            ..Link::PERFECT
        });
        assert_fifth(stats.reordered);
        let numbers = numbers(&arrivals);
        assert!(!numbers.is_sorted());
        assert_eq!(numbers.len(), usize::from(FRAMES));
    }

    #[test]
    fn damage_is_one_bit_or_a_missing_end() {
        let original = |frame: &[u8], number: u16| {
            let mut original = [0; 60];
            original[..2].copy_from_slice(&number.to_be_bytes());
            let flipped = |(a, b): (&u8, &u8)| (a ^ b).count_ones();
            frame.iter().zip(&original).map(flipped).sum::<u32>()
        };
        let (stats, arrivals) = carried(Link {
            corruption: 0.2,
            ..Link::PERFECT
        });
        assert_fifth(stats.corrupted);
        let flips = (0..)
            .zip(&arrivals)
            .map(|(n, (_, frame))| original(frame, n));
        assert!(flips.clone().all(|bits| bits <= 1));
        assert_eq!(u64::from(flips.sum::<u32>()), stats.corrupted);

        let (stats, arrivals) = carried(Link {
            truncation: 0.2,
            ..Link::PERFECT
        });
        assert_fifth(stats.truncated);
        let short = arrivals.iter().filter(|(_, frame)| frame.len() < 60);
        assert_eq!(short.count() as u64, stats.truncated);
    }

    #[test]
    fn an_empty_frame_survives_every_damage() {
        let (mut cable, mut rng) = (Cable::default(), Rng::new(1));
        cable.link.corruption = 1.0;
        cable.link.truncation = 1.0;
        let mut arrived = 0;
        cable.carry(Instant::ZERO, &[], &mut rng, |_, frame| {
            arrived += usize::from(frame.is_empty());
            true
        });
        assert_eq!((arrived, cable.stats.corrupted), (1, 0));
    }
}
