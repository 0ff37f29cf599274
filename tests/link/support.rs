//! A link on a LAN, a stack above it that writes down what it gets, and a sniffer.

use std::net::Ipv4Addr;
use std::task::{Context, Waker};
use std::time::Duration;

use super::kind::TestLink;
use embassy_net_driver::{Driver, RxToken, TxToken};
use whohas::cache::Fixed;
use whohas::link::{IpLink, LinkEvent};
use whohas::sim::{Host, Lan, LanDriver, PortId, SharedLan};
use whohas::wire::{
    ArpPacket, EtherType, EthernetFrame, EthernetHeader, Fragment, HardwareTypes, IpProtocol,
    Ipv4Header, Operation, VlanTag,
};
use whohas::{Instant, LocalResolver, MacAddr, Policy, Prefix, UnicastMac, VlanId};

pub type Resolver = LocalResolver<Fixed<16>>;

/// Our own number.
pub const US: u8 = 1;
/// The smallest step of time.
pub const TICK: Duration = Duration::from_micros(1);

/// 10.0.0.n.
pub const fn ip(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, n)
}

/// 02:00:00:00:00:n.
pub fn mac(n: u8) -> UnicastMac {
    UnicastMac::new([2, 0, 0, 0, 0, n]).expect("the group bit is clear")
}

pub fn own() -> Prefix {
    Prefix::new(ip(US), 24).expect("24 bits")
}

pub const fn secs(secs: u64) -> Instant {
    Instant::from_secs(secs)
}

pub const fn millis(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

/// No announcements: what a test did not cause is not on the wire.
pub const QUIET: Policy = Policy {
    announcements: 0,
    ..Policy::STRICT
};

pub struct World {
    pub lan: SharedLan,
    pub driver: LanDriver,
    pub link: TestLink,
    pub sniffer: PortId,
    /// What the stack got, and when.
    pub got: Vec<(Instant, Vec<u8>)>,
    /// What the sniffer saw.
    pub seen: Vec<(Instant, Vec<u8>)>,
    pub events: Vec<(Instant, LinkEvent)>,
    /// How often the link was polled.
    pub polls: u32,
}

impl World {
    pub fn new() -> Self {
        Self::with(QUIET)
    }

    pub fn with(policy: Policy) -> Self {
        let mut world = Self::without_address(policy);
        world
            .link
            .set_addresses(&[own()])
            .expect("a host's address");
        world
    }

    pub fn without_address(policy: Policy) -> Self {
        let lan = SharedLan::new(Lan::new(42));
        let driver = lan.add_driver(mac(US));
        let sniffer = lan.lan().add_tap();
        let resolver = Box::leak(Box::new(Resolver::new(policy, Fixed::new())));
        let link = TestLink::new(driver.clone(), &*resolver, lan.clock());
        Self {
            lan,
            driver,
            link,
            sniffer,
            got: Vec::new(),
            seen: Vec::new(),
            events: Vec::new(),
            polls: 0,
        }
    }

    pub fn add_host(&self, n: u8) -> PortId {
        self.lan.lan().add_host(Host::new(ip(n), mac(n)))
    }

    pub fn now(&self) -> Instant {
        self.lan.now()
    }

    /// Lets the stack have a turn, and time pass up to and including this one.
    pub fn run_until(&mut self, deadline: Instant) {
        loop {
            self.settle();
            let next = self
                .link
                .poll_timeout()
                .into_iter()
                .chain(self.lan.next_event())
                .min();
            match next {
                Some(next) if next <= deadline => self.lan.advance_to(next),
                _ => break,
            }
        }
        self.lan.advance_to(deadline);
        self.settle();
    }

    /// Does all that can be done now.
    pub fn settle(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..10_000 {
            let now = self.now();
            self.lan.advance_to(now);
            self.link.poll(now, &mut context);
            self.polls += 1;
            let mut busy = false;
            while let Some((packet, _room)) = self.link.receive(&mut context) {
                let packet = packet.consume(|packet| packet.to_vec());
                self.got.push((now, packet));
                busy = true;
            }
            while let Some(event) = self.link.poll_event() {
                self.events.push((now, event));
            }
            while let Some(frame) = { self.lan.lan().receive(self.sniffer) } {
                self.seen.push((now, frame));
            }
            let lan_is_busy = self.lan.next_event().is_some_and(|next| next <= now);
            let link_is_busy = self.link.poll_timeout().is_some_and(|next| next <= now);
            if !busy && !lan_is_busy && !link_is_busy {
                return;
            }
        }
        panic!("the link never rests at {}", self.now());
    }

    /// The stack sends; false if there is no room.
    pub fn send(&mut self, packet: &[u8]) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        match self.link.transmit(&mut context) {
            Some(room) => {
                room.consume(packet.len(), |buffer| buffer.copy_from_slice(packet));
                true
            }
            None => false,
        }
    }

    /// A packet of ours to this address; `n` tells it from others.
    pub fn send_to(&mut self, destination: Ipv4Addr, n: u8) -> bool {
        self.send(&packet(ip(US), destination, &[n; 100]))
    }

    /// A frame that arrives now.
    pub fn inject(&mut self, frame: &[u8]) {
        self.lan.lan().send(self.sniffer, frame);
        self.settle();
    }

    /// The IP packets that we sent: to whom, on which VLAN, and the byte that tells them apart.
    pub fn packets_seen(&self) -> Vec<(MacAddr, Option<VlanId>, u8)> {
        let frames = self.seen.iter().map(|(_, frame)| frame);
        let frames = frames.map(|frame| EthernetFrame::parse(frame).expect("we send legal frames"));
        frames
            .filter(|frame| frame.header.ethertype == EtherType::IPV4)
            .map(|frame| {
                let vlan = frame.header.tag.and_then(|tag| tag.id);
                (frame.header.destination, vlan, frame.payload[20])
            })
            .collect()
    }

    /// The numbers of the packets that we sent, in their order.
    pub fn numbers_seen(&self) -> Vec<u8> {
        self.packets_seen().iter().map(|(_, _, n)| *n).collect()
    }

    /// The ARP packets seen, and when.
    pub fn arp_seen(&self) -> Vec<(Instant, ArpPacket)> {
        let frames = self.seen.iter();
        frames
            .filter_map(|(at, frame)| {
                let frame = EthernetFrame::parse(frame).ok()?;
                if frame.header.ethertype != EtherType::ARP {
                    return None;
                }
                Some((
                    *at,
                    ArpPacket::parse(frame.payload, HardwareTypes::Ethernet).ok()?,
                ))
            })
            .collect()
    }

    /// When we asked for this address.
    pub fn requests_for(&self, ip: Ipv4Addr) -> Vec<Instant> {
        let mut requests = self.arp_seen();
        requests.retain(|(_, packet)| {
            packet.operation == Operation::Request
                && packet.target_ip == ip
                && packet.sender_mac == mac(US)
        });
        requests.into_iter().map(|(at, _)| at).collect()
    }

    /// Every frame and every packet is in one place.
    #[track_caller]
    pub fn check_counts(&self) {
        let counters = self.link.counters();
        assert_eq!(
            counters.received,
            counters.handed_up + counters.arp + counters.rx_dropped(),
            "{counters:?}"
        );
        assert_eq!(counters.handed_up, self.got.len() as u64, "{counters:?}");
        assert_eq!(
            counters.accepted,
            counters.sent + counters.tx_dropped() + self.link.parked() as u64,
            "{counters:?}"
        );
        assert_eq!(counters.sent, self.packets_seen().len() as u64);
    }
}

/// An IPv4 packet.
pub fn packet(source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    packet_of(IpProtocol::UDP, source, destination, payload)
}

pub fn packet_of(
    protocol: IpProtocol,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    payload: &[u8],
) -> Vec<u8> {
    let header = Ipv4Header {
        source,
        destination,
        protocol,
        ttl: 64,
        service: 0,
        identification: 7,
        fragment: Fragment::Whole {
            dont_fragment: true,
        },
    };
    let mut packet = vec![0; 20 + payload.len()];
    let rest = header
        .emit(&mut packet, payload.len())
        .expect("there is room");
    rest.copy_from_slice(payload);
    packet
}

/// A frame around a payload.
pub fn frame(
    to: MacAddr,
    from: MacAddr,
    vlan: Option<VlanId>,
    ethertype: EtherType,
    payload: &[u8],
) -> Vec<u8> {
    let header = EthernetHeader {
        destination: to,
        source: from,
        tag: vlan.map(VlanTag::new),
        ethertype,
    };
    let mut frame = vec![0; header.len() + payload.len()];
    let rest = header.emit(&mut frame).expect("there is room");
    rest.copy_from_slice(payload);
    frame
}

/// An IPv4 packet from station 2 in a frame to us.
pub fn to_us(packet: &[u8]) -> Vec<u8> {
    frame(mac(US).get(), mac(2).get(), None, EtherType::IPV4, packet)
}
