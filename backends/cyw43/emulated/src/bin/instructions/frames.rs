//! Who is on the wire, and what they say.

use core::net::Ipv4Addr;

use whohas::wire::{ARP_FRAME_LEN, ArpPacket};
#[cfg(not(feature = "smoltcp"))]
use whohas::wire::{Fragment, IPV4_HEADER_LEN, IpProtocol, Ipv4Header};
use whohas::{MacAddr, UnicastMac};
use whohas_emulated::program::fail;

pub const OUR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

pub type ArpFrame = [u8; ARP_FRAME_LEN];

pub const fn ip(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, host)
}

pub fn mac(host: u8) -> UnicastMac {
    let mac = UnicastMac::new([2, 0, 0, 0, 0, host]);
    mac.unwrap_or_else(|error| fail(format_args!("{error}")))
}

/// One host asks for another, and everybody hears it.
pub fn request(from: u8, to: u8) -> ArpFrame {
    let packet = ArpPacket::request(mac(from), ip(from), ip(to));
    emit(&packet, MacAddr::BROADCAST)
}

/// A host answers us.
pub fn reply(from: u8) -> ArpFrame {
    let packet = ArpPacket::request(mac(1), ip(1), ip(from)).answered_by(mac(from));
    emit(&packet, mac(1).get())
}

/// The header of an IPv4 packet of this length, with UDP in it.
#[cfg(not(feature = "smoltcp"))]
pub fn header(from: u8, to: u8, len: usize) -> [u8; IPV4_HEADER_LEN] {
    let header = Ipv4Header {
        source: ip(from),
        destination: ip(to),
        protocol: IpProtocol::UDP,
        ttl: 64,
        service: 0,
        identification: 0,
        fragment: Fragment::Whole {
            dont_fragment: true,
        },
    };
    let mut bytes = [0; IPV4_HEADER_LEN];
    match header.emit(&mut bytes, len - IPV4_HEADER_LEN) {
        Ok(_) => bytes,
        Err(error) => fail(format_args!("{error}")),
    }
}

fn emit(packet: &ArpPacket, to: MacAddr) -> ArpFrame {
    let mut frame = [0; ARP_FRAME_LEN];
    if let Err(error) = packet.emit_frame(to, None, &mut frame) {
        fail(format_args!("{error}"));
    }
    frame
}
