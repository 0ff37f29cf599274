//! Packets that wait for a neighbour: few, in one buffer, the newest kept (RFC 1122 section 2.3.2.2).
//! A newcomer takes the place of its own protocol's first: three datagrams do not push out a SYN, which
//! would be sent again a second later.

use heapless::Vec;

use crate::cache::Key;
use crate::resolver::Hold;

/// Where an IPv4 header has its protocol.
const PROTOCOL: usize = 9;

/// A packet that waits; its hold keeps the neighbour being asked for.
#[derive(Debug)]
struct Waiting<H> {
    hold: H,
    len: usize,
}

/// The packets that wait, oldest first, one behind the other in `bytes`.
#[derive(Debug)]
// On a chip an offset of more than 4095 bytes takes instructions of its own: large fields come last.
#[cfg_attr(target_pointer_width = "32", repr(C))]
pub(super) struct Parking<H, const PACKETS: usize, const BYTES: usize> {
    waiting: Vec<Waiting<H>, PACKETS>,
    /// How many of the bytes are in use.
    used: usize,
    /// How many packets may wait for one neighbour.
    per_neighbour: usize,
    bytes: [u8; BYTES],
}

/// What parking a packet has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cost {
    /// Older packets for the same neighbour that had to go.
    pub(super) replaced: u64,
    /// Older packets for others that had to go.
    pub(super) displaced: u64,
}

impl<H: Hold, const PACKETS: usize, const BYTES: usize> Parking<H, PACKETS, BYTES> {
    pub(super) const fn new(per_neighbour: usize) -> Self {
        Self {
            waiting: Vec::new(),
            bytes: [0; BYTES],
            used: 0,
            per_neighbour,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn set_per_neighbour(&mut self, packets: usize) {
        self.per_neighbour = packets.max(1);
    }

    /// Whether a packet waits for this neighbour.
    pub(super) fn has(&self, key: Key) -> bool {
        self.waiting.iter().any(|packet| packet.hold.key() == key)
    }

    /// Keeps the packet, at the expense of older ones; `None` if there can never be room for it.
    pub(super) fn park(&mut self, hold: H, packet: &[u8]) -> Option<Cost> {
        if packet.len() > BYTES || PACKETS == 0 {
            return None;
        }
        let mut cost = Cost::default();
        let key = hold.key();
        while self.count(key) >= self.per_neighbour
            && let Some(oldest) = self.first_to_go(key, packet)
        {
            self.remove(oldest);
            cost.replaced += 1;
        }
        while self.waiting.is_full() || self.used + packet.len() > BYTES {
            // Who takes the room makes the room first, so that no neighbour can push out another's
            // packets while it has some of its own.
            match self.first_to_go(key, packet) {
                Some(oldest) => {
                    self.remove(oldest);
                    cost.replaced += 1;
                }
                None => {
                    self.remove(0);
                    cost.displaced += 1;
                }
            }
        }
        let len = packet.len();
        self.bytes[self.used..self.used + len].copy_from_slice(packet);
        self.used += len;
        // Cannot fail: the loop above made room.
        let _ = self.waiting.push(Waiting { hold, len });
        Some(cost)
    }

    /// The packet at this place in the queue, and the hold on its neighbour.
    pub(super) fn get(&self, index: usize) -> Option<(&H, &[u8])> {
        let Waiting { hold, len } = self.waiting.get(index)?;
        let start = self.start_of(index);
        Some((hold, &self.bytes[start..start + len]))
    }

    /// Lets go of the packet at this place, and of its hold.
    pub(super) fn remove(&mut self, index: usize) {
        let start = self.start_of(index);
        let Waiting { hold: _, len } = self.waiting.remove(index);
        self.bytes.copy_within(start + len..self.used, start);
        self.used -= len;
    }

    /// Lets go of everything; how many packets that were.
    pub(super) fn clear(&mut self) -> u64 {
        let packets = self.waiting.len() as u64;
        self.waiting.clear();
        self.used = 0;
        packets
    }

    fn count(&self, key: Key) -> usize {
        let waiting = self.waiting.iter();
        waiting.filter(|packet| packet.hold.key() == key).count()
    }

    /// Which packet for this neighbour makes room for a new one: the oldest of the same protocol, else
    /// the oldest.
    fn first_to_go(&self, key: Key, newcomer: &[u8]) -> Option<usize> {
        let for_key = |index: &usize| self.waiting[*index].hold.key() == key;
        let like = |index: &usize| {
            let waiting = self.get(*index);
            waiting.is_some_and(|(_, packet)| packet.get(PROTOCOL) == newcomer.get(PROTOCOL))
        };
        let mut candidates = (0..self.len()).filter(for_key);
        candidates.clone().find(like).or_else(|| candidates.next())
    }

    fn start_of(&self, index: usize) -> usize {
        let before = self.waiting.iter().take(index);
        before.map(|packet| packet.len).sum()
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;
    use core::task::{Context, Poll};
    use std::vec::Vec;

    use super::*;
    use crate::cache::Status;
    use crate::resolver::ResolveError;
    use crate::time::Instant;
    use crate::wire::UnicastMac;

    /// Nobody answers in here.
    struct Asked(Ipv4Addr);

    impl Hold for Asked {
        fn key(&self) -> Key {
            self.0.into()
        }
        fn status(&self) -> Status {
            Status::Pending
        }
        fn confirm(&self, _now: Instant) {}
        fn poll_resolved(&self, _: &mut Context<'_>) -> Poll<Result<UnicastMac, ResolveError>> {
            Poll::Pending
        }
    }

    fn to(n: u8) -> Asked {
        Asked(Ipv4Addr::new(10, 0, 0, n))
    }

    fn inside<const P: usize, const B: usize>(parking: &Parking<Asked, P, B>) -> Vec<Vec<u8>> {
        let packets = (0..parking.len()).filter_map(|index| parking.get(index));
        packets.map(|(_, packet)| packet.to_vec()).collect()
    }

    const NONE: Cost = Cost {
        replaced: 0,
        displaced: 0,
    };

    #[test]
    fn the_newest_for_a_neighbour_stay_and_nobody_elses_go_for_them() {
        let mut parking = Parking::<_, 4, 64>::new(2);
        assert_eq!(parking.park(to(2), &[1]), Some(NONE));
        assert_eq!(parking.park(to(3), &[2]), Some(NONE));
        assert_eq!(parking.park(to(2), &[3]), Some(NONE));
        let cost = Cost {
            replaced: 1,
            ..NONE
        };
        assert_eq!(parking.park(to(2), &[4, 4]), Some(cost));
        assert_eq!(inside(&parking), [&[2][..], &[3], &[4, 4]]);
    }

    #[test]
    fn without_room_the_newcomers_own_go_first_and_then_the_oldest() {
        let mut parking = Parking::<_, 4, 6>::new(4);
        for (n, packet) in [(2, [2, 2]), (3, [3, 3]), (4, [4, 4])] {
            assert_eq!(parking.park(to(n), &packet), Some(NONE));
        }
        let replaced = Cost {
            replaced: 1,
            ..NONE
        };
        assert_eq!(parking.park(to(3), &[5, 5]), Some(replaced));
        assert_eq!(inside(&parking), [[2, 2], [4, 4], [5, 5]]);
        let displaced = Cost {
            displaced: 2,
            ..NONE
        };
        assert_eq!(parking.park(to(5), &[6, 6, 6]), Some(displaced));
        assert_eq!(inside(&parking), [&[5, 5][..], &[6, 6, 6]]);
        assert_eq!(parking.park(to(6), &[0; 7]), None, "there is never room");
        assert_eq!(parking.len(), 2);
    }

    #[test]
    fn packets_are_counted_beside_bytes() {
        let mut parking = Parking::<_, 2, 64>::new(2);
        for n in [2, 3] {
            assert_eq!(parking.park(to(n), &[n]), Some(NONE));
        }
        let displaced = Cost {
            displaced: 1,
            ..NONE
        };
        assert_eq!(parking.park(to(4), &[4]), Some(displaced));
        assert_eq!(inside(&parking), [[3], [4]]);
        assert_eq!(parking.clear(), 2);
        assert!(parking.is_empty());
    }
}
