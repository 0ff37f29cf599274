//! One address under examination: what is said about it, and whom to believe.

use core::net::Ipv4Addr;

use crate::wire::{ArpPacket, MacAddr, UnicastMac, can_be_host};

/// A packet for the driver to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Outgoing {
    /// Where to: everybody, for every cache on the link is concerned (RFC 5227 section 2.1.1).
    pub destination: MacAddr,
    /// What.
    pub packet: ArpPacket,
}

impl Outgoing {
    const fn broadcast(packet: ArpPacket) -> Self {
        Self {
            destination: MacAddr::BROADCAST,
            packet,
        }
    }
}

/// How many packets about the address were not believed, by reason. Counts stop at their largest
/// value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ignored {
    /// The Ethernet source is not the ARP sender: to believe it would let anybody take the address
    /// away in somebody else's name.
    pub ethernet_mismatch: u32,
    /// From one of our own addresses: hubs and access points repeat what we broadcast.
    pub own: u32,
}

/// What somebody else says about the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Would like to use it, and asks.
    Probes(UnicastMac),
    /// Uses it.
    Uses(UnicastMac),
}

/// An address, and the station that would like to use or to offer it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    mac: UnicastMac,
    ip: Ipv4Addr,
    ignored: Ignored,
}

impl Candidate {
    pub(super) const fn new(mac: UnicastMac, ip: Ipv4Addr) -> Result<Self, NotClaimable> {
        if !can_be_host(ip) {
            return Err(NotClaimable(ip));
        }
        Ok(Self {
            mac,
            ip,
            ignored: Ignored {
                ethernet_mismatch: 0,
                own: 0,
            },
        })
    }

    /// The same station and counts with another address.
    pub(super) fn with_ip(self, ip: Ipv4Addr) -> Result<Self, NotClaimable> {
        let Self {
            mac,
            ignored,
            ip: _,
        } = self;
        Ok(Self {
            ignored,
            ..Self::new(mac, ip)?
        })
    }

    pub(super) const fn ip(&self) -> Ipv4Addr {
        self.ip
    }

    pub(super) const fn ignored(&self) -> Ignored {
        self.ignored
    }

    pub(super) const fn probe(&self) -> Outgoing {
        Outgoing::broadcast(ArpPacket::probe(self.mac, self.ip))
    }

    pub(super) const fn announcement(&self) -> Outgoing {
        Outgoing::broadcast(ArpPacket::announcement(self.mac, self.ip))
    }

    /// What a packet says about the address, if it does and is to be believed (RFC 5227 section
    /// 2.1.1).
    ///
    /// An ordinary request *for* the address is no claim: its sender looks for somebody.
    pub(super) fn hear(
        &mut self,
        ethernet_source: MacAddr,
        packet: &ArpPacket,
        own: &[UnicastMac],
    ) -> Option<Claim> {
        let sender = packet.sender_mac;
        let claim = if packet.sender_ip == self.ip {
            Claim::Uses(sender)
        } else if packet.is_probe() && packet.target_ip == self.ip {
            Claim::Probes(sender)
        } else {
            return None;
        };
        if sender == self.mac || own.contains(&sender) {
            self.ignored.own = self.ignored.own.saturating_add(1);
            return None;
        }
        if sender != ethernet_source {
            self.ignored.ethernet_mismatch = self.ignored.ethernet_mismatch.saturating_add(1);
            return None;
        }
        Some(claim)
    }
}

/// No host can have this address: it is zero, a loopback, a group, reserved or everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[error("{0} is not an address that a host can claim")]
pub struct NotClaimable(pub Ipv4Addr);
