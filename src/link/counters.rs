//! What was counted. Every frame that came up, and every packet that came down, is in exactly one
//! place.

/// Why a received frame was handed to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RxDrop {
    /// An ARP frame that another queue had no room for, and of which one waited already.
    ArpBusy,
    /// The Ethernet header is no header of ours: a length field, stacked tags, VLAN 4095.
    EthernetType,
    /// Our own frame came back.
    Echo,
    /// Neither ARP nor IPv4.
    EtherType,
    /// To everybody or to a group on the wire, but to a single host in the packet (RFC 1122 section
    /// 3.3.6).
    GroupFrame,
    /// Not an IPv4 packet: version, header length, total length or checksum are wrong.
    Ipv4,
    /// For another station.
    NotForUs,
    /// No IPv4 packet comes from there: from a group, from ourselves, from nobody.
    SourceIp,
    /// The sender is a group or zero.
    SourceMac,
    /// Longer than the link's buffer.
    TooLong,
    /// Shorter than its headers say.
    Truncated,
    /// On a VLAN where we have no address.
    Vlan,
}

impl RxDrop {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 12] = [
        Self::ArpBusy,
        Self::EthernetType,
        Self::Echo,
        Self::EtherType,
        Self::GroupFrame,
        Self::Ipv4,
        Self::NotForUs,
        Self::SourceIp,
        Self::SourceMac,
        Self::TooLong,
        Self::Truncated,
        Self::Vlan,
    ];

    /// The reason as a label for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ArpBusy => "arp_busy",
            Self::EthernetType => "ethernet_type",
            Self::Echo => "echo",
            Self::EtherType => "ether_type",
            Self::GroupFrame => "group_frame",
            Self::Ipv4 => "ipv4",
            Self::NotForUs => "not_for_us",
            Self::SourceIp => "source_ip",
            Self::SourceMac => "source_mac",
            Self::TooLong => "too_long",
            Self::Truncated => "truncated",
            Self::Vlan => "vlan",
        }
    }
}

/// Why a packet of the stack's did not leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum TxDrop {
    /// It waited for its neighbour, and packets for others needed the room.
    Displaced,
    /// The neighbour cannot be asked for: the table is full, the address is denied, ...
    HoldRefused,
    /// No host can have the destination.
    Invalid,
    /// The link is down.
    LinkDown,
    /// To ourselves: the stack's own business.
    Local,
    /// No prefix and no gateway leads there.
    NoRoute,
    /// Not an IPv4 packet.
    NotIpv4,
    /// The driver has no MAC address yet.
    NotReady,
    /// It waited for its neighbour, and newer packets for the same one needed the room.
    Replaced,
    /// Longer than the driver takes, or it should wait for its neighbour and is larger than all the
    /// room for waiting.
    TooLong,
    /// The neighbour does not answer.
    Unreachable,
}

impl TxDrop {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Displaced,
        Self::HoldRefused,
        Self::Invalid,
        Self::LinkDown,
        Self::Local,
        Self::NoRoute,
        Self::NotIpv4,
        Self::NotReady,
        Self::Replaced,
        Self::TooLong,
        Self::Unreachable,
    ];

    /// The reason as a label for metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Displaced => "displaced",
            Self::HoldRefused => "hold_refused",
            Self::Invalid => "invalid",
            Self::LinkDown => "link_down",
            Self::Local => "local",
            Self::NoRoute => "no_route",
            Self::NotIpv4 => "not_ipv4",
            Self::NotReady => "not_ready",
            Self::Replaced => "replaced",
            Self::TooLong => "too_long",
            Self::Unreachable => "unreachable",
        }
    }
}

/// What a [`Link`](super::Link) has counted since it was made.
///
/// `received = handed_up + arp + rx_dropped()`, and
/// `accepted = sent + tx_dropped() + what is parked`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct LinkCounters {
    /// Frames that the driver gave us.
    pub received: u64,
    /// IP packets for the stack.
    pub handed_up: u64,
    /// ARP frames given to the resolver, which has [counters](crate::cache::Counters) of its own.
    pub arp: u64,
    /// IP packets that the stack gave us.
    pub accepted: u64,
    /// IP packets given to the driver, those that had waited included.
    pub sent: u64,
    /// ARP frames given to the driver.
    pub arp_sent: u64,
    /// IP packets that had to wait for their neighbour.
    pub waited: u64,
    /// Events that found no room.
    pub events_lost: u64,
    rx: [u64; RxDrop::ALL.len()],
    tx: [u64; TxDrop::ALL.len()],
}

impl LinkCounters {
    pub(super) const ZERO: Self = Self {
        received: 0,
        handed_up: 0,
        arp: 0,
        accepted: 0,
        sent: 0,
        arp_sent: 0,
        waited: 0,
        events_lost: 0,
        rx: [0; RxDrop::ALL.len()],
        tx: [0; TxDrop::ALL.len()],
    };

    /// How many received frames were dropped for this reason.
    pub const fn rx(&self, reason: RxDrop) -> u64 {
        self.rx[reason as usize]
    }

    /// How many packets of the stack's were dropped for this reason.
    pub const fn tx(&self, reason: TxDrop) -> u64 {
        self.tx[reason as usize]
    }

    /// How many received frames were dropped.
    pub fn rx_dropped(&self) -> u64 {
        self.rx.iter().sum()
    }

    /// How many packets of the stack's were dropped.
    pub fn tx_dropped(&self) -> u64 {
        self.tx.iter().sum()
    }

    pub(super) const fn drop_rx(&mut self, reason: RxDrop) {
        self.rx[reason as usize] += 1;
    }

    pub(super) const fn drop_tx(&mut self, reason: TxDrop, packets: u64) {
        self.tx[reason as usize] += packets;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_listed_at_their_own_numbers_and_named_apart() {
        for (number, reason) in RxDrop::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number, "{reason:?}");
        }
        for (number, reason) in TxDrop::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number, "{reason:?}");
        }
        let rx = RxDrop::ALL.map(RxDrop::name);
        let tx = TxDrop::ALL.map(TxDrop::name);
        assert!(
            rx.iter()
                .enumerate()
                .all(|(n, name)| !rx[..n].contains(name))
        );
        assert!(
            tx.iter()
                .enumerate()
                .all(|(n, name)| !tx[..n].contains(name))
        );
    }
}
