//! What goes wrong in the air and in the chip, and when: data, decided before it happens.

use core::ops::Range;
use core::time::Duration;

use whohas::Instant;

/// What goes wrong. Times are of the simulated LAN; ranges of one kind may touch and overlap.
///
/// Lost, late, twofold and damaged frames are the business of the cable between the access point and
/// the LAN: give its [port](super::Air::port) a [`Link`](whohas::sim::Link).
///
/// ```
/// use core::time::Duration;
/// use whohas::Instant;
/// use whohas_cyw43_tests::Faults;
///
/// let faults = Faults::default()
///     .link_loss(Instant::from_secs(60), Duration::from_secs(30))
///     .lose_broadcasts(0.3);
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use = "faults do nothing before an air has them"]
pub struct Faults {
    pub(super) credit_stalls: Vec<Range<Instant>>,
    pub(super) rx_stalls: Vec<Range<Instant>>,
    pub(super) link_losses: Vec<Range<Instant>>,
    pub(super) reboots: Vec<Range<Instant>>,
    pub(super) event_delay: Duration,
    pub(super) broadcast_loss: f64,
}

impl Faults {
    /// The chip sends nothing, and soon takes nothing more from the host, as it has no room.
    pub fn credit_stall(mut self, at: Instant, duration: Duration) -> Self {
        self.credit_stalls.push(at..at + duration);
        self
    }

    /// The host is not told of what the chip has for it. What does not fit in the chip is lost, and
    /// the rest comes all at once.
    pub fn rx_overflow(mut self, at: Instant, duration: Duration) -> Self {
        self.rx_stalls.push(at..at + duration);
        self
    }

    /// Out of range: nothing gets through, and nobody says so. An access point that is back soon
    /// enough still knows the station.
    pub fn link_loss(mut self, at: Instant, duration: Duration) -> Self {
        self.link_losses.push(at..at + duration);
        self
    }

    /// The access point restarts: it is silent for so long, and knows nobody after that.
    pub fn ap_reboot(mut self, at: Instant, duration: Duration) -> Self {
        self.reboots.push(at..at + duration);
        self
    }

    /// Every event is told so much later than it happens. The chip itself knows at once.
    pub const fn late_events(mut self, delay: Duration) -> Self {
        self.event_delay = delay;
        self
    }

    /// Frames to all or to a group are lost with this probability while the station dozes.
    pub const fn lose_broadcasts(mut self, probability: f64) -> Self {
        self.broadcast_loss = probability;
        self
    }

    /// Whether there is nobody to talk to.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        contain(&self.link_losses, now) || contain(&self.reboots, now)
    }

    /// When something begins or ends next.
    pub(super) fn next_change(&self, now: Instant) -> Option<Instant> {
        let all = [
            &self.credit_stalls,
            &self.rx_stalls,
            &self.link_losses,
            &self.reboots,
        ];
        let ranges = all.into_iter().flatten();
        let ends = ranges.flat_map(|range| [range.start, range.end]);
        ends.filter(|end| *end > now).min()
    }
}

pub(super) fn contain(ranges: &[Range<Instant>], now: Instant) -> bool {
    ranges.iter().any(|range| range.contains(&now))
}
