//! Datagrams in a ring of bytes, oldest first.

use core::net::SocketAddrV4;

use crate::net::slots::Slots;

/// Between whom a datagram goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) local: SocketAddrV4,
    pub(super) remote: SocketAddrV4,
}

impl Ends {
    const LEN: usize = 12;

    fn to_bytes(self) -> [u8; Self::LEN] {
        let [a, b, c, d] = self.local.ip().octets();
        let [e, f] = self.local.port().to_be_bytes();
        let [g, h, i, j] = self.remote.ip().octets();
        let [k, l] = self.remote.port().to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l]
    }

    fn from_bytes([a, b, c, d, e, f, g, h, i, j, k, l]: [u8; Self::LEN]) -> Self {
        Self {
            local: SocketAddrV4::new([a, b, c, d].into(), u16::from_be_bytes([e, f])),
            remote: SocketAddrV4::new([g, h, i, j].into(), u16::from_be_bytes([k, l])),
        }
    }
}

/// Each datagram is its ends, its length in two bytes and its payload; they follow upon each other,
/// round the end of the buffer if need be.
#[derive(Debug)]
pub(super) struct Ring<'a> {
    bytes: Slots<'a, u8>,
    start: usize,
    len: usize,
}

impl<'a> Ring<'a> {
    /// What a datagram takes beside its payload.
    pub(super) const OVERHEAD: usize = Ends::LEN + 2;

    pub(super) fn new(bytes: &'a mut [u8]) -> Self {
        Self {
            bytes: Slots::Fixed(bytes),
            start: 0,
            len: 0,
        }
    }

    #[cfg(feature = "alloc")]
    pub(super) fn growing(len: usize) -> Self {
        Self {
            bytes: Slots::Grown(alloc::vec![0; len]),
            start: 0,
            len: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.start = 0;
        self.len = 0;
    }

    /// The longest payload that ever fits.
    pub(super) fn most(&self) -> usize {
        self.bytes.len().saturating_sub(Self::OVERHEAD)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a datagram; false if there is no room for it now.
    pub(super) fn push(&mut self, ends: Ends, payload: &[u8]) -> bool {
        let room = self.bytes.len() - self.len;
        let Ok(len) = u16::try_from(payload.len()) else {
            return false;
        };
        if room < Self::OVERHEAD + payload.len() {
            return false;
        }
        self.append(&ends.to_bytes());
        self.append(&len.to_be_bytes());
        self.append(payload);
        true
    }

    fn append(&mut self, bytes: &[u8]) {
        let at = self.wrap(self.start + self.len);
        let until_end = bytes.len().min(self.bytes.len() - at);
        let (first, second) = bytes.split_at(until_end);
        self.bytes[at..at + first.len()].copy_from_slice(first);
        self.bytes[..second.len()].copy_from_slice(second);
        self.len += bytes.len();
    }

    /// The oldest datagram's ends and the length of its payload.
    pub(super) fn first(&self) -> Option<(Ends, usize)> {
        if self.is_empty() {
            return None;
        }
        let (mut ends, mut len) = ([0; Ends::LEN], [0; 2]);
        self.copy(0, &mut ends);
        self.copy(Ends::LEN, &mut len);
        Some((Ends::from_bytes(ends), u16::from_be_bytes(len).into()))
    }

    /// Copies the beginning of the oldest datagram's payload, as much as fits.
    pub(super) fn copy_payload(&self, len: usize, into: &mut [u8]) {
        let len = len.min(into.len());
        self.copy(Self::OVERHEAD, &mut into[..len]);
    }

    /// Removes the oldest datagram.
    pub(super) fn pop(&mut self) {
        if let Some((_, len)) = self.first() {
            let whole = Self::OVERHEAD + len;
            self.start = self.wrap(self.start + whole);
            self.len -= whole;
        }
    }

    fn copy(&self, offset: usize, into: &mut [u8]) {
        let at = self.wrap(self.start + offset);
        let until_end = into.len().min(self.bytes.len() - at);
        let (first, second) = into.split_at_mut(until_end);
        first.copy_from_slice(&self.bytes[at..at + first.len()]);
        second.copy_from_slice(&self.bytes[..second.len()]);
    }

    fn wrap(&self, at: usize) -> usize {
        if at < self.bytes.len() {
            at
        } else {
            at - self.bytes.len()
        }
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use super::*;

    fn ends(n: u8) -> Ends {
        Ends {
            local: SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 1), 0x1234),
            remote: SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, n), u16::from(n)),
        }
    }

    fn pop(ring: &mut Ring<'_>) -> Option<(Ends, std::vec::Vec<u8>)> {
        let (ends, len) = ring.first()?;
        let mut payload = std::vec![0; len];
        ring.copy_payload(len, &mut payload);
        ring.pop();
        Some((ends, payload))
    }

    #[test]
    fn datagrams_come_out_as_they_went_in_wherever_the_ring_wraps() {
        let mut bytes = [0; 2 * Ring::OVERHEAD + 9];
        let mut ring = Ring::new(&mut bytes);
        for n in 1..=100 {
            assert!(ring.push(ends(n), &[n; 3]));
            assert!(ring.push(ends(n + 1), &[n; 6]));
            assert!(!ring.push(ends(n), &[]), "the ring is full");
            assert_eq!(pop(&mut ring), Some((ends(n), std::vec![n; 3])));
            assert_eq!(pop(&mut ring), Some((ends(n + 1), std::vec![n; 6])));
            assert_eq!(pop(&mut ring), None);
            // Moves the place where the next ones begin.
            assert!(ring.push(ends(n), &[]));
            ring.pop();
        }
    }

    #[test]
    fn the_longest_datagram_fits_and_one_byte_more_does_not() {
        let mut bytes = [0; Ring::OVERHEAD + 5];
        let mut ring = Ring::new(&mut bytes);
        assert_eq!(ring.most(), 5);
        assert!(!ring.push(ends(1), &[0; 6]));
        assert!(ring.push(ends(1), &[0; 5]));
    }

    #[test]
    fn a_ring_of_no_bytes_takes_nothing() {
        let mut ring = Ring::new(&mut []);
        assert!(!ring.push(ends(1), &[]));
        assert_eq!(ring.first(), None);
        ring.pop();
        ring.clear();
    }
}
