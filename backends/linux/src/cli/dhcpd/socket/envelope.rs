//! What stands in front of a reply: Ethernet, IPv4 and UDP.

use std::net::Ipv4Addr;

use whohas::wire::{
    EtherType, EthernetHeader, Fragment, IPV4_HEADER_LEN, IpProtocol, Ipv4Header, MacAddr,
    UDP_HEADER_LEN, UdpHeader,
};

/// The length of an Ethernet header.
pub(super) const ETHERNET_LEN: usize = 14;
/// The length of the headers of IPv4 and UDP.
pub(super) const PACKET_HEADERS: usize = IPV4_HEADER_LEN + UDP_HEADER_LEN;
/// The length of all headers.
pub(super) const FRAME_HEADERS: usize = ETHERNET_LEN + PACKET_HEADERS;

/// From whom a datagram is, and to whom: addresses and ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) source: (Ipv4Addr, u16),
    pub(super) destination: (Ipv4Addr, u16),
}

impl Envelope {
    /// Writes the headers over the beginning of `packet`, the rest of which is the payload.
    pub(super) fn write_packet(&self, packet: &mut [u8]) {
        const TTL: u8 = 64;
        let (source, destination) = (self.source.0, self.destination.0);
        let header = Ipv4Header {
            source,
            destination,
            protocol: IpProtocol::UDP,
            ttl: TTL,
            service: 0,
            identification: 0,
            // What the kernel routes for us may be cut up on its way; on the link it never has to be.
            fragment: Fragment::Whole {
                dont_fragment: false,
            },
        };
        let udp = UdpHeader {
            source_port: self.source.1,
            destination_port: self.destination.1,
        };
        let payload_len = packet.len().saturating_sub(IPV4_HEADER_LEN);
        let written = header
            .emit(packet, payload_len)
            .and_then(|datagram| udp.emit(source, destination, datagram));
        debug_assert!(written.is_ok(), "the room begins with that of the headers");
    }

    /// The same for a whole frame.
    pub(super) fn write_frame(&self, from: MacAddr, to: MacAddr, frame: &mut [u8]) {
        let header = EthernetHeader {
            destination: to,
            source: from,
            tag: None,
            ethertype: EtherType::IPV4,
        };
        match header.emit(frame) {
            Ok(packet) => self.write_packet(packet),
            Err(_) => debug_assert!(false, "the room begins with that of the headers"),
        }
    }
}
