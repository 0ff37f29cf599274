//! What an entry is found by: an IPv4 address on one VLAN.

use core::fmt;
use core::net::Ipv4Addr;

use crate::wire::{UnicastMac, VlanId};

/// The address of a neighbour: an IPv4 address on one VLAN, or on the untagged segment.
///
/// The same IPv4 address on two VLANs is two neighbours.
///
/// ```
/// use core::net::Ipv4Addr;
/// use whohas::{Key, VlanId};
///
/// let broker = Ipv4Addr::new(10, 0, 0, 2);
/// let untagged = Key::from(broker);
/// let tagged = Key { vlan: VlanId::new(10).ok(), ip: broker };
/// assert_ne!(untagged, tagged);
/// assert_eq!(tagged.to_string(), "10.0.0.2 on VLAN 10");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Key {
    /// The VLAN, or `None` for the untagged segment.
    pub vlan: Option<VlanId>,
    /// The address.
    pub ip: Ipv4Addr,
}

impl From<Ipv4Addr> for Key {
    fn from(ip: Ipv4Addr) -> Self {
        Self { vlan: None, ip }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.vlan {
            None => write!(f, "{}", self.ip),
            Some(vlan) => write!(f, "{} on VLAN {vlan}", self.ip),
        }
    }
}

/// Whom a deny rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Subject {
    /// Whoever says it has this address.
    Address(Key),
    /// This station, whatever address it claims.
    Station(UnicastMac),
}

impl From<Key> for Subject {
    fn from(key: Key) -> Self {
        Self::Address(key)
    }
}

impl From<Ipv4Addr> for Subject {
    fn from(ip: Ipv4Addr) -> Self {
        Self::Address(ip.into())
    }
}

impl From<UnicastMac> for Subject {
    fn from(mac: UnicastMac) -> Self {
        Self::Station(mac)
    }
}

/// A [`Subject`] folded into six bytes, so that neighbours and deny rules live in one table and cost
/// one look-up.
#[derive(Clone, Copy, Debug, Default, Eq)]
pub(super) struct Packed([u16; 3]);

impl Packed {
    pub(super) const EMPTY: Self = Self([0; 3]);

    /// The group bit of a MAC address in its first word. It is clear in every unicast address, which
    /// leaves it free to say: this is a station. VLAN numbers are laid around it.
    const STATION: u16 = 0x0100;

    pub(super) fn subject(self) -> Subject {
        let [tag, high, low] = self.0;
        let ([a, b], [c, d], [e, f]) = (
            (tag & !Self::STATION).to_be_bytes(),
            high.to_be_bytes(),
            low.to_be_bytes(),
        );
        match UnicastMac::new([a, b, c, d, e, f]) {
            Ok(mac) if tag & Self::STATION != 0 => Subject::Station(mac),
            _ => Subject::Address(Key {
                vlan: VlanId::new(tag & 0x00ff | tag >> 4 & 0x0f00).ok(),
                ip: Ipv4Addr::new(c, d, e, f),
            }),
        }
    }

    /// A well-mixed number: one multiplication, folded so that each of its bits depends on all of the
    /// address. `seed` is in both factors, so that who does not know it has to guess what collides.
    #[inline]
    pub(super) fn hash(self, seed: u32) -> usize {
        let [tag, high, low] = self.0;
        let address = u32::from(high) << 16 | u32::from(low);
        // Odd, so never zero; and the tag is moved away from the bit that makes it so.
        let factor = (0x9e37_79b1 ^ seed.rotate_left(16) ^ u32::from(tag) << 1) | 1;
        let product = u64::from(address ^ seed) * u64::from(factor);
        (product as u32 ^ (product >> 32) as u32) as usize
    }
}

impl PartialEq for Packed {
    // Word by word: a derived comparison is one of memory, for which the key that is looked for
    // would first have to be stored, and the processor stalls on what it has only just stored.
    #[inline]
    fn eq(&self, Self([tag, high, low]): &Self) -> bool {
        self.0[2] == *low && self.0[1] == *high && self.0[0] == *tag
    }
}

impl From<Key> for Packed {
    // On a chip the call is shorter.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    #[cfg_attr(target_pointer_width = "64", inline)]
    fn from(Key { vlan, ip }: Key) -> Self {
        let vlan = vlan.map_or(0, VlanId::get);
        let bits = ip.to_bits();
        Self([
            vlan & 0x00ff | (vlan & 0x0f00) << 4,
            (bits >> 16) as u16,
            bits as u16,
        ])
    }
}

impl From<UnicastMac> for Packed {
    fn from(mac: UnicastMac) -> Self {
        let [a, b, c, d, e, f] = mac.octets();
        Self([
            u16::from_be_bytes([a, b]) | Self::STATION,
            u16::from_be_bytes([c, d]),
            u16::from_be_bytes([e, f]),
        ])
    }
}

impl From<Subject> for Packed {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Address(key) => key.into(),
            Subject::Station(mac) => mac.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_neighbour_unpacks_and_no_station_looks_like_one() {
        for vlan in [0, 1, 10, 255, 256, 257, 0x0f0f, 4094] {
            let key = Key {
                vlan: VlanId::new(vlan).ok(),
                ip: Ipv4Addr::new(10, 200, 3, 4),
            };
            assert_eq!(Packed::from(key).subject(), Subject::Address(key));
        }
        let station = UnicastMac::new([0, 10, 10, 200, 3, 4]).unwrap();
        assert_eq!(Packed::from(station).subject(), Subject::Station(station));
    }
}
