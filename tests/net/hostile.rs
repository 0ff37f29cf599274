//! What broke other stacks: lengths that disagree, headers shorter than a header, and senders that
//! nobody can be (rows V11 and V30 of the list of hostile input). Nothing panics, nothing is answered
//! that must not be, and every packet adds to exactly one counter.

use std::net::SocketAddr;

use embedded_io_async::Write;
use embedded_nal_async::{UdpStack, UnconnectedUdp};
use whohas::MacAddr;
use whohas::link::RxDrop;
use whohas::sim::PortId;
use whohas::wire::{
    ARP_FRAME_LEN, ArpPacket, EtherType, EthernetFrame, EthernetHeader, HardwareTypes,
};

use super::*;
use crate::world::until;

const OPEN: u16 = 80;
const CLOSED: u16 = 81;
const PAYLOAD: &[u8; 12] = b"who has what";
/// What must never be taken for part of a datagram.
const BEHIND: u8 = 0xee;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

const MORE_FRAGMENTS: u16 = 0x2000;
const DONT_FRAGMENT: u16 = 0x4000;
const RESERVED: u16 = 0x8000;

/// A stack of ours and somebody on the wire who sends what he likes.
pub(super) struct Attack {
    pub(super) pair: Pair,
    from: PortId,
}

impl Attack {
    pub(super) fn new() -> Self {
        let pair = Pair::new(1);
        let from = pair.world.lan.lan().add_port(mac(SILENT));
        // Our announcements are over.
        pair.sleep(secs(10));
        Self { pair, from }
    }

    /// Sends it, and tells which counters are one higher, and how many packets we sent then.
    fn send(&self, to: MacAddr, packet: &[u8]) -> (Vec<&'static str>, u64) {
        let before = self.counters();
        let sent_before = self.sent();
        let header = EthernetHeader {
            destination: to,
            source: mac(SILENT).get(),
            tag: None,
            ethertype: EtherType::IPV4,
        };
        let mut frame = vec![0; 14 + packet.len()];
        header.emit(&mut frame).unwrap().copy_from_slice(packet);
        self.put(&frame);
        let rises = before
            .iter()
            .zip(self.counters())
            .flat_map(|(&(name, before), (_, after))| vec![name; (after - before) as usize]);
        (rises.collect(), self.sent() - sent_before)
    }

    /// Puts a frame on the wire, and lets us deal with it.
    fn put(&self, frame: &[u8]) {
        self.pair.world.lan.lan().send(self.from, frame);
        // It arrives in the first round.
        self.pair.world.settle();
        self.pair.world.settle();
    }

    /// All counters of which a received packet adds to one, before TCP and ICMP see it.
    fn counters(&self) -> Vec<(&'static str, u64)> {
        let link = self.pair.us.with_link(|link| *link.counters());
        let stats = self.pair.us.stats();
        let ours = [
            ("malformed", stats.packets.malformed),
            ("fragments", stats.packets.fragments),
            ("martians", stats.packets.martians),
            ("misdirected", stats.packets.misdirected),
            ("datagram_received", stats.udp.received),
            ("datagram_malformed", stats.udp.malformed),
            ("datagram_overflowed", stats.udp.overflowed),
            ("datagram_unclaimed", stats.udp.unclaimed),
        ];
        RxDrop::ALL
            .into_iter()
            .map(|reason| (reason.name(), link.rx(reason)))
            .chain(ours.map(|(name, count)| (name, count.into())))
            .collect()
    }

    /// Frames of ours, also those that ask for somebody.
    fn sent(&self) -> u64 {
        let link = self.pair.us.with_link(|link| *link.counters());
        link.accepted + link.arp_sent
    }

    /// Sends a segment with these options from where somebody might be.
    pub(super) fn segment(&self, segment: &Segment<'_>) {
        let bytes = segment.between(ip(SILENT), ip(US));
        let packet = Packet::new(TCP, bytes.len()).around(&bytes);
        self.send(mac(US).get(), &packet);
    }

    /// Answers ARP requests, and returns the sequence number of the last segment that came.
    pub(super) fn listen(&self) -> Option<u32> {
        let mut last = None;
        self.pair.sleep(millis(10));
        loop {
            let frame = self.pair.world.lan.lan().receive(self.from);
            let Some(frame) = frame else {
                return last;
            };
            let frame = EthernetFrame::parse(&frame).unwrap();
            if let Ok(request) = ArpPacket::parse(frame.payload, HardwareTypes::Ethernet)
                && frame.header.ethertype == EtherType::ARP
                && request.target_ip == ip(SILENT)
            {
                let mut reply = [0; ARP_FRAME_LEN];
                let answer = request.answered_by(mac(SILENT));
                answer.emit_frame(mac(US).get(), None, &mut reply).unwrap();
                self.put(&reply);
                self.pair.sleep(millis(10));
            } else if frame.header.ethertype == EtherType::IPV4 {
                let sequence = frame.payload[24..28].try_into().unwrap();
                last = Some(u32::from_be_bytes(sequence));
            }
        }
    }

    /// Nothing is left of it, and whoever is honest is served.
    pub(super) fn finish(self) {
        self.pair.sleep(secs(60));
        for host in 0..=255 {
            assert_eq!(self.pair.holds_on(host), 0, "{host}");
        }
        let mut listener = self.pair.us.listen(port(8080), 1).unwrap();
        self.pair.world.block_on(async {
            let dial = self.pair.peer.dial(at(US, 8080));
            let (dialled, (_accepted, from)) = world::both(dial, listener.accept()).await;
            assert!(dialled.is_ok());
            assert_eq!(*from.ip(), ip(PEER));
        });
    }
}

fn sum(bytes: &[u8]) -> u32 {
    bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum()
}

fn fold(mut sum: u32) -> [u8; 2] {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// A packet that says of itself what it likes; only the header's checksum is right.
struct Packet {
    /// The header's length in words, as it says.
    words: u8,
    total: u16,
    fragment: u16,
    protocol: u8,
    source: Ipv4Addr,
    destination: Ipv4Addr,
}

impl Packet {
    /// An honest one.
    fn new(protocol: u8, payload: usize) -> Self {
        Self {
            words: 5,
            total: (20 + payload) as u16,
            fragment: 0,
            protocol,
            source: ip(SILENT),
            destination: ip(US),
        }
    }

    /// Behind as long a header as it says there is (options are "no operation").
    fn around(&self, payload: &[u8]) -> Vec<u8> {
        let len = usize::from(self.words.max(5)) * 4;
        let mut bytes = vec![1; len];
        bytes[0] = 0x40 | self.words;
        bytes[1] = 0;
        bytes[2..4].copy_from_slice(&self.total.to_be_bytes());
        bytes[4..6].copy_from_slice(&[0, 7]);
        bytes[6..8].copy_from_slice(&self.fragment.to_be_bytes());
        bytes[8..10].copy_from_slice(&[64, self.protocol]);
        bytes[10..12].fill(0);
        bytes[12..16].copy_from_slice(&self.source.octets());
        bytes[16..20].copy_from_slice(&self.destination.octets());
        let checksum = fold(sum(&bytes));
        bytes[10..12].copy_from_slice(&checksum);
        bytes.extend_from_slice(payload);
        bytes
    }
}

/// A datagram without a checksum that says it is this long.
fn datagram(to: u16, len: u16) -> Vec<u8> {
    let mut bytes = [9, to, len, 0].map(u16::to_be_bytes).concat();
    bytes.extend_from_slice(PAYLOAD);
    bytes
}

pub(super) const SYN: u8 = 0x02;
pub(super) const ACK: u8 = 0x10;

/// A segment with the right checksum. Options are filled up with their end.
pub(super) struct Segment<'o> {
    pub(super) to: u16,
    pub(super) sequence: u32,
    pub(super) acknowledged: u32,
    pub(super) flags: u8,
    pub(super) window: u16,
    pub(super) options: &'o [u8],
}

impl Segment<'_> {
    fn between(&self, source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
        let len = 20 + self.options.len().next_multiple_of(4);
        let mut bytes = vec![0; len];
        bytes[..2].copy_from_slice(&4_000_u16.to_be_bytes());
        bytes[2..4].copy_from_slice(&self.to.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.acknowledged.to_be_bytes());
        bytes[12..14].copy_from_slice(&[(len as u8 / 4) << 4, self.flags]);
        bytes[14..16].copy_from_slice(&self.window.to_be_bytes());
        bytes[20..20 + self.options.len()].copy_from_slice(self.options);
        let ends = sum(&source.octets()) + sum(&destination.octets());
        let checksum = fold(sum(&bytes) + ends + u32::from(TCP) + len as u32);
        bytes[16..18].copy_from_slice(&checksum);
        bytes
    }
}

fn syn(to: u16, source: Ipv4Addr, destination: Ipv4Addr) -> Vec<u8> {
    let segment = Segment {
        to,
        sequence: 0,
        acknowledged: 0,
        flags: SYN,
        window: 4096,
        options: &[],
    };
    segment.between(source, destination)
}

fn ping() -> Vec<u8> {
    let mut bytes = vec![8, 0, 0, 0, 0x12, 0x34, 0, 1];
    let checksum = fold(sum(&bytes));
    bytes[2..4].copy_from_slice(&checksum);
    bytes
}

/// What RFC 791 and RFC 768 make of it, spelled out once more: the counter, and the payload that is
/// the receiver's.
fn verdict(packet: &Packet, bytes: &[u8], datagram_len: u16) -> (&'static str, Option<usize>) {
    let header = usize::from(packet.words) * 4;
    let total = usize::from(packet.total);
    if packet.words < 5 || bytes.len() < header || total < header || total > bytes.len() {
        return ("ipv4", None);
    }
    if packet.fragment & !(RESERVED | DONT_FRAGMENT) != 0 {
        return ("fragments", None);
    }
    let datagram = usize::from(datagram_len);
    if datagram < 8 || datagram > total - header {
        return ("datagram_malformed", None);
    }
    ("datagram_received", Some(datagram - 8))
}

/// V11, and the header lengths of V30.
#[test]
fn whatever_the_lengths_say_no_byte_is_read_that_is_not_the_datagrams() {
    let attack = Attack::new();
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 53));
    let world = &attack.pair.world;
    let (_, mut socket) = world
        .block_on(attack.pair.us.udp().bind_single(any))
        .unwrap();
    let whole = (8 + PAYLOAD.len()) as u16;
    let fragments = [
        0,
        DONT_FRAGMENT,
        RESERVED,
        MORE_FRAGMENTS,
        1,
        MORE_FRAGMENTS | 0x1fff,
    ];
    let (mut frames, mut received) = (0, 0);
    for words in 0..=15 {
        let header = u16::from(words) * 4;
        let end = u16::from(words.max(5)) * 4 + whole;
        for total in [
            0,
            19,
            20,
            header.saturating_sub(1),
            header,
            header + 7,
            end - 1,
            end,
            end + 1,
            u16::MAX,
        ] {
            for (fragment, len) in fragments.iter().flat_map(|fragment| {
                let lens = [0, 7, 8, 9, whole - 1, whole, whole + 1, u16::MAX];
                lens.map(|len| (*fragment, len))
            }) {
                let packet = Packet {
                    words,
                    total,
                    fragment,
                    ..Packet::new(UDP, 0)
                };
                let exact = packet.around(&datagram(53, len));
                let padded = [&exact[..], &[BEHIND; 26]].concat();
                let cut = &exact[..exact.len() - 1];
                for bytes in [&exact, &padded, cut] {
                    let (counter, payload) = verdict(&packet, bytes, len);
                    let told = format!("IHL {words}, {total} bytes, {fragment:#x}, UDP {len}");
                    let outcome = attack.send(mac(US).get(), bytes);
                    assert_eq!(outcome, (vec![counter], 0), "{told}");
                    frames += 1;
                    if let Some(expected) = payload {
                        let mut buffer = [0; 64];
                        let heard = world.block_on(socket.receive_into(&mut buffer));
                        let (heard, _, _) = heard.unwrap();
                        let behind = bytes.len() - usize::from(header) - 8;
                        let sent = &bytes[usize::from(header) + 8..];
                        assert!(expected <= behind, "{told}");
                        assert_eq!(buffer[..heard], sent[..expected], "{told}");
                        received += 1;
                    }
                }
            }
        }
    }
    assert_eq!(frames, 16 * 10 * 6 * 8 * 3);
    assert!(received > 100, "{received} of {frames}");
    let now = attack.pair.now();
    let mut buffer = [0; 64];
    let more = until(world, now + secs(1), socket.receive_into(&mut buffer));
    assert!(world.block_on(more).is_none(), "a datagram too many");
    drop(socket);
    attack.finish();
}

/// V30: the SYN from 0.0.0.0 that made a stack panic, and its relatives.
#[test]
fn nobody_is_answered_who_cannot_be() {
    let attack = Attack::new();
    let _listener = attack.pair.us.listen(port(OPEN), 2).unwrap();
    for source in [
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::new(0, 0, 0, 9),
        Ipv4Addr::BROADCAST,
        ip(255),
        Ipv4Addr::new(224, 0, 0, 1),
        Ipv4Addr::new(239, 255, 255, 250),
        Ipv4Addr::LOCALHOST,
        ip(US),
    ] {
        for destination in [ip(US), ip(255), Ipv4Addr::BROADCAST] {
            let contents = [
                (TCP, syn(OPEN, source, destination)),
                (TCP, syn(CLOSED, source, destination)),
                (UDP, datagram(9, 20)),
                (ICMP, ping()),
            ];
            for (protocol, content) in contents {
                let packet = Packet {
                    source,
                    destination,
                    ..Packet::new(protocol, content.len())
                };
                let bytes = packet.around(&content);
                let told = format!("{source} to {destination}, protocol {protocol}");
                let (counters, sent) = attack.send(mac(US).get(), &bytes);
                let [counter] = counters[..] else {
                    panic!("{told}: {counters:?}");
                };
                // Whoever has no address yet speaks UDP to the link, but to no socket.
                let expected = ["source_ip", "martians"];
                assert!(expected.contains(&counter), "{told}: {counter}");
                assert_eq!(sent, 0, "{told} was answered");
            }
        }
    }
    assert_eq!(attack.pair.us.stats().tcp.accepted, 0);
    attack.finish();
}

/// RFC 1122 sections 3.2.2, 3.2.2.6 and 4.2.3.10.
#[test]
fn what_is_said_to_everybody_is_answered_by_nobody() {
    let attack = Attack::new();
    let _listener = attack.pair.us.listen(port(OPEN), 2).unwrap();
    let group = Ipv4Addr::new(224, 0, 0, 1);
    let of_group = MacAddr::new([1, 0, 0x5e, 0, 0, 1]);
    let everybody = MacAddr::BROADCAST;
    let us = mac(US).get();
    for (destination, to, segment, datagram) in [
        (
            Ipv4Addr::BROADCAST,
            everybody,
            "misdirected",
            "datagram_unclaimed",
        ),
        (ip(255), everybody, "misdirected", "datagram_unclaimed"),
        (group, of_group, "misdirected", "datagram_unclaimed"),
        // In a frame for us alone.
        (ip(255), us, "misdirected", "datagram_unclaimed"),
        (group, us, "misdirected", "datagram_unclaimed"),
        // For us alone, in a frame for everybody.
        (ip(US), everybody, "group_frame", "group_frame"),
        // For somebody else.
        (ip(PEER), us, "misdirected", "misdirected"),
    ] {
        let contents = [
            (TCP, syn(OPEN, ip(SILENT), destination), segment),
            (TCP, syn(CLOSED, ip(SILENT), destination), segment),
            (UDP, self::datagram(9, 20), datagram),
        ];
        for (protocol, content, counter) in contents {
            let packet = Packet {
                destination,
                ..Packet::new(protocol, content.len())
            };
            let outcome = attack.send(to, &packet.around(&content));
            let told = format!("{destination} at {to}, protocol {protocol}");
            assert_eq!(outcome, (vec![counter], 0), "{told}");
        }
    }
    attack.finish();
}

/// V30: blocks that were received as they say, before, behind and around what was sent.
#[test]
fn selective_acknowledgements_of_anything_break_nothing_and_the_right_one_still_counts() {
    let attack = Attack::new();
    let mut listener = attack.pair.us.listen(port(OPEN), 1).unwrap();
    let segment = |sequence, acknowledged, flags, options: &[u8]| {
        attack.segment(&Segment {
            to: OPEN,
            sequence,
            acknowledged,
            flags,
            window: 4096,
            options,
        });
    };
    // Selective acknowledgements are permitted.
    segment(0, 0, SYN, &[4, 2]);
    let first = attack.listen().expect("an answer") + 1;
    segment(1, first, ACK, &[]);
    let world = &attack.pair.world;
    let (mut connection, _) = world.block_on(listener.accept());
    let written = world.block_on(connection.write(&[7; 1000])).unwrap();
    world.settle();
    let last = first.wrapping_add(written as u32);

    let edges = [
        0,
        1,
        first - 1,
        first,
        first + 500,
        last,
        last + 1,
        1 << 31,
        u32::MAX,
    ];
    for left in edges {
        for right in edges {
            for len in [0, 1, 2, 3, 9, 10, 11, 18, 34, 38, 255] {
                let mut options = vec![5, len];
                for _ in 0..4 {
                    options.extend(left.to_be_bytes());
                    options.extend(right.to_be_bytes());
                }
                for cut in [2, 10, 34] {
                    segment(1, first, ACK, &options[..cut]);
                }
            }
        }
    }
    // Every other option, too.
    for kind in 0..=u8::MAX {
        for len in [0, 1, 2, 3, 4, 10, 40, 255] {
            segment(
                1,
                first,
                ACK,
                &[kind, len, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
            );
        }
    }
    segment(1, last, ACK, &[]);
    world.block_on(connection.flush()).unwrap();
    connection.abort();
    drop(listener);
    attack.finish();
}
