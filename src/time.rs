//! Time as a value: [`Instant`], counted in microseconds from an epoch of the caller's choice.
//!
//! The crate never reads a clock. Every method that needs the time takes it as an argument, so the
//! same code runs under a hardware timer, under `std::time` and in a simulation.

use core::fmt;
use core::future::Future;
use core::ops::{Add, AddAssign, Sub};
use core::task::Waker;
use core::time::Duration;

/// A point in time: microseconds since any epoch, as long as it stays the same one.
///
/// Arithmetic saturates at both ends of the range (584,000 years apart), so no sum of times can
/// overflow and [`Instant::FAR_FUTURE`] serves as "never".
///
/// ```
/// use core::time::Duration;
/// use whohas::Instant;
///
/// let start = Instant::from_micros(5);
/// let later = start + Duration::from_millis(1);
/// assert_eq!(later.as_micros(), 1_005);
/// assert_eq!(later - start, Duration::from_micros(1_000));
/// assert_eq!(start - later, Duration::ZERO);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Instant {
    micros: u64,
}

impl Instant {
    /// The epoch itself.
    pub const ZERO: Self = Self { micros: 0 };
    /// Later than every time that will ever be reached.
    pub const FAR_FUTURE: Self = Self { micros: u64::MAX };

    /// The instant `micros` microseconds after the epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self { micros }
    }

    /// The instant `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self::from_micros(millis.saturating_mul(1_000))
    }

    /// The instant `secs` seconds after the epoch.
    pub const fn from_secs(secs: u64) -> Self {
        Self::from_micros(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> u64 {
        self.micros
    }

    /// The time from `earlier` to here; zero if `earlier` is in fact later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.micros.saturating_sub(earlier.micros))
    }
}

/// A time that lies about for long. A chip loads it as two words, and has better uses for RAM than to
/// align them as one; in what it computes with, that would cost more than it saves.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(target_pointer_width = "32", repr(packed(4)))]
pub(crate) struct Stored(Instant);

impl Stored {
    #[inline]
    pub(crate) const fn new(time: Instant) -> Self {
        Self(time)
    }

    #[inline]
    pub(crate) const fn get(self) -> Instant {
        self.0
    }
}

/// The whole microseconds of a duration, saturating.
///
/// Spelled out: `Duration::as_micros` answers in 128 bits, and a checked product of 64 bits is a
/// library call on a 32-bit target.
pub(crate) const fn micros_of(duration: Duration) -> u64 {
    const MOST: u64 = u64::MAX / 1_000_000 - 1;
    let secs = if duration.as_secs() < MOST {
        duration.as_secs()
    } else {
        MOST
    };
    secs * 1_000_000 + duration.subsec_micros() as u64
}

/// The earlier of two times, either of which may not be.
#[cfg_attr(target_pointer_width = "32", inline(never))]
#[cfg_attr(target_pointer_width = "64", inline)]
pub(crate) fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, None) => one,
        (None, other) => other,
    }
}

/// The time from `shortest` to `longest`, both included and in microseconds, that a uniform `random` picks.
/// Spans end at 71 minutes, where 32 random bits cannot tell microseconds apart any more.
#[cfg_attr(target_pointer_width = "32", inline(never))]
pub(crate) fn between(shortest: u64, longest: u64, random: u32) -> u64 {
    let span = longest.saturating_sub(shortest).min(u32::MAX.into());
    shortest.saturating_add((u64::from(random) * (span + 1)) >> u32::BITS)
}

impl Add<Duration> for Instant {
    type Output = Self;

    // Once is enough on a chip: a conversion is longer than a call.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn add(self, duration: Duration) -> Self {
        Self::from_micros(self.micros.saturating_add(micros_of(duration)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self::from_micros(self.micros.saturating_sub(micros_of(duration)))
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.since(earlier)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:06} s",
            self.micros / 1_000_000,
            self.micros % 1_000_000
        )
    }
}

/// Tells the time: for what lives so long that it cannot be told at every call.
///
/// Any function that returns an [`Instant`] is one.
pub trait Clock {
    /// The time now, counted from the same epoch every time.
    fn now(&self) -> Instant;

    /// Asks for a wake-up at `deadline`, beside those asked for earlier. A clock that cannot wake
    /// anybody does nothing: whoever uses such a one looks for what is due by himself.
    fn wake_at(&self, deadline: Instant, waker: &Waker) {
        let _ = (deadline, waker);
    }
}

impl<F: Fn() -> Instant> Clock for F {
    fn now(&self) -> Instant {
        self()
    }
}

/// A clock that can wait, as embassy-time's, tokio's or a simulation's can.
pub trait Timer: Clock {
    /// Ends at `deadline`; at once if that has passed. Cancel-safe.
    fn wait_until(&self, deadline: Instant) -> impl Future<Output = ()>;
}

/// A caller's clock that jumps back further than this, in microseconds, has been set anew.
pub(crate) const JITTER: u64 = 1_000_000;

/// A state machine's own time: the caller's, made never to go backwards.
///
/// A small step back (two threads that read the clock and swapped places) is taken as no time at
/// all. A large one means that the clock was set anew: time goes on from where it was, so that no
/// timer waits for the old time to come round again.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(target_pointer_width = "32", repr(packed(4)))] // as `Stored`
pub(crate) struct Monotonic {
    /// The latest time of the caller's.
    caller: u64,
    /// By how much all settings of the caller's clock together have put it back.
    behind: u64,
}

impl Monotonic {
    pub(crate) const fn new() -> Self {
        Self {
            caller: 0,
            behind: 0,
        }
    }

    #[cfg_attr(target_pointer_width = "32", inline(never))]
    #[cfg_attr(target_pointer_width = "64", inline)]
    pub(crate) const fn now(&self) -> Instant {
        Instant::from_micros(self.caller.saturating_add(self.behind))
    }

    #[inline]
    pub(crate) const fn advance(&mut self, caller: Instant) -> Instant {
        let caller = caller.as_micros();
        if caller >= self.caller {
            self.caller = caller;
        } else if self.caller - caller > JITTER {
            self.behind = self.behind.saturating_add(self.caller - caller);
            self.caller = caller;
        }
        self.now()
    }

    /// The caller's name for a time of our own.
    #[inline]
    pub(crate) const fn for_caller(&self, deadline: Instant) -> Instant {
        Instant::from_micros(deadline.as_micros().saturating_sub(self.behind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Instant::FAR_FUTURE + Duration::MAX, Instant::FAR_FUTURE);
        assert_eq!(Instant::ZERO - Duration::from_secs(1), Instant::ZERO);
        assert_eq!(Instant::from_secs(u64::MAX), Instant::FAR_FUTURE);
        assert_eq!(Instant::ZERO.since(Instant::from_secs(1)), Duration::ZERO);
    }

    #[test]
    fn jitter_is_no_time_and_a_clock_set_back_goes_on_from_where_it_was() {
        let mut clock = Monotonic::new();
        assert_eq!(
            clock.advance(Instant::from_secs(100)),
            Instant::from_secs(100)
        );
        assert_eq!(
            clock.advance(Instant::from_secs(99)),
            Instant::from_secs(100)
        );
        assert_eq!(
            clock.advance(Instant::from_secs(101)),
            Instant::from_secs(101)
        );
        assert_eq!(
            clock.advance(Instant::from_secs(10)),
            Instant::from_secs(101)
        );
        assert_eq!(
            clock.advance(Instant::from_secs(11)),
            Instant::from_secs(102)
        );
        assert_eq!(
            clock.for_caller(Instant::from_secs(103)),
            Instant::from_secs(12)
        );
        assert_eq!(
            clock.for_caller(Instant::from_secs(100)),
            Instant::from_secs(9)
        );
    }
}
