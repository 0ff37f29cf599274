//! The time by which leases are promised: since the Unix epoch, as the system knew it when the daemon
//! was started, and steady from then on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use whohas::Instant;

/// By how much the system's clock may differ before it is believed to have been set.
const TOLERANCE: Duration = Duration::from_secs(1);

/// The system's clock, without its steps.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// The time since the epoch when the system was started, as far as is known.
    started: Duration,
}

/// The system's clock has been set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// What the time was believed to be.
    pub(super) was: Instant,
    /// What it is.
    pub(super) is: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self {
            started: wall().saturating_sub(since_boot()),
        }
    }

    pub(super) fn now(&self) -> Instant {
        Instant::ZERO + (self.started + since_boot())
    }

    /// Whether the system's clock has been set since; then this one is, too. One that is slowly brought
    /// into line is followed in steps as large as the tolerance.
    pub(super) fn take_step(&mut self) -> Option<Step> {
        self.compare(wall(), since_boot())
    }

    fn compare(&mut self, wall: Duration, since_boot: Duration) -> Option<Step> {
        let was = self.started + since_boot;
        if was.abs_diff(wall) <= TOLERANCE {
            return None;
        }
        self.started = wall.saturating_sub(since_boot);
        Some(Step {
            was: Instant::ZERO + was,
            is: Instant::ZERO + (self.started + since_boot),
        })
    }
}

fn wall() -> Duration {
    // A clock that says that it is before 1970 says nothing.
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default()
}

/// Goes on while the machine sleeps: so do leases.
fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_does_within_a_second_is_no_step() {
        let at = Duration::from_secs;
        let mut clock = Clock { started: at(1_000) };
        assert_eq!(clock.compare(at(1_011), at(10)), None);
        assert_eq!(clock.compare(at(1_009), at(10)), None);
        let late = at(1_011) + Duration::from_micros(1);
        let step = Step {
            was: Instant::from_secs(1_010),
            is: Instant::ZERO + late,
        };
        assert_eq!(clock.compare(late, at(10)), Some(step));
        assert_eq!(clock.compare(late, at(10)), None, "it is told once");
    }

    #[test]
    fn a_clock_from_before_its_time_is_set_when_the_system_knows_better() {
        let at = Duration::from_secs;
        let mut clock = Clock { started: at(0) };
        let step = clock.compare(at(1_800_000_000), at(30)).unwrap();
        assert_eq!(step.was, Instant::from_secs(30));
        assert_eq!(step.is, Instant::from_secs(1_800_000_000));
        let back = clock.compare(at(5), at(40)).unwrap();
        assert_eq!(
            back.is,
            Instant::from_secs(40),
            "never earlier than the machine"
        );
    }

    #[test]
    fn the_real_one_goes_on() {
        let mut clock = Clock::start();
        let first = clock.now();
        assert!(clock.now() >= first);
        assert_eq!(clock.take_step(), None);
    }
}
