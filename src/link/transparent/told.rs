//! What the stack believes of its neighbours, as far as we have told it, and when it has to be told
//! again.

use core::net::Ipv4Addr;
use core::time::Duration;

use heapless::Vec;

use crate::time::Instant;

/// How long after an answer it is given again: half of the 60 s for which smoltcp believes one.
const REFRESH: Duration = Duration::from_secs(30);

/// How long after its last packet a neighbour is spoken of. Connections may be silent for long, and
/// to speak of it costs no frame on the wire.
const KEEP: Duration = Duration::from_secs(3_600);

#[derive(Clone, Copy, Debug)]
struct Told {
    neighbour: Ipv4Addr,
    told: Instant,
    used: Instant,
    /// It is to be told now.
    is_due: bool,
}

/// The neighbours that the stack was told of, in the order of their questions.
#[derive(Debug)]
pub(super) struct ToldAbout<const N: usize>(Vec<Told, N>);

impl<const N: usize> ToldAbout<N> {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    /// The stack asks, or uses what we may have forgotten that we told.
    pub(super) fn ask(&mut self, now: Instant, neighbour: Ipv4Addr) {
        self.forget(neighbour);
        if self.0.is_full() {
            self.forget_the_least_used();
        }
        let _ = self.0.push(Told {
            neighbour,
            told: now,
            used: now,
            is_due: true,
        });
    }

    /// The stack sends to it; whether it is to be told again.
    pub(super) fn used(&mut self, now: Instant, neighbour: Ipv4Addr) -> bool {
        match self.0.iter_mut().find(|told| told.neighbour == neighbour) {
            Some(told) => {
                told.used = now;
                false
            }
            None => {
                self.ask(now, neighbour);
                true
            }
        }
    }

    /// Whether there is somebody to tell of now.
    pub(super) fn is_due(&self) -> bool {
        self.0.iter().any(|told| told.is_due)
    }

    /// Time has passed: what may be in use is told again, what was not used for long is forgotten.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        self.0.retain_mut(|told| {
            told.is_due |= now >= told.told + REFRESH;
            now < told.used + KEEP
        });
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let settled = self.0.iter().filter(|told| !told.is_due);
        settled.map(|told| told.told + REFRESH).min()
    }

    /// The next neighbour that the stack is to be told of.
    pub(super) fn poll_answer(&mut self, now: Instant) -> Option<Ipv4Addr> {
        let due = self.0.iter_mut().find(|told| told.is_due)?;
        due.is_due = false;
        due.told = now;
        Some(due.neighbour)
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// If it is used again the stack will be told again.
    fn forget_the_least_used(&mut self) {
        let uses = self.0.iter().map(|told| told.used).enumerate();
        if let Some((at, _)) = uses.min_by_key(|(_, used)| *used) {
            self.0.remove(at);
        }
    }

    fn forget(&mut self, neighbour: Ipv4Addr) {
        self.0.retain(|told| told.neighbour != neighbour);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ip(n: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 0, n)
    }

    const TICK: Duration = Duration::from_micros(1);

    #[test]
    fn a_neighbour_is_told_of_at_once_and_again_every_thirty_seconds_for_an_hour() {
        let mut told = ToldAbout::<2>::new();
        let start = Instant::from_secs(5);
        told.ask(start, ip(2));
        assert_eq!(told.poll_answer(start), Some(ip(2)));
        assert_eq!(told.poll_answer(start), None);
        let mut now = start;
        for _ in 1..120 {
            assert_eq!(told.poll_timeout(), Some(now + REFRESH));
            told.handle_timeout(now + REFRESH - TICK);
            assert!(!told.is_due());
            now += REFRESH;
            told.handle_timeout(now);
            assert_eq!(told.poll_answer(now), Some(ip(2)));
        }
        now += REFRESH;
        told.handle_timeout(now);
        assert_eq!((told.poll_answer(now), told.poll_timeout()), (None, None));
        assert!(told.used(now, ip(2)), "it is told of again when it is used");
    }

    #[test]
    fn the_least_used_makes_room() {
        let mut told = ToldAbout::<2>::new();
        for (at, n) in [(1, 2), (2, 3)] {
            told.ask(Instant::from_secs(at), ip(n));
        }
        let now = Instant::from_secs(3);
        assert!(!told.used(now, ip(2)));
        told.ask(now, ip(4));
        let answers = core::iter::from_fn(|| told.poll_answer(now));
        assert!(answers.eq([ip(2), ip(4)]));
    }
}
