//! The neighbours, and what comes from them.

use std::net::Ipv4Addr;

use whohas::resolver::shared::{Shape, SharedResolver};
use whohas::wire::{EtherType, EthernetHeader, Fragment, IpProtocol, Ipv4Header, UdpHeader};
use whohas::{Instant, Policy, Prefix, UnicastMac};
use whohas_dpdk::{Burst, Queue};

pub(crate) const ETHERNET: usize = 14;
pub(crate) const HEADERS: usize = ETHERNET + 20;

/// Our own address, in a network with room for a million.
pub(crate) const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const PREFIX_LEN: u8 = 11;

pub(crate) fn prefix() -> Prefix {
    Prefix::new(US, PREFIX_LEN).expect("no more than 32 bits")
}

/// Our own hardware address on a port.
pub(crate) fn our_mac() -> UnicastMac {
    UnicastMac::new([2, 0, 0, 0, 0, 1]).expect("the group bit is clear")
}

/// So many neighbours in random order, the same ones every time.
pub(crate) fn neighbours(count: u32) -> Vec<(Ipv4Addr, UnicastMac)> {
    let first = US.to_bits() + 1;
    let mut ips: Vec<u32> = (first..first + count).collect();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for at in (1..ips.len()).rev() {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        ips.swap(at, (random % (at as u64 + 1)) as usize);
    }
    let neighbour = |ip: u32| {
        let [a, b, c, d] = ip.to_be_bytes();
        let mac = UnicastMac::new([6, 0, a, b, c, d]).expect("the group bit is clear");
        (Ipv4Addr::from_bits(ip), mac)
    };
    ips.into_iter().map(neighbour).collect()
}

/// A resolver that knows them.
pub(crate) fn resolver(neighbours: &[(Ipv4Addr, UnicastMac)]) -> SharedResolver {
    let shape = Shape {
        neighbours: neighbours.len() + 16,
        ..Shape::default()
    };
    // Nobody is there to hear announcements.
    let policy = Policy {
        announcements: 0,
        ..Policy::STRICT
    };
    let resolver = SharedResolver::new(policy, shape);
    resolver
        .set_addresses(Instant::ZERO, &[prefix()])
        .expect("a host's address");
    for (ip, mac) in neighbours {
        resolver
            .insert_static(*ip, *mac)
            .expect("room for all of them");
    }
    resolver
}

/// The stations at the other end of a port's cable, which ends where it begins: they take what the port
/// has sent, and send each frame anew.
pub(crate) struct Stations {
    /// The headers of a packet from each neighbour.
    headers: Vec<[u8; HEADERS]>,
    next: usize,
    /// Whose packet is the next that comes back.
    awaited: usize,
    frames: Burst,
    /// How many frames there are.
    count: usize,
    len: usize,
}

impl Stations {
    /// Puts `count` frames of `len` bytes on their way.
    pub(crate) fn new(
        neighbours: &[(Ipv4Addr, UnicastMac)],
        queue: &mut Queue,
        count: usize,
        len: usize,
    ) -> Self {
        let headers = neighbours.iter().map(|(ip, mac)| headers(*ip, *mac, len));
        let mut stations = Self {
            headers: headers.collect(),
            next: 0,
            awaited: 0,
            frames: Burst::new(),
            count,
            len,
        };
        let mut frame = vec![0x5a; len];
        let ports = UdpHeader {
            source_port: 7,
            destination_port: 9,
        };
        let datagram = &mut frame[HEADERS..];
        ports.emit(US, US, datagram).expect("there is room");
        // Without a sum, which would be another one for every neighbour.
        datagram[6..8].fill(0);
        for _ in 0..count {
            stations.write_next(&mut frame);
            let frame = queue.pool().frame_of(&frame).expect("a frame");
            stations.frames.push(frame).expect("room");
            if stations.frames.is_full() {
                queue.send_frames(&mut stations.frames);
            }
        }
        queue.send_frames(&mut stations.frames);
        assert!(stations.frames.is_empty(), "there is room for all");
        stations
    }

    /// How many frames there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Takes what was sent, all of which must be for its station, and sends the next.
    pub(crate) fn answer(&mut self, queue: &mut Queue) {
        let mut frames = std::mem::take(&mut self.frames);
        let mut left = self.count;
        while left > 0 {
            queue.receive_frames(&mut frames);
            assert!(!frames.is_empty(), "{left} of {} are lost", self.count);
            left -= frames.len();
            for frame in frames.as_mut_slice() {
                let station = &self.headers[self.awaited][6..12];
                self.awaited = (self.awaited + 1) % self.headers.len();
                assert_eq!(&frame[..6], station, "a frame for somebody else");
                assert_eq!(frame.len(), self.len);
                self.write_next(frame);
            }
            queue.send_frames(&mut frames);
            assert!(frames.is_empty(), "there is room for all");
        }
        self.frames = frames;
    }

    fn write_next(&mut self, frame: &mut [u8]) {
        frame[..HEADERS].copy_from_slice(&self.headers[self.next]);
        self.next = (self.next + 1) % self.headers.len();
    }
}

/// The headers of a packet from there to us.
fn headers(ip: Ipv4Addr, mac: UnicastMac, len: usize) -> [u8; HEADERS] {
    let mut bytes = [0; HEADERS];
    let ethernet = EthernetHeader {
        destination: our_mac().get(),
        source: mac.get(),
        tag: None,
        ethertype: EtherType::IPV4,
    };
    ethernet.emit(&mut bytes).expect("there is room");
    let ipv4 = Ipv4Header {
        source: ip,
        destination: US,
        protocol: IpProtocol::UDP,
        ttl: 64,
        service: 0,
        identification: 0,
        fragment: Fragment::Whole {
            dont_fragment: true,
        },
    };
    let mut packet = vec![0; len - ETHERNET];
    ipv4.emit(&mut packet, len - HEADERS)
        .expect("there is room");
    bytes[ETHERNET..].copy_from_slice(&packet[..HEADERS - ETHERNET]);
    bytes
}
