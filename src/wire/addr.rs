//! Link-layer addresses: [`MacAddr`], its unicast half [`UnicastMac`], and [`VlanId`].

use core::fmt;
use core::net::Ipv4Addr;
use core::num::NonZeroU16;
use core::ops::Deref;
use core::str::FromStr;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Any 48-bit Ethernet address: of one station, of a group, or of everybody.
///
/// ```
/// use whohas::MacAddr;
///
/// let mac: MacAddr = "02:00:5e:10:00:01".parse()?;
/// assert!(mac.is_unicast());
/// assert_eq!(mac.to_string(), "02:00:5e:10:00:01");
/// # Ok::<(), whohas::wire::ParseMacError>(())
/// ```
#[derive(
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
)]
#[repr(transparent)]
pub struct MacAddr([u8; 6]);

impl MacAddr {
    /// Everybody on the segment: `ff:ff:ff:ff:ff:ff`.
    pub const BROADCAST: Self = Self([0xff; 6]);
    /// The address that means "not known" in ARP's target field.
    pub const ZERO: Self = Self([0; 6]);

    /// The address with these bytes, in transmission order.
    pub const fn new(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// The bytes in transmission order.
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// The group that carries an IPv4 multicast address (RFC 1112 section 6.4); `None` for any
    /// other address.
    pub const fn of_multicast(group: Ipv4Addr) -> Option<Self> {
        if !group.is_multicast() {
            return None;
        }
        let [_, b, c, d] = group.octets();
        Some(Self([0x01, 0x00, 0x5e, b & 0x7f, c, d]))
    }

    /// One station, not a group and not the zero address.
    pub const fn is_unicast(self) -> bool {
        !self.is_group() && !self.is_zero()
    }

    /// The group bit is set: multicast, broadcast included.
    pub const fn is_group(self) -> bool {
        self.0[0] & 1 == 1
    }

    /// All ones.
    pub const fn is_broadcast(self) -> bool {
        matches!(self.words(), (u32::MAX, u16::MAX))
    }

    /// All zeros.
    pub const fn is_zero(self) -> bool {
        matches!(self.words(), (0, 0))
    }

    /// In two words: against an array the compiler compares byte by byte, and takes a received
    /// address apart for it.
    const fn words(self) -> (u32, u16) {
        let [a, b, c, d, e, f] = self.0;
        (u32::from_ne_bytes([a, b, c, d]), u16::from_ne_bytes([e, f]))
    }

    /// The same address as a unicast one, if it is one.
    pub const fn unicast(self) -> Result<UnicastMac, NotUnicast> {
        if self.is_unicast() {
            Ok(UnicastMac(self))
        } else {
            Err(NotUnicast(self))
        }
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for MacAddr {
    fn format(&self, f: defmt::Formatter<'_>) {
        let [a, b, c, d, e, g] = self.0;
        defmt::write!(
            f,
            "{=u8:02x}:{=u8:02x}:{=u8:02x}:{=u8:02x}:{=u8:02x}:{=u8:02x}",
            a,
            b,
            c,
            d,
            e,
            g
        );
    }
}

/// The text is not six hexadecimal bytes with `:` or `-` between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("a MAC address is six hexadecimal bytes with `:` between them, like 02:00:5e:10:00:01")]
pub struct ParseMacError;

impl FromStr for MacAddr {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().ok_or(ParseMacError)?;
            if part.len() != 2 || part.starts_with('+') {
                return Err(ParseMacError);
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| ParseMacError)?;
        }
        match parts.next() {
            None => Ok(Self(bytes)),
            Some(_) => Err(ParseMacError),
        }
    }
}

/// The address of one station: neither a group nor zero.
///
/// The only kind of address a neighbour can have here, so that RFC 1122 section 2.3.2.1's "never to
/// or from the broadcast address" holds by type.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct UnicastMac(MacAddr);

impl UnicastMac {
    /// The station with these bytes; refused for a group and for zero.
    pub const fn new(bytes: [u8; 6]) -> Result<Self, NotUnicast> {
        MacAddr::new(bytes).unicast()
    }

    /// Bytes that came out of one.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) const fn known(bytes: [u8; 6]) -> Self {
        Self(MacAddr::new(bytes))
    }

    /// The address as one of any kind.
    pub const fn get(self) -> MacAddr {
        self.0
    }
}

impl Deref for UnicastMac {
    type Target = MacAddr;

    fn deref(&self) -> &MacAddr {
        &self.0
    }
}

impl From<UnicastMac> for MacAddr {
    fn from(mac: UnicastMac) -> Self {
        mac.0
    }
}

impl TryFrom<MacAddr> for UnicastMac {
    type Error = NotUnicast;

    fn try_from(mac: MacAddr) -> Result<Self, NotUnicast> {
        mac.unicast()
    }
}

impl PartialEq<MacAddr> for UnicastMac {
    fn eq(&self, other: &MacAddr) -> bool {
        self.0 == *other
    }
}

impl fmt::Display for UnicastMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for UnicastMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for UnicastMac {
    fn format(&self, f: defmt::Formatter<'_>) {
        self.0.format(f);
    }
}

/// The address is a group, the broadcast address or zero, where one station is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("{0} is not the address of one station")]
pub struct NotUnicast(pub MacAddr);

/// Whether a single host on a link can have this address at all.
pub(crate) const fn can_be_host(ip: Ipv4Addr) -> bool {
    // 0.0.0.0/8 is "this network" (RFC 1122 section 3.2.1.3); 240.0.0.0/4 is reserved and holds the
    // limited broadcast address.
    let [first, ..] = ip.octets();
    first != 0 && first < 224 && !ip.is_loopback()
}

/// The number of a VLAN: 1 to 4094 (IEEE 802.1Q reserves 0 and 4095).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct VlanId(NonZeroU16);

impl VlanId {
    /// The VLAN with this number, if there can be one.
    pub const fn new(id: u16) -> Result<Self, InvalidVlanId> {
        match NonZeroU16::new(id) {
            Some(id) if id.get() < 0x0fff => Ok(Self(id)),
            _ => Err(InvalidVlanId(id)),
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for VlanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number is not that of a VLAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("{0} is not a VLAN number: use 1 to 4094")]
pub struct InvalidVlanId(pub u16);

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    #[test]
    fn text_round_trips_and_nonsense_is_refused() {
        let mac = MacAddr::new([0x02, 0xab, 0, 0xff, 0x10, 9]);
        assert_eq!(mac.to_string(), "02:ab:00:ff:10:09");
        assert_eq!(mac.to_string().parse(), Ok(mac));
        assert_eq!("02-AB-00-FF-10-09".parse(), Ok(mac));
        for bad in [
            "",
            "02",
            "02:ab:00:ff:10",
            "02:ab:00:ff:10:09:00",
            "+2:ab:00:ff:10:09",
            "2:ab:0:ff:10:9",
            "0g:ab:00:ff:10:09",
        ] {
            assert_eq!(bad.parse::<MacAddr>(), Err(ParseMacError), "{bad}");
        }
    }

    #[test]
    fn only_one_station_is_unicast() {
        assert!(MacAddr::BROADCAST.unicast().is_err());
        assert!(MacAddr::ZERO.unicast().is_err());
        assert!(MacAddr::new([1, 0, 0x5e, 0, 0, 1]).unicast().is_err());
        assert!(MacAddr::new([2, 0, 0, 0, 0, 1]).unicast().is_ok());
    }

    #[test]
    fn multicast_maps_by_its_low_23_bits() {
        let group = Ipv4Addr::new(239, 129, 2, 3);
        assert_eq!(
            MacAddr::of_multicast(group),
            Some(MacAddr::new([1, 0, 0x5e, 1, 2, 3]))
        );
        assert_eq!(MacAddr::of_multicast(Ipv4Addr::new(10, 0, 0, 1)), None);
    }

    #[test]
    fn vlan_numbers_end_at_both_reserved_values() {
        assert!(VlanId::new(0).is_err());
        assert_eq!(VlanId::new(1).map(VlanId::get), Ok(1));
        assert_eq!(VlanId::new(4094).map(VlanId::get), Ok(4094));
        assert!(VlanId::new(4095).is_err());
        assert_eq!(size_of::<Option<VlanId>>(), 2);
    }
}
