//! Packets that are neither: ICMP, ports that nobody has, and what nobody may send.

use whohas::wire::{
    EtherType, EthernetFrame, EthernetHeader, Fragment, IpProtocol, Ipv4Header, Ipv4Packet,
};

use super::*;
use crate::world::until;

/// A stack of ours, a host that answers ARP, and somebody who sends in its name and listens to all.
struct Bench {
    pair: Pair,
    tap: whohas::sim::PortId,
}

impl Bench {
    fn new() -> Self {
        let pair = Pair::new(1);
        let mut lan = pair.world.lan.lan();
        lan.add_host(Host::new(ip(SILENT), mac(SILENT)));
        let tap = lan.add_tap();
        drop(lan);
        Self { pair, tap }
    }

    /// Sends a packet to us and returns the IP packets of ours that leave then.
    fn send(&self, packet: &[u8]) -> Vec<Vec<u8>> {
        while self.pair.world.lan.lan().receive(self.tap).is_some() {}
        let header = EthernetHeader {
            destination: mac(US).get(),
            source: mac(SILENT).get(),
            tag: None,
            ethertype: EtherType::IPV4,
        };
        let mut frame = vec![0; 14 + packet.len()];
        header.emit(&mut frame).unwrap().copy_from_slice(packet);
        self.pair.world.lan.lan().send(self.tap, &frame);
        self.pair.sleep(secs(1));
        let frames = std::iter::from_fn(|| self.pair.world.lan.lan().receive(self.tap));
        frames
            .filter_map(|frame| {
                let frame = EthernetFrame::parse(&frame).unwrap();
                let ours = frame.header.source == mac(US).get()
                    && frame.header.ethertype == EtherType::IPV4;
                ours.then(|| frame.payload.to_vec())
            })
            .collect()
    }
}

fn packet(source: Ipv4Addr, protocol: IpProtocol, fragment: Fragment, payload: &[u8]) -> Vec<u8> {
    let header = Ipv4Header {
        source,
        destination: ip(US),
        protocol,
        ttl: 64,
        service: 0,
        identification: 7,
        fragment,
    };
    let mut packet = vec![0; 20 + payload.len()];
    header
        .emit(&mut packet, payload.len())
        .unwrap()
        .copy_from_slice(payload);
    packet
}

const WHOLE: Fragment = Fragment::Whole {
    dont_fragment: false,
};

fn checksum(bytes: &[u8]) -> [u8; 2] {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

fn echo_request() -> Vec<u8> {
    let mut icmp = vec![8, 0, 0, 0, 0x12, 0x34, 0, 1];
    icmp.extend(b"who has?");
    let sum = checksum(&icmp);
    icmp[2..4].copy_from_slice(&sum);
    icmp
}

#[test]
fn a_ping_is_answered() {
    let bench = Bench::new();
    let ping = packet(ip(SILENT), IpProtocol::ICMP, WHOLE, &echo_request());
    let answers = bench.send(&ping);
    let [answer] = &answers[..] else {
        panic!("{answers:?}");
    };
    let answer = Ipv4Packet::parse(answer).unwrap();
    assert_eq!(answer.header.destination, ip(SILENT));
    assert_eq!(answer.payload[0], 0, "an echo reply");
    assert_eq!(answer.payload[4..], echo_request()[4..]);
    assert_eq!(checksum(answer.payload), [0, 0]);
}

#[test]
fn a_datagram_for_a_port_that_nobody_has_is_refused_with_icmp() {
    let bench = Bench::new();
    // Ports 1 and 9, eight bytes, no checksum.
    let datagram = [0, 1, 0, 9, 0, 8, 0, 0];
    let answers = bench.send(&packet(ip(SILENT), IpProtocol::UDP, WHOLE, &datagram));
    let [answer] = &answers[..] else {
        panic!("{answers:?}");
    };
    let answer = Ipv4Packet::parse(answer).unwrap();
    assert_eq!(answer.header.protocol, IpProtocol::ICMP);
    assert_eq!(answer.payload[..2], [3, 3], "port unreachable");
    assert_eq!(checksum(answer.payload), [0, 0]);
    assert_eq!(bench.pair.us.stats().udp.unclaimed, 1);
}

#[test]
fn what_nobody_may_send_is_dropped_and_counted_by_its_reason() {
    let bench = Bench::new();
    let ping = |source, fragment| packet(source, IpProtocol::ICMP, fragment, &echo_request());
    for martian in [
        ip(US),
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::BROADCAST,
        Ipv4Addr::new(224, 0, 0, 1),
        Ipv4Addr::LOCALHOST,
    ] {
        assert_eq!(bench.send(&ping(martian, WHOLE)), [[0; 0]; 0], "{martian}");
    }
    assert!(bench.send(&ping(ip(SILENT), Fragment::First)).is_empty());
    let mut broken = ping(ip(SILENT), WHOLE);
    broken[10] ^= 1;
    assert!(bench.send(&broken).is_empty());
    for words in 0..5 {
        let mut short = ping(ip(SILENT), WHOLE);
        short[0] = 0x40 | words;
        assert!(bench.send(&short).is_empty());
    }
    let stats = bench.pair.us.stats().packets;
    let link = bench.pair.us.with_link(|link| *link.counters());
    let dropped = stats.martians + stats.fragments + stats.malformed;
    // The link refuses some of them before they come up here.
    assert_eq!(u64::from(stats.received), link.handed_up);
    assert_eq!(stats.received, dropped);
    assert_eq!(stats.fragments, 1);
}

#[test]
fn a_segment_of_any_length_and_any_flags_neither_panics_nor_opens_anything() {
    let bench = Bench::new();
    let _listener = bench.pair.us.listen(port(80), 1).unwrap();
    let mut segment = vec![
        0, 9, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0, 0x10, 0, 0, 0, 0, 0,
    ];
    for len in 0..=segment.len() {
        bench.send(&packet(ip(SILENT), IpProtocol::TCP, WHOLE, &segment[..len]));
    }
    for flags in 0..=255 {
        segment[13] = flags;
        for offset in [0x00, 0x40, 0x50, 0xf0] {
            segment[12] = offset;
            // The checksum is wrong, so that none is more than a stranger's noise.
            bench.send(&packet(ip(SILENT), IpProtocol::TCP, WHOLE, &segment));
        }
    }
    assert_eq!(bench.pair.us.stats().tcp.accepted, 0);
    assert_eq!(bench.pair.holds_on(SILENT), 0);
}

/// A segment from the silent host's port 999 to our port 80, with its sum right.
fn segment(to: Ipv4Addr, flags: u8, sequence: u32, acknowledged: u32) -> Vec<u8> {
    let mut tcp = vec![0x03, 0xe7, 0, 80];
    tcp.extend(sequence.to_be_bytes());
    tcp.extend(acknowledged.to_be_bytes());
    tcp.extend([0x50, flags, 0x10, 0, 0, 0, 0, 0]);
    let pseudo = [&ip(SILENT).octets()[..], &to.octets(), &[0, 6, 0, 20], &tcp].concat();
    let sum = checksum(&pseudo);
    tcp[16..18].copy_from_slice(&sum);
    let header = Ipv4Header {
        source: ip(SILENT),
        destination: to,
        protocol: IpProtocol::TCP,
        ttl: 64,
        service: 0,
        identification: 7,
        fragment: WHOLE,
    };
    let mut packet = vec![0; 20 + tcp.len()];
    header
        .emit(&mut packet, tcp.len())
        .unwrap()
        .copy_from_slice(&tcp);
    packet
}

#[test]
fn the_same_port_of_a_peer_can_be_connected_to_each_of_our_addresses() {
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;
    const RST: u8 = 0x04;
    let bench = Bench::new();
    let own = [ip(US), ip(50)];
    bench.pair.us.with_link(|link| {
        link.set_addresses(&own.map(|ip| Prefix::new(ip, 24).unwrap()))
            .unwrap();
    });
    let mut listener = bench.pair.us.listen(port(80), 2).unwrap();
    for to in own {
        let answers = bench.send(&segment(to, SYN, 1_000, 0));
        let tcp = Ipv4Packet::parse(&answers[0]).unwrap().payload;
        assert_eq!(tcp[13], SYN | ACK);
        let theirs = u32::from_be_bytes(tcp[4..8].try_into().unwrap());
        bench.send(&segment(to, ACK, 1_001, theirs + 1));
    }
    assert_eq!(bench.pair.holds_on(SILENT), 2);
    let mut open: Vec<_> = own
        .iter()
        .map(|own| {
            let accepted = until(
                &bench.pair.world,
                bench.pair.now() + secs(1),
                listener.accept(),
            );
            let (connection, from) = bench.pair.world.block_on(accepted).expect("it waits");
            assert_eq!(from, at(SILENT, 999));
            assert_eq!(connection.local(), Some(SocketAddrV4::new(*own, 80)));
            connection
        })
        .collect();
    // A reset of the second is one of the second.
    bench.send(&segment(own[1], RST, 1_001, 0));
    let mut buffer = [0; 1];
    let error = bench
        .pair
        .world
        .block_on(embedded_io_async::Read::read(&mut open[1], &mut buffer));
    assert_eq!(error, Err(whohas::net::TcpError::Reset));
    assert_eq!(bench.pair.holds_on(SILENT), 1);
}
