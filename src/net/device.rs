//! The link as the TCP engine sees it. What the engine must not see is taken out on the way: packets
//! that nobody may send, datagrams, and SYNs for which there is no room.

use core::cell::Cell;
use core::net::SocketAddrV4;
use core::task::Context;

use embassy_net_driver as driver;
use smoltcp::phy::{self, Checksum, DeviceCapabilities, Medium};
use smoltcp::time::Instant;

use super::stats::{PacketStats, TcpStats, count};
use super::tcp::{ListenerSlot, Listening, TcpSlot};
use super::udp::{self, UdpTable};
use crate::cache::Prefix;
use crate::link::IpLink;
use crate::wire::{
    Fragment, IPV4_HEADER_LEN, IpProtocol, Ipv4Header, Ipv4Packet, UdpChecksum, can_be_host,
};

/// Who sent a TCP segment to which port of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) local: SocketAddrV4,
    pub(super) remote: SocketAddrV4,
    pub(super) sequence: u32,
    pub(super) acknowledged: u32,
    pub(super) window: u16,
    flags: u8,
}

impl Segment {
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;

    /// Only what is looked at here; the engine parses the rest.
    fn parse(packet: &Ipv4Packet<'_>) -> Option<Self> {
        let (ports, rest) = packet.payload.split_first_chunk::<4>()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        let (acknowledged, rest) = rest.split_first_chunk()?;
        let &[_offset, flags, high, low] = rest.first_chunk()?;
        let [a, b, c, d] = *ports;
        Some(Self {
            local: SocketAddrV4::new(packet.header.destination, u16::from_be_bytes([c, d])),
            remote: SocketAddrV4::new(packet.header.source, u16::from_be_bytes([a, b])),
            sequence: u32::from_be_bytes(*sequence),
            acknowledged: u32::from_be_bytes(*acknowledged),
            window: u16::from_be_bytes([high, low]),
            flags,
        })
    }

    pub(super) const fn is_syn(&self) -> bool {
        self.flags & Self::SYN != 0
    }

    /// It opens a connection: SYN without ACK.
    const fn opens(&self) -> bool {
        self.flags & (Self::SYN | Self::ACK) == Self::SYN
    }
}

/// Sorts received packets.
pub(super) struct Inlet<'d, 'a, H> {
    pub(super) own: &'d [Prefix],
    pub(super) slots: &'d [TcpSlot<H>],
    pub(super) listeners: &'d [ListenerSlot],
    pub(super) listening: Option<&'d Listening<H>>,
    pub(super) udp: &'d mut UdpTable<'a, H>,
    pub(super) packets: &'d mut PacketStats,
    pub(super) tcp: &'d mut TcpStats,
    pub(super) checksum: UdpChecksum,
    /// The segment that the engine got to see.
    pub(super) segment: Option<Segment>,
    /// The packet is a datagram that nobody has a socket for.
    pub(super) unclaimed: bool,
}

impl<H> Inlet<'_, '_, H> {
    /// Whether the packet ends here: dropped, or a datagram of ours.
    // A frame of its own, as `Inner::poll` has.
    #[cfg_attr(target_pointer_width = "32", inline(never))]
    fn takes(&mut self, bytes: &[u8]) -> bool {
        count(&mut self.packets.received);
        let Ok(packet) = Ipv4Packet::parse(bytes) else {
            count(&mut self.packets.malformed);
            return true;
        };
        let source = packet.header.source;
        if !can_be_host(source) || self.own.iter().any(|own| own.ip() == source) {
            count(&mut self.packets.martians);
            return true;
        }
        if !self.is_for_us(&packet.header) {
            count(&mut self.packets.misdirected);
            return true;
        }
        match packet.header.fragment {
            Fragment::Whole { dont_fragment: _ } => {}
            Fragment::First | Fragment::Later { offset: _, more: _ } => {
                count(&mut self.packets.fragments);
                return true;
            }
        }
        match packet.header.protocol {
            IpProtocol::UDP => {
                self.unclaimed = !self.udp.receive(&packet, self.own, self.checksum);
                !self.unclaimed
            }
            IpProtocol::TCP => self.sorts_out(&packet),
            _ => false,
        }
    }

    /// A segment is for one host alone (RFC 1122 section 4.2.3.10), all else also for everybody or a
    /// group. The engine would answer a SYN to everybody.
    fn is_for_us(&self, header: &Ipv4Header) -> bool {
        let destination = header.destination;
        let alone = self.own.iter().any(|own| own.ip() == destination);
        alone || header.protocol != IpProtocol::TCP && udp::is_for_us(destination, self.own)
    }

    fn sorts_out(&mut self, packet: &Ipv4Packet<'_>) -> bool {
        self.segment = Segment::parse(packet);
        let (Some(listening), Some(segment)) = (self.listening, &self.segment) else {
            return false;
        };
        let full = segment.opens() && (listening.is_full)(self.listeners, self.slots, segment);
        if full {
            count(&mut self.tcp.backlog_full);
        }
        full
    }
}

/// The link, for one pass of the engine.
pub(super) struct Device<'d, 'c, 'a, L: IpLink> {
    pub(super) link: &'d mut L,
    pub(super) context: &'d mut Context<'c>,
    pub(super) inlet: Inlet<'d, 'a, L::Hold>,
    pub(super) sent: Cell<u32>,
    /// What is answered is a datagram that nobody has a socket for.
    pub(super) unclaimed: Cell<bool>,
    /// It is for us to add up the sums of ICMP.
    pub(super) sums: bool,
    /// The link had no room for a packet.
    pub(super) refused: bool,
}

impl<'d, 'a, L: IpLink> phy::Device for Device<'d, '_, 'a, L> {
    type RxToken<'t>
        = Rx<'t, 'd, 'a, L::RxToken<'t>, L::Hold>
    where
        Self: 't;
    type TxToken<'t>
        = Tx<'t, L::TxToken<'t>>
    where
        Self: 't;

    fn receive(&mut self, _now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let (received, reply) = self.link.receive(self.context)?;
        let received = Rx {
            token: received,
            inlet: &mut self.inlet,
            unclaimed: &self.unclaimed,
        };
        let reply = Tx {
            token: reply,
            sent: &self.sent,
            unclaimed: Some(&self.unclaimed),
            sums: self.sums,
        };
        Some((received, reply))
    }

    fn transmit(&mut self, _now: Instant) -> Option<Self::TxToken<'_>> {
        let token = self.link.transmit(self.context);
        self.refused |= token.is_none();
        Some(Tx {
            token: token?,
            sent: &self.sent,
            unclaimed: None,
            sums: self.sums,
        })
    }

    fn capabilities(&self) -> DeviceCapabilities {
        capabilities(self.link)
    }
}

/// What the engine has to know of the link. It need not add up the sum of a header that
/// [`Inlet::takes`] has parsed.
pub(super) fn capabilities<L: IpLink>(link: &L) -> DeviceCapabilities {
    let theirs = link.capabilities();
    let mut ours = DeviceCapabilities::default();
    ours.medium = Medium::Ip;
    ours.max_transmission_unit = theirs.max_transmission_unit;
    ours.max_burst_size = theirs.max_burst_size;
    ours.checksum.ipv4 = match theirs.checksum.ipv4 {
        driver::Checksum::Both | driver::Checksum::Tx => Checksum::Tx,
        driver::Checksum::Rx | driver::Checksum::None => Checksum::None,
    };
    ours.checksum.tcp = checksum(theirs.checksum.tcp);
    ours.checksum.udp = checksum(theirs.checksum.udp);
    ours.checksum.icmpv4 = checksum(theirs.checksum.icmpv4);
    ours
}

const fn checksum(theirs: driver::Checksum) -> Checksum {
    match theirs {
        driver::Checksum::Both => Checksum::Both,
        driver::Checksum::Rx => Checksum::Rx,
        driver::Checksum::Tx => Checksum::Tx,
        driver::Checksum::None => Checksum::None,
    }
}

/// A received packet on its way to the engine.
pub(super) struct Rx<'t, 'd, 'a, T, H> {
    token: T,
    inlet: &'t mut Inlet<'d, 'a, H>,
    unclaimed: &'t Cell<bool>,
}

impl<T: driver::RxToken, H> phy::RxToken for Rx<'_, '_, '_, T, H> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        self.token.consume(|bytes| {
            // The engine passes over an empty packet.
            let taken = self.inlet.takes(bytes);
            self.unclaimed.set(self.inlet.unclaimed);
            f(if taken { &[] } else { bytes })
        })
    }
}

/// Room for a packet.
pub(super) struct Tx<'t, T> {
    token: T,
    sent: &'t Cell<u32>,
    unclaimed: Option<&'t Cell<bool>>,
    sums: bool,
}

impl<T: driver::TxToken> phy::TxToken for Tx<'_, T> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.sent.set(self.sent.get().wrapping_add(1));
        let unclaimed = self.unclaimed.is_some_and(Cell::get);
        self.token.consume(len, |packet| {
            let result = f(packet);
            if unclaimed {
                name_the_port(packet, self.sums);
            }
            result
        })
    }
}

/// The engine has no UDP, and says so: that the protocol is out of reach. It is the port.
fn name_the_port(packet: &mut [u8], sums: bool) {
    const UNREACHABLE: u8 = 3;
    const PROTOCOL: u8 = 2;
    const PORT: u8 = 3;
    let Some([UNREACHABLE, code @ PROTOCOL, sum @ ..]) = packet.get_mut(IPV4_HEADER_LEN..) else {
        return;
    };
    *code = PORT;
    if let Some(sum) = sum.first_chunk_mut::<2>()
        && sums
    {
        // One more in what is added up is one less in the sum's complement (RFC 1624).
        let before = u16::from_be_bytes(*sum);
        *sum = before.checked_sub(1).unwrap_or(0xfffe).to_be_bytes();
    }
}

/// What the engine is told of the link before there is a pass to be made.
pub(super) struct Described(pub(super) DeviceCapabilities);

/// The token of a device that neither sends nor receives.
pub(super) enum Never {}

impl phy::Device for Described {
    type RxToken<'t> = Never;
    type TxToken<'t> = Never;

    fn receive(&mut self, _now: Instant) -> Option<(Never, Never)> {
        None
    }

    fn transmit(&mut self, _now: Instant) -> Option<Never> {
        None
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.0.clone()
    }
}

impl phy::RxToken for Never {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, _f: F) -> R {
        match self {}
    }
}

impl phy::TxToken for Never {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, _len: usize, _f: F) -> R {
        match self {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer of the engine's: a type, a code and a sum.
    fn answer(kind: u8, code: u8, sum: u16) -> [u8; IPV4_HEADER_LEN + 4] {
        let mut packet = [0; IPV4_HEADER_LEN + 4];
        let [high, low] = sum.to_be_bytes();
        packet[IPV4_HEADER_LEN..].copy_from_slice(&[kind, code, high, low]);
        packet
    }

    #[test]
    fn the_sum_of_an_answer_follows_its_code_and_wraps_as_a_complement_does() {
        for (before, after) in [(0x1234, 0x1233), (1, 0), (0, 0xfffe)] {
            let mut packet = answer(3, 2, before);
            name_the_port(&mut packet, true);
            assert_eq!(packet, answer(3, 3, after));
        }
        let mut packet = answer(3, 2, 0);
        name_the_port(&mut packet, false);
        assert_eq!(packet, answer(3, 3, 0), "the driver adds it up");
    }

    #[test]
    fn no_other_answer_is_changed() {
        for (kind, code) in [(0, 2), (3, 3), (3, 0)] {
            let mut packet = answer(kind, code, 7);
            name_the_port(&mut packet, true);
            assert_eq!(packet, answer(kind, code, 7));
        }
        name_the_port(&mut [3; IPV4_HEADER_LEN], true);
    }
}
