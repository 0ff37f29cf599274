//! Ephemeral ports, drawn at random (RFC 6056).

use crate::link::EPHEMERAL_PORTS;
use crate::random::Random;

impl Random {
    /// A port that would do: a random one, or the next behind it. `None` when none would.
    pub(super) fn port(&mut self, would_do: impl Fn(u16) -> bool) -> Option<u16> {
        let (first, last) = EPHEMERAL_PORTS.into_inner();
        let number = last - first + 1;
        let start = (self.next() % u64::from(number)) as u16;
        (0..number)
            .map(|behind| first + (start + behind) % number)
            .find(|&port| would_do(port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_ephemeral_differ_by_seed_and_are_never_those_in_use() {
        let mut random = Random::new(1);
        let port = random.port(|_| true).unwrap();
        assert!(EPHEMERAL_PORTS.contains(&port));
        assert_ne!(Random::new(2).port(|_| true), Some(port));
        assert_eq!(Random::new(1).port(|_| true), Some(port));
        assert_ne!(Random::new(1).port(|other| other != port), Some(port));
    }

    #[test]
    fn the_last_free_port_is_found_and_then_none() {
        for free in [49_152, 60_000, 65_535] {
            assert_eq!(Random::new(3).port(|port| port == free), Some(free));
        }
        assert_eq!(Random::new(3).port(|_| false), None);
    }
}
