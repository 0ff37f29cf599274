//! Our own side of the segment: the addresses we have, those we answer for, and what that makes of
//! every other address.

use core::fmt;
use core::net::Ipv4Addr;

use super::bounds::{Bounds, List, ListOf, Usual};
use super::hold::HoldError;
use super::key::Key;
use crate::time::{Instant, Stored};
use crate::wire::{MacAddr, VlanId, can_be_host};

/// How many own addresses a cache with the usual bounds can have, how many prefixes it can answer for,
/// and how many own addresses a link can have at most.
pub const MAX_ADDRESSES: usize = 8;

/// An address with the prefix it lies in, on one VLAN or the untagged segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Prefix {
    ip: Ipv4Addr,
    len: u8,
    vlan: Option<VlanId>,
}

impl Prefix {
    /// `ip` in a prefix of `len` bits, untagged.
    ///
    /// ```
    /// use core::net::Ipv4Addr;
    /// use whohas::Prefix;
    ///
    /// let ours = Prefix::new(Ipv4Addr::new(10, 0, 0, 1), 24)?;
    /// assert!(ours.contains(Ipv4Addr::new(10, 0, 0, 200)));
    /// assert_eq!(ours.broadcast(), Some(Ipv4Addr::new(10, 0, 0, 255)));
    /// # Ok::<(), whohas::cache::AddressError>(())
    /// ```
    pub const fn new(ip: Ipv4Addr, len: u8) -> Result<Self, AddressError> {
        if len > 32 {
            return Err(AddressError::PrefixLen(len));
        }
        Ok(Self {
            ip,
            len,
            vlan: None,
        })
    }

    /// The same on a VLAN.
    pub const fn on_vlan(self, vlan: VlanId) -> Self {
        Self {
            vlan: Some(vlan),
            ..self
        }
    }

    /// The address.
    pub const fn ip(self) -> Ipv4Addr {
        self.ip
    }

    /// The length of the prefix in bits.
    pub const fn len(self) -> u8 {
        self.len
    }

    /// Whether the prefix has no bits, that is, whether every address lies in it.
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The VLAN, if the segment is tagged.
    pub const fn vlan(self) -> Option<VlanId> {
        self.vlan
    }

    /// Whether `ip` lies in the prefix.
    pub const fn contains(self, ip: Ipv4Addr) -> bool {
        (ip.to_bits() ^ self.ip.to_bits()) & self.mask() == 0
    }

    /// The address of everybody in the prefix; `None` for /31 (RFC 3021) and /32, which have none.
    pub const fn broadcast(self) -> Option<Ipv4Addr> {
        if self.len > 30 {
            return None;
        }
        Some(Ipv4Addr::from_bits(self.ip.to_bits() | !self.mask()))
    }

    /// The lowest address, which names the prefix and no host; `None` for /31 and /32.
    const fn network(self) -> Option<Ipv4Addr> {
        if self.len > 30 {
            return None;
        }
        Some(Ipv4Addr::from_bits(self.ip.to_bits() & self.mask()))
    }

    /// Whether an address in the prefix can be a host's there: neither the prefix's own nor everybody's.
    #[cfg(any(feature = "dhcp", feature = "link"))]
    #[inline]
    pub(crate) const fn is_host(self, ip: Ipv4Addr) -> bool {
        let host = ip.to_bits() & !self.mask();
        self.len > 30 || host != 0 && host != !self.mask()
    }

    /// The lowest of all addresses in the prefix.
    #[cfg(any(feature = "dhcp", feature = "std"))]
    pub(crate) const fn first(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.ip.to_bits() & self.mask())
    }

    /// The highest.
    #[cfg(any(feature = "dhcp", feature = "std"))]
    pub(crate) const fn last(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.ip.to_bits() | !self.mask())
    }

    const fn mask(self) -> u32 {
        // In 64 bits a shift by 32 is like any other.
        (0xffff_ffff_0000_0000_u64.wrapping_shr(self.len as u32)) as u32
    }

    const fn key(self) -> Key {
        Key {
            vlan: self.vlan,
            ip: self.ip,
        }
    }

    fn covers(self, key: Key) -> bool {
        self.vlan == key.vlan && self.contains(key.ip)
    }

    /// Whether a host can have this address in this prefix.
    pub(crate) fn check_host(self) -> Result<(), AddressError> {
        let ip = self.ip;
        if !can_be_host(ip) || self.network() == Some(ip) || self.broadcast() == Some(ip) {
            return Err(AddressError::NotAHost(ip));
        }
        Ok(())
    }
}

/// Where packets to an address go, as far as the link is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Destination {
    /// To everybody on the segment; no query is needed.
    Broadcast,
    /// Nowhere: no host can have this address.
    Invalid,
    /// To ourselves, or to somebody we answer for.
    Local,
    /// To a group; no query is needed.
    Multicast(MacAddr),
    /// Through a gateway.
    OffLink,
    /// To a neighbour, and this is the own address to ask it from.
    OnLink {
        /// The own address whose prefix the neighbour shares.
        source: Ipv4Addr,
    },
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broadcast => f.write_str("the address of everybody on the segment"),
            Self::Invalid => f.write_str("an address that no host can have"),
            Self::Local => f.write_str("one of our own addresses, or one that we answer for"),
            Self::Multicast(group) => write!(f, "the address of a group, at {group}"),
            Self::OffLink => f.write_str("an address behind a gateway"),
            Self::OnLink { source } => write!(f, "a neighbour of our address {source}"),
        }
    }
}

/// Why addresses were refused; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum AddressError {
    /// No host can have this address in this prefix.
    #[error("{0} cannot be a host's address in its prefix")]
    NotAHost(Ipv4Addr),
    /// The same address twice.
    #[error("{0} is listed twice")]
    Twice(Ipv4Addr),
    /// A prefix has at most 32 bits.
    #[error("a prefix of {0} bits: an IPv4 address has 32")]
    PrefixLen(u8),
    /// More than the storage's [`Bounds`] have room for; a link has it for [`MAX_ADDRESSES`].
    #[error(
        "more addresses than there is room for: choose larger `Bounds`, or answer for some with a proxy prefix"
    )]
    TooMany,
}

/// An own address and what is left of announcing it.
///
/// The parts of its prefix are side by side with the rest, which makes 16 bytes instead of 24.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(target_pointer_width = "32", repr(packed(2)))] // as `Stored`: there may be one only
pub(super) struct OwnAddress {
    not_before: Stored,
    ip: Ipv4Addr,
    vlan: Option<VlanId>,
    len: u8,
    pub(super) announcements: u8,
}

impl OwnAddress {
    const fn new(prefix: Prefix, announcements: u8, not_before: Instant) -> Self {
        let Prefix { ip, len, vlan } = prefix;
        Self {
            not_before: Stored::new(not_before),
            ip,
            vlan,
            len,
            announcements,
        }
    }

    pub(super) const fn prefix(&self) -> Prefix {
        let Self { ip, len, vlan, .. } = *self;
        Prefix { ip, len, vlan }
    }

    pub(super) const fn key(&self) -> Key {
        self.prefix().key()
    }

    /// The next announcement has to wait until then.
    pub(super) fn not_before(&self) -> Instant {
        self.not_before.get()
    }

    pub(super) fn announce_not_before(&mut self, time: Instant) {
        self.not_before = Stored::new(time);
    }
}

/// Own addresses and the prefixes we answer for.
#[derive(Clone, Debug)]
pub(crate) struct Addresses<B: Bounds = Usual> {
    own: ListOf<B::Addresses, OwnAddress>,
    proxied: ListOf<B::Proxied, Prefix>,
}

impl<B: Bounds> Addresses<B> {
    pub(crate) const fn new() -> Self {
        Self {
            own: List::EMPTY,
            proxied: List::EMPTY,
        }
    }

    /// The own addresses with their prefixes.
    pub(crate) fn prefixes(&self) -> impl Iterator<Item = Prefix> {
        self.own().iter().map(OwnAddress::prefix)
    }

    pub(super) fn own(&self) -> &[OwnAddress] {
        self.own.view()
    }

    pub(super) fn own_mut(&mut self) -> &mut [OwnAddress] {
        self.own.view_mut()
    }

    /// Replaces the own addresses; new ones are to be announced `announcements` times.
    pub(crate) fn set_own(
        &mut self,
        prefixes: &[Prefix],
        announcements: u8,
        now: Instant,
    ) -> Result<(), AddressError> {
        let mut own = ListOf::<B::Addresses, OwnAddress>::EMPTY;
        for &prefix in prefixes {
            prefix.check_host()?;
            if own.view().iter().any(|other| other.key() == prefix.key()) {
                return Err(AddressError::Twice(prefix.ip));
            }
            let known = self.own().iter().find(|known| known.key() == prefix.key());
            let address = match known {
                Some(known) => OwnAddress::new(prefix, known.announcements, known.not_before()),
                None => OwnAddress::new(prefix, announcements, now),
            };
            let kept = own.view_mut().push(address);
            kept.map_err(|_| AddressError::TooMany)?;
        }
        self.own = own;
        Ok(())
    }

    pub(super) fn set_proxied(&mut self, prefixes: &[Prefix]) -> Result<(), AddressError> {
        let mut proxied = ListOf::<B::Proxied, Prefix>::EMPTY;
        let kept = proxied.view_mut().extend_from_slice(prefixes);
        kept.map_err(|_| AddressError::TooMany)?;
        self.proxied = proxied;
        Ok(())
    }

    #[cfg_attr(target_pointer_width = "64", inline)] // longer than a call: not on a chip
    pub(super) fn is_own(&self, key: Key) -> bool {
        self.own().iter().any(|own| own.key() == key)
    }

    /// Whether we answer requests for the address: our own, or one in a proxied prefix.
    #[cfg_attr(target_pointer_width = "64", inline)] // longer than a call: not on a chip
    pub(super) fn answers_for(&self, key: Key) -> bool {
        self.is_own(key) || self.proxies(key)
    }

    fn proxies(&self, key: Key) -> bool {
        self.proxied.view().iter().any(|prefix| prefix.covers(key))
    }

    /// Whether we answer an RFC 5227 probe: for a single address as for our own, but never for a
    /// whole prefix, where it would keep every host behind us from using its address.
    pub(super) fn answers_probe_for(&self, key: Key) -> bool {
        self.is_own(key)
            || self
                .proxied
                .view()
                .iter()
                .any(|prefix| prefix.len == 32 && prefix.covers(key))
    }

    #[cfg_attr(target_pointer_width = "64", inline)] // longer than a call: not on a chip
    pub(super) fn destination(&self, key: Key) -> Destination {
        let Key { vlan, ip } = key;
        if let Some(group) = MacAddr::of_multicast(ip) {
            return Destination::Multicast(group);
        }
        if ip.is_broadcast() {
            return Destination::Broadcast;
        }
        if !can_be_host(ip) {
            return Destination::Invalid;
        }
        // In one pass, as this is asked of every frame. The longest prefix wins, as in any routing
        // table; of equals the first.
        let mut covering: Option<Prefix> = None;
        for prefix in self.prefixes() {
            if prefix.vlan != vlan {
                continue;
            }
            if prefix.ip == ip {
                return Destination::Local;
            }
            if prefix.contains(ip) && covering.is_none_or(|longest| prefix.len > longest.len) {
                covering = Some(prefix);
            }
        }
        if self.proxies(key) {
            return Destination::Local;
        }
        match covering {
            None => Destination::OffLink,
            Some(prefix) if prefix.broadcast() == Some(ip) => Destination::Broadcast,
            Some(prefix) if prefix.network() == Some(ip) => Destination::Invalid,
            Some(prefix) => Destination::OnLink { source: prefix.ip },
        }
    }

    /// Whether somebody who is asked for can have the address.
    pub(crate) fn check_neighbour(&self, key: Key) -> Result<(), HoldError> {
        match self.destination(key) {
            Destination::OnLink { .. } => Ok(()),
            Destination::OffLink if self.own().is_empty() => Err(HoldError::NoAddress),
            Destination::OffLink => Err(HoldError::OffLink),
            other @ (Destination::Broadcast
            | Destination::Invalid
            | Destination::Local
            | Destination::Multicast(_)) => Err(HoldError::NotANeighbour(other)),
        }
    }

    /// The own address to ask for `key` from: one that shares its prefix, else any on its VLAN.
    pub(super) fn source_for(&self, key: Key) -> Option<Ipv4Addr> {
        match self.destination(key) {
            Destination::OnLink { source } => Some(source),
            Destination::OffLink => self
                .prefixes()
                .find(|own| own.vlan == key.vlan)
                .map(Prefix::ip),
            Destination::Broadcast
            | Destination::Invalid
            | Destination::Local
            | Destination::Multicast(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(own: &[([u8; 4], u8)]) -> Addresses {
        let own: std::vec::Vec<_> = own
            .iter()
            .map(|&(ip, len)| Prefix::new(ip.into(), len).unwrap())
            .collect();
        let mut addresses = Addresses::new();
        addresses.set_own(&own, 0, Instant::ZERO).unwrap();
        addresses
    }

    fn destination(own: &[([u8; 4], u8)], ip: [u8; 4]) -> Destination {
        addresses(own).destination(Ipv4Addr::from(ip).into())
    }

    fn from(source: [u8; 4]) -> Destination {
        Destination::OnLink {
            source: source.into(),
        }
    }

    #[test]
    fn a_second_address_in_the_prefix_does_not_become_the_one_that_asks() {
        let own = [([10, 0, 0, 1], 24), ([10, 0, 0, 11], 24)];
        assert_eq!(destination(&own, [10, 0, 0, 2]), from([10, 0, 0, 1]));
    }

    #[test]
    fn every_kind_of_address_goes_its_own_way() {
        let own = &[([10, 0, 0, 1], 24)][..];
        for (ip, expected) in [
            ([10, 0, 0, 2], from([10, 0, 0, 1])),
            ([10, 0, 0, 1], Destination::Local),
            ([10, 0, 0, 0], Destination::Invalid),
            ([10, 0, 0, 255], Destination::Broadcast),
            ([255, 255, 255, 255], Destination::Broadcast),
            ([0, 0, 0, 0], Destination::Invalid),
            ([0, 1, 2, 3], Destination::Invalid),
            ([127, 0, 0, 1], Destination::Invalid),
            ([240, 0, 0, 1], Destination::Invalid),
            (
                [224, 0, 0, 251],
                Destination::Multicast(MacAddr::new([1, 0, 0x5e, 0, 0, 251])),
            ),
            ([192, 0, 2, 9], Destination::OffLink),
        ] {
            assert_eq!(destination(own, ip), expected, "{ip:?}");
        }
    }

    #[test]
    fn point_to_point_and_host_prefixes_have_no_broadcast_address() {
        assert_eq!(
            destination(&[([10, 0, 0, 0], 31)], [10, 0, 0, 1]),
            from([10, 0, 0, 0])
        );
        assert_eq!(
            destination(&[([10, 0, 0, 1], 32)], [10, 0, 0, 2]),
            Destination::OffLink
        );
        assert_eq!(
            destination(&[([10, 0, 0, 1], 0)], [192, 0, 2, 9]),
            from([10, 0, 0, 1])
        );
    }

    #[test]
    fn the_longest_prefix_gives_the_source() {
        let own = &[([10, 0, 0, 1], 8), ([10, 1, 0, 1], 16)];
        assert_eq!(destination(own, [10, 1, 0, 9]), from([10, 1, 0, 1]));
        assert_eq!(destination(own, [10, 2, 0, 9]), from([10, 0, 0, 1]));
    }

    #[test]
    fn illegal_addresses_are_refused_and_change_nothing() {
        assert_eq!(
            Prefix::new(Ipv4Addr::LOCALHOST, 33),
            Err(AddressError::PrefixLen(33))
        );
        let mut addresses = addresses(&[([10, 0, 0, 1], 24)]);
        for ip in [
            [0, 0, 0, 0],
            [10, 0, 0, 0],
            [10, 0, 0, 255],
            [224, 0, 0, 1],
            [127, 0, 0, 1],
        ] {
            let prefix = Prefix::new(ip.into(), 24).unwrap();
            let result = addresses.set_own(&[prefix], 0, Instant::ZERO);
            assert_eq!(result, Err(AddressError::NotAHost(ip.into())));
        }
        let many = [Prefix::new(Ipv4Addr::new(10, 0, 0, 9), 24).unwrap(); MAX_ADDRESSES + 1];
        assert_eq!(
            addresses.set_own(&many[..2], 0, Instant::ZERO),
            Err(AddressError::Twice(Ipv4Addr::new(10, 0, 0, 9)))
        );
        let many: std::vec::Vec<_> = (10..=10 + MAX_ADDRESSES as u8)
            .map(|last| Prefix::new(Ipv4Addr::new(10, 0, 0, last), 24).unwrap())
            .collect();
        assert_eq!(
            addresses.set_own(&many, 0, Instant::ZERO),
            Err(AddressError::TooMany)
        );
        assert!(addresses.is_own(Ipv4Addr::new(10, 0, 0, 1).into()));
    }
}
