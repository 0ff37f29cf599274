//! What a received frame is to a DHCP server, judged by `wire` alone: nothing here trusts a length.

use std::net::Ipv4Addr;

use whohas::wire::dhcp::DHCP_SERVER_PORT;
use whohas::wire::{
    ArpPacket, EtherType, EthernetFrame, Fragment, HardwareTypes, IpProtocol, Ipv4Packet, MacAddr,
    UdpChecksum, UdpDatagram,
};

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard<'f> {
    /// An ARP packet, and who sent the frame.
    Arp { source: MacAddr, packet: ArpPacket },
    /// A datagram to a DHCP server at `destination`.
    Dhcp {
        source: Ipv4Addr,
        destination: Ipv4Addr,
        payload: &'f [u8],
    },
}

/// Why a frame is nothing to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// Its headers contradict each other, or a checksum is wrong.
    Malformed,
    /// On another network: the VLAN of another interface.
    OtherVlan,
    /// Some other protocol, port, or part of a datagram, which the kernel's filter lets pass only until
    /// it is in place.
    Other,
}

/// Looks at a whole frame, with its tag where it was on the wire and its checksums complete.
pub(super) fn hear(frame: &[u8]) -> Result<Heard<'_>, Flaw> {
    let EthernetFrame { header, payload } =
        EthernetFrame::parse(frame).map_err(|_| Flaw::Malformed)?;
    // A tag may carry a priority and no VLAN.
    if header.tag.is_some_and(|tag| tag.id.is_some()) {
        return Err(Flaw::OtherVlan);
    }
    match header.ethertype {
        EtherType::ARP => {
            let packet = ArpPacket::parse(payload, HardwareTypes::EthernetOrIeee802);
            Ok(Heard::Arp {
                source: header.source,
                packet: packet.map_err(|_| Flaw::Malformed)?,
            })
        }
        EtherType::IPV4 => hear_ipv4(payload),
        _ => Err(Flaw::Other),
    }
}

fn hear_ipv4(packet: &[u8]) -> Result<Heard<'_>, Flaw> {
    let packet = Ipv4Packet::parse(packet).map_err(|_| Flaw::Malformed)?;
    let whole = matches!(packet.header.fragment, Fragment::Whole { .. });
    if !whole || packet.header.protocol != IpProtocol::UDP {
        return Err(Flaw::Other);
    }
    let (source, destination) = (packet.header.source, packet.header.destination);
    let datagram = UdpDatagram::parse(packet.payload, source, destination, UdpChecksum::Verify)
        .map_err(|_| Flaw::Malformed)?;
    if datagram.header.destination_port != DHCP_SERVER_PORT {
        return Err(Flaw::Other);
    }
    Ok(Heard::Dhcp {
        source,
        destination,
        payload: datagram.payload,
    })
}

#[cfg(test)]
mod tests {
    use super::super::envelope::{Envelope, FRAME_HEADERS};
    use super::*;
    use whohas::wire::ARP_FRAME_LEN;
    use whohas::{UnicastMac, VlanId};

    const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 9);
    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
    const STATION: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 9]);

    /// A request with this payload, as a client sends it.
    fn request(payload: &[u8]) -> Vec<u8> {
        let mut frame = [&[0; FRAME_HEADERS], payload].concat();
        let envelope = Envelope {
            source: (CLIENT, 68),
            destination: (SERVER, 67),
        };
        envelope.write_frame(STATION, MacAddr::BROADCAST, &mut frame);
        frame
    }

    #[test]
    fn a_request_is_heard_with_padding_behind_it_or_a_priority_in_front() {
        let expected = Ok(Heard::Dhcp {
            source: CLIENT,
            destination: SERVER,
            payload: b"request",
        });
        let frame = request(b"request");
        assert_eq!(hear(&frame), expected);
        assert_eq!(hear(&[&frame[..], &[0; 11]].concat()), expected);
        let tagged = |control: [u8; 2]| {
            [
                &frame[..12],
                &[0x81, 0, control[0], control[1]],
                &frame[12..],
            ]
            .concat()
        };
        assert_eq!(hear(&tagged([0xa0, 0])), expected);
        assert_eq!(hear(&tagged([0, 7])), Err(Flaw::OtherVlan));
    }

    #[test]
    fn a_packet_of_arp_is_heard_with_its_sender() {
        let mac = UnicastMac::new(STATION.octets()).unwrap();
        let packet = ArpPacket::probe(mac, SERVER);
        let mut frame = [0; ARP_FRAME_LEN];
        packet
            .emit_frame(MacAddr::BROADCAST, None, &mut frame)
            .unwrap();
        let source = STATION;
        assert_eq!(hear(&frame), Ok(Heard::Arp { source, packet }));
        let vlan = VlanId::new(7).ok();
        packet
            .emit_frame(MacAddr::BROADCAST, vlan, &mut frame)
            .unwrap();
        assert_eq!(hear(&frame), Err(Flaw::OtherVlan));
    }

    /// CVE-2015-8605 on this path: each length that there is, against each other.
    #[test]
    fn v11_no_length_is_believed_that_another_contradicts() {
        const PAYLOAD: usize = 12;
        let whole = request(&[7; PAYLOAD]);
        let (udp_at, ip_len) = (FRAME_HEADERS - 8, whole.len() - 14);
        for cut in 0..=whole.len() {
            for total in [0, 19, 20, 27, ip_len - 1, ip_len, ip_len + 1, 0xffff] {
                for udp in [0, 7, 8, PAYLOAD + 7, PAYLOAD + 8, PAYLOAD + 9, 0xffff] {
                    for ihl in [0, 4, 5, 6, 15] {
                        for fragment in [0, 0x4000, 0x2000, 1] {
                            let mut frame = whole.clone();
                            frame[14] = 0x40 | ihl;
                            frame[16..18].copy_from_slice(&(total as u16).to_be_bytes());
                            frame[20..22].copy_from_slice(&(fragment as u16).to_be_bytes());
                            frame[24..26].fill(0);
                            let header = 14..(14 + usize::from(ihl) * 4).clamp(34, frame.len());
                            let sum = whohas::wire::InternetSum::default();
                            let sum = sum.with(&frame[header]).checksum();
                            frame[24..26].copy_from_slice(&sum.to_be_bytes());
                            frame[udp_at + 4..udp_at + 6]
                                .copy_from_slice(&(udp as u16).to_be_bytes());
                            // None: nothing to contradict the lengths.
                            frame[udp_at + 6..udp_at + 8].fill(0);
                            frame.truncate(cut);
                            let sane = ihl == 5
                                && fragment & 0x3fff == 0
                                && (28..=ip_len).contains(&total)
                                && total + 14 <= cut
                                && (8..=total - 20).contains(&udp);
                            let heard = hear(&frame);
                            match sane {
                                true => assert!(
                                    matches!(heard, Ok(Heard::Dhcp { payload, .. })
                                        if payload.len() == udp - 8),
                                    "{cut} {total} {udp} {ihl} {fragment:x}: {heard:?}"
                                ),
                                // With options the port is read from what was payload: another.
                                false => assert!(heard.is_err(), "{cut} {total} {udp} {ihl}"),
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_for_another_port_or_protocol_is_not_ours() {
        let with = |at: usize, byte: u8| {
            let mut frame = request(b"request");
            frame[at] = byte;
            frame[24..26].fill(0);
            let sum = whohas::wire::InternetSum::default().with(&frame[14..34]);
            let sum = sum.checksum().to_be_bytes();
            frame[24..26].copy_from_slice(&sum);
            frame[40..42].fill(0);
            hear(&frame).map(|_| ())
        };
        assert_eq!(with(22, 64), Ok(()));
        assert_eq!(with(23, 6), Err(Flaw::Other));
        assert_eq!(with(37, 68), Err(Flaw::Other));
        assert_eq!(with(13, 0xdd), Err(Flaw::Other));
    }
}
