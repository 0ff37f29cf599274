//! IP packets that broke others (V11 and V30 of the list of hostile input): headers that lie about
//! lengths, and senders that nobody can be.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU16;
use std::time::Duration;

use embedded_nal_async::{UdpStack, UnconnectedUdp};

use whohas_linux::Protocols;

use crate::hostile::{Attacker, CANARY, counters};
use crate::support::cable::{OUR_IP, OUR_MAC, THEIR_IP, THEIR_MAC, THEM, drain, listen, mac};
use crate::us::play;
use crate::wire_test;

wire_test! {
    /// V30: connections from where nobody can be, and headers that are shorter than they can be.
    fn whoever_connects_from_nowhere_is_not_answered() {
        play(|us| async move {
            let attacker = Attacker::at_the_other_end();
            let port = NonZeroU16::new(7_007).expect("a port");
            let listener = us.net.listen(port, 4).expect("room");
            let nowhere = [
                [0, 0, 0, 0], [0, 1, 2, 3], [127, 0, 0, 1], [224, 0, 0, 1], [240, 0, 0, 1],
                [255, 255, 255, 255], [10, 0, 0, 255], OUR_IP.octets(),
            ];
            let all = listen(THEM, Protocols::All);
            for source in nowhere {
                for header in 0..16 {
                    attacker.send(&connecting(source.into(), header, port));
                }
            }
            for header in 0..5 {
                attacker.send(&connecting(THEIR_IP, header, port));
            }
            attacker.look_closely().await;
            let (_, link) = counters(us);
            let stats = us.net.stats();
            let sent = nowhere.len() as u64 * 16 + 5;
            assert_eq!(link.rx_dropped() + u64::from(stats.packets.martians), sent, "{link:?} {stats:?}");
            assert_eq!(stats.packets.sent, 0, "nobody is answered, and nobody refused");

            // The same from somewhere is.
            attacker.send(&connecting(THEIR_IP, 5, port));
            while us.net.stats().packets.sent == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let answered = drain(&all).into_iter().filter(|frame| frame[12..14] == [8, 0]);
            assert!(answered.count() >= 1);
            drop(listener);
        });
    }
}

/// A SYN.
fn connecting(source: Ipv4Addr, header: u8, port: NonZeroU16) -> Vec<u8> {
    let start = Lie::start(header);
    let mut segment = [0; 20];
    segment[0..2].copy_from_slice(&4_444_u16.to_be_bytes());
    segment[2..4].copy_from_slice(&port.get().to_be_bytes());
    segment[12..16].copy_from_slice(&[0x50, 0x02, 0x10, 0]);
    let pseudo = [
        &source.octets()[..],
        &OUR_IP.octets(),
        &[0, 6, 0, 20],
        &segment,
    ]
    .concat();
    segment[16..18].copy_from_slice(&checksum(&pseudo).to_be_bytes());
    let ends = (source, OUR_IP);
    let head = ipv4_header(header, (start + 20) as u16, 0, 6, ends);
    [&ethernet()[..], &head, &segment].concat()
}

/// Of as many bytes as its length says, but at least twenty; with a true checksum.
fn ipv4_header(
    header: u8,
    total: u16,
    fragment: u16,
    protocol: u8,
    (source, destination): (Ipv4Addr, Ipv4Addr),
) -> Vec<u8> {
    // Options that mean nothing.
    let mut bytes = vec![1; Lie::start(header)];
    bytes[..2].copy_from_slice(&[0x40 | header, 0]);
    bytes[2..4].copy_from_slice(&total.to_be_bytes());
    bytes[4..6].fill(0);
    bytes[6..8].copy_from_slice(&fragment.to_be_bytes());
    bytes[8..12].copy_from_slice(&[64, protocol, 0, 0]);
    bytes[12..16].copy_from_slice(&source.octets());
    bytes[16..20].copy_from_slice(&destination.octets());
    let sum = checksum(&bytes);
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// From them to us.
fn ethernet() -> Vec<u8> {
    [
        &mac(OUR_MAC).octets()[..],
        &mac(THEIR_MAC).octets(),
        &[8, 0],
    ]
    .concat()
}

/// A datagram whose headers lie.
#[derive(Clone, Copy, Debug)]
struct Lie {
    /// In words.
    header: u8,
    total: u16,
    udp: u16,
    fragment: u16,
    /// The bytes of the packet that are on the wire.
    present: usize,
}

/// The text of each datagram, at its full length.
const TEXT: usize = 16;
const UDP_PORT: u16 = 5_005;

impl Lie {
    /// All lengths shorter than, equal to and longer than each other, zero, and in the middle of a
    /// header; with fragment bits.
    fn all() -> impl Iterator<Item = Self> {
        (0..16).flat_map(|header| {
            let honest = Self::start(header) + 8 + TEXT;
            let start = Self::start(header);
            let totals = [
                0,
                19,
                20,
                start,
                start + 7,
                start + 8,
                honest - 1,
                honest,
                honest + 1,
                65_535,
            ];
            let udps = [0, 7, 8, 9, 8 + TEXT - 1, 8 + TEXT, 8 + TEXT + 1, 65_535];
            let fragments = [0, 0x4000, 0x2000, 1, 0x1fff];
            let present = [20, start, start + 7, honest - 1, honest, honest + 9];
            totals.into_iter().flat_map(move |total| {
                udps.into_iter().flat_map(move |udp| {
                    fragments.into_iter().flat_map(move |fragment| {
                        present.map(|present| Self {
                            header,
                            total: total as u16,
                            udp: udp as u16,
                            fragment,
                            present,
                        })
                    })
                })
            })
        })
    }

    /// Where the datagram is.
    fn start(header: u8) -> usize {
        usize::from(header.max(5)) * 4
    }

    fn frame(self, number: u32) -> Vec<u8> {
        let ends = (THEIR_IP, OUR_IP);
        let mut packet = ipv4_header(self.header, self.total, self.fragment, 17, ends);
        packet.extend(4_444_u16.to_be_bytes());
        packet.extend(UDP_PORT.to_be_bytes());
        packet.extend(self.udp.to_be_bytes());
        // No checksum.
        packet.extend([0, 0]);
        packet.extend(text(number));
        packet.resize(packet.len().max(self.present), CANARY);
        packet.truncate(self.present);
        [ethernet(), packet].concat()
    }

    /// What must come out, if anything may.
    fn truth(self, number: u32) -> Option<Vec<u8>> {
        let start = Self::start(self.header);
        let (total, udp) = (usize::from(self.total), usize::from(self.udp));
        let whole = self.header >= 5 && self.fragment & 0x3fff == 0;
        let within = total <= self.present && (8..=total.saturating_sub(start)).contains(&udp);
        let full = [&text(number)[..], &[CANARY; 16]].concat();
        (whole && within).then(|| full[..udp - 8].to_vec())
    }
}

fn text(number: u32) -> [u8; TEXT] {
    let mut text = [0x55; TEXT];
    text[..4].copy_from_slice(&number.to_be_bytes());
    text
}

/// RFC 1071, once more and by itself: it must not agree with a mistake of ours.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum = words.sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

wire_test! {
    /// V11: no byte comes out of a datagram that was not in it, whatever its headers say.
    fn headers_that_lie_about_lengths_let_nothing_through_that_is_not_true() {
        play(|us| async move {
            let attacker = Attacker::at_the_other_end();
            let own = SocketAddrV4::new(OUR_IP, UDP_PORT);
            let mut socket = us.net.udp().bind_multiple(own.into()).await.expect("free");
            let lies = Lie::all().collect::<Vec<_>>();
            let (mut number, mut through) = (0, 0);
            for some in lies.chunks(64) {
                let mut truths = Vec::new();
                for lie in some {
                    attacker.send(&lie.frame(number));
                    truths.extend(lie.truth(number).map(|truth| (*lie, truth)));
                    number += 1;
                }
                // Behind them one that says nothing but the truth.
                let honest = Lie { header: 5, total: 44, udp: 24, fragment: 0, present: 44 };
                attacker.send(&honest.frame(number));
                truths.extend(honest.truth(number).map(|truth| (honest, truth)));
                number += 1;
                for (lie, truth) in truths {
                    let mut buffer = [0; 100];
                    let received = socket.receive_into(&mut buffer).await;
                    let (len, _local, _remote) = received.expect("a datagram");
                    assert_eq!(buffer[..len], truth, "{lie:?}");
                    through += 1;
                }
            }
            let (_, link) = counters(us);
            let stats = us.net.stats();
            println!(
                "lies: {} sent, {through} were true; {} dropped by the link; {stats:?}",
                lies.len(),
                link.rx_dropped(),
            );
            assert_eq!(stats.udp.received, through);
            assert!(link.rx_dropped() > 1_000 && stats.packets.fragments > 100);
        });
    }
}
