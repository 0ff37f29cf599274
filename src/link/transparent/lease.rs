//! What passes between the stack's DHCP client and its server: from it we learn the stack's address,
//! its prefix and its gateway. Nothing is changed, unless a [flat](super::Transparent::flatten) stack
//! is wanted.

use core::net::Ipv4Addr;
use core::ops::Range;

use super::super::route::host_bits;
use crate::cache::Prefix;
use crate::wire::{IpProtocol, Ipv4Packet, UDP_HEADER_LEN, UdpChecksum, UdpDatagram, UnicastMac};

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// The fixed part of a message, up to and including the cookie (RFC 2131 section 2).
const FIXED_LEN: usize = 240;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const OPTION_PAD: u8 = 0;
const OPTION_MASK: u8 = 1;
const OPTION_ROUTER: u8 = 3;
const OPTION_TYPE: u8 = 53;
const OPTION_END: u8 = 255;
const DISCOVER: u8 = 1;
const ACK: u8 = 5;

/// A transaction of the stack's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) transaction: [u8; 4],
    /// The stack has no address, or gives up the one it had.
    pub(super) begins_anew: bool,
}

/// What a server has granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Granted {
    pub(super) prefix: Prefix,
    pub(super) router: Option<Ipv4Addr>,
    mask_at: Range<usize>,
    router_at: Option<Range<usize>>,
}

/// What the stack's client says, if that is what is in the packet.
pub(super) fn asked(packet: &[u8]) -> Option<Asked> {
    let message = message(packet, (CLIENT_PORT, SERVER_PORT))?;
    let fixed = packet.get(message.clone())?;
    let transaction = fixed.get(4..8)?.try_into().ok()?;
    let kind = option(packet, &message, OPTION_TYPE)?;
    Some(Asked {
        transaction,
        begins_anew: packet.get(kind)? == [DISCOVER],
    })
}

/// What the stack's client is granted, if that is what is in the packet.
pub(super) fn granted(packet: &[u8], transaction: [u8; 4], mac: UnicastMac) -> Option<Granted> {
    let message = message(packet, (SERVER_PORT, CLIENT_PORT))?;
    let fixed = packet.get(message.clone())?;
    if fixed.get(4..8)? != transaction || fixed.get(28..34)? != mac.octets() {
        return None;
    }
    if packet.get(option(packet, &message, OPTION_TYPE)?)? != [ACK] {
        return None;
    }
    let ip: [u8; 4] = fixed.get(16..20)?.try_into().ok()?;
    let mask_at = option(packet, &message, OPTION_MASK)?;
    let mask: [u8; 4] = packet.get(mask_at.clone())?.try_into().ok()?;
    let mask = u32::from_be_bytes(mask);
    let len = mask.leading_ones();
    let prefix = Prefix::new(ip.into(), len as u8).ok()?;
    if host_bits(prefix) != !mask || prefix.check_host().is_err() {
        return None;
    }
    let router_at = option(packet, &message, OPTION_ROUTER);
    let router_at = router_at.filter(|at| at.len() >= 4 && at.len() % 4 == 0);
    let router = router_at.clone().and_then(|at| {
        let first: [u8; 4] = packet.get(at)?.first_chunk().copied()?;
        Some(Ipv4Addr::from(first))
    });
    Some(Granted {
        prefix,
        router,
        mask_at,
        router_at,
    })
}

impl Granted {
    /// Makes the grant one of a link of two: the stack and, as its gateway, us. Only where there is a
    /// gateway in it to put another for.
    pub(super) fn flatten(&self, packet: &mut [u8]) {
        let Some(router_at) = &self.router_at else {
            return;
        };
        let us = other_of_two(self.prefix.ip());
        let (mask, routers) = (&self.mask_at, router_at.clone());
        packet[mask.clone()].copy_from_slice(&[0xff, 0xff, 0xff, 0xfe]);
        for router in packet[routers].chunks_exact_mut(4) {
            router.copy_from_slice(&us.octets());
        }
        // None at all: allowed over IPv4 (RFC 768), and the frame's own checksum was looked at by the
        // driver.
        let header_len = usize::from(packet[0] & 0x0f) * 4;
        packet[header_len + 6..header_len + 8].fill(0);
    }
}

/// The other address of a link of two (RFC 3021).
pub(super) const fn other_of_two(ip: Ipv4Addr) -> Ipv4Addr {
    Ipv4Addr::from_bits(ip.to_bits() ^ 1)
}

/// Where the message is in a packet between these ports.
fn message(packet: &[u8], (from, to): (u16, u16)) -> Option<Range<usize>> {
    // Most packets are none: a look at the ports before all is taken apart.
    if *packet.get(9)? != IpProtocol::UDP.0 {
        return None;
    }
    let header_len = usize::from(packet[0] & 0x0f) * 4;
    let [a, b, c, d] = *packet.get(header_len..)?.first_chunk()?;
    if (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])) != (from, to) {
        return None;
    }
    let ip = Ipv4Packet::parse(packet).ok()?;
    let (source, destination) = (ip.header.source, ip.header.destination);
    // What the stack would refuse must not be believed here.
    let datagram = UdpDatagram::parse(ip.payload, source, destination, UdpChecksum::Verify).ok()?;
    let start = header_len + UDP_HEADER_LEN;
    let message = datagram.payload;
    let cookie = message.get(FIXED_LEN - COOKIE.len()..FIXED_LEN)?;
    (cookie == COOKIE).then_some(start..start + message.len())
}

/// Where the value of an option is.
fn option(packet: &[u8], message: &Range<usize>, wanted: u8) -> Option<Range<usize>> {
    let mut at = message.start + FIXED_LEN;
    // Each turn goes at least a byte on.
    while at < message.end {
        match packet[at] {
            OPTION_PAD => at += 1,
            OPTION_END => return None,
            code => {
                let len = usize::from(*packet.get(at + 1)?);
                let value = at + 2..at + 2 + len;
                if value.end > message.end {
                    return None;
                }
                if code == wanted {
                    return Some(value);
                }
                at = value.end;
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::wire::{Fragment, Ipv4Header, UdpHeader};

    const MAC: UnicastMac = match UnicastMac::new([2, 0, 0, 0, 0, 1]) {
        Ok(mac) => mac,
        Err(_) => unreachable!(),
    };
    const OURS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);
    const TRANSACTION: [u8; 4] = [1, 2, 3, 4];
    const MASK: [u8; 6] = [OPTION_MASK, 4, 255, 255, 255, 0];
    const GATEWAY: [u8; 6] = [OPTION_ROUTER, 4, 10, 0, 0, 254];
    const KIND: [u8; 3] = [OPTION_TYPE, 1, ACK];

    /// A message of the server's with these options.
    fn packet(options: &[&[u8]]) -> Vec<u8> {
        let mut message = std::vec![0; FIXED_LEN];
        message[0] = 2;
        message[4..8].copy_from_slice(&TRANSACTION);
        message[16..20].copy_from_slice(&OURS.octets());
        message[28..34].copy_from_slice(&MAC.octets());
        message[236..].copy_from_slice(&COOKIE);
        message.extend(options.concat());
        let header = Ipv4Header {
            source: ROUTER,
            destination: Ipv4Addr::BROADCAST,
            protocol: IpProtocol::UDP,
            ttl: 64,
            service: 0,
            identification: 0,
            fragment: Fragment::Whole {
                dont_fragment: false,
            },
        };
        let mut datagram = std::vec![0; UDP_HEADER_LEN];
        datagram.extend(message);
        let udp = UdpHeader {
            source_port: SERVER_PORT,
            destination_port: CLIENT_PORT,
        };
        udp.emit(header.source, header.destination, &mut datagram)
            .unwrap();
        let mut packet = std::vec![0; 20 + datagram.len()];
        let rest = header.emit(&mut packet, datagram.len()).unwrap();
        rest.copy_from_slice(&datagram);
        packet
    }

    #[test]
    fn a_grant_tells_address_prefix_and_gateway() {
        let packet = packet(&[&KIND, &[OPTION_PAD], &GATEWAY, &MASK, &[OPTION_END]]);
        let grant = granted(&packet, TRANSACTION, MAC).unwrap();
        assert_eq!(grant.prefix, Prefix::new(OURS, 24).unwrap());
        assert_eq!(grant.router, Some(ROUTER));
        assert_eq!(granted(&packet, [0; 4], MAC), None, "for another");
        let other = UnicastMac::new([2, 0, 0, 0, 0, 2]).unwrap();
        assert_eq!(granted(&packet, TRANSACTION, other), None);
    }

    #[test]
    fn a_flat_grant_is_one_of_a_link_of_two_and_still_legal() {
        let mut packet = packet(&[&KIND, &MASK, &GATEWAY, &[OPTION_END]]);
        let grant = granted(&packet, TRANSACTION, MAC).unwrap();
        grant.flatten(&mut packet);
        let flat = granted(&packet, TRANSACTION, MAC).unwrap();
        assert_eq!(flat.prefix, Prefix::new(OURS, 31).unwrap());
        assert_eq!(flat.router, Some(Ipv4Addr::new(10, 0, 0, 0)));
    }

    #[test]
    fn what_is_no_grant_is_none_wherever_it_is_cut_or_flipped() {
        let whole = packet(&[&KIND, &MASK, &GATEWAY, &[OPTION_END]]);
        for len in 0..whole.len() {
            assert_eq!(granted(&whole[..len], TRANSACTION, MAC), None);
        }
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(granted(&flipped, TRANSACTION, MAC), None, "bit {bit}");
        }
        let refused: [&[&[u8]]; 6] = [
            &[&KIND, &GATEWAY],
            &[&[OPTION_TYPE, 1, 2], &MASK],
            &[&[OPTION_TYPE, 0], &MASK],
            &[&KIND, &[OPTION_MASK, 4, 255, 0, 255, 0]],
            &[&KIND, &[OPTION_MASK, 3, 255, 255, 255]],
            &[&KIND, &[OPTION_END], &MASK],
        ];
        for options in refused {
            assert_eq!(
                granted(&packet(options), TRANSACTION, MAC),
                None,
                "{options:?}"
            );
        }
        let beyond = packet(&[&KIND, &[OPTION_MASK, 4, 255]]);
        assert_eq!(granted(&beyond, TRANSACTION, MAC), None);
    }

    #[test]
    fn a_grant_without_a_gateway_stays_as_it_is() {
        let mut packet = packet(&[&KIND, &MASK]);
        let before = packet.clone();
        let grant = granted(&packet, TRANSACTION, MAC).unwrap();
        assert_eq!(grant.router, None);
        grant.flatten(&mut packet);
        assert_eq!(packet, before);
    }
}
