//! Queues with a link each over one shared resolver, and a LAN of hosts at the other end of the cable,
//! whose frames arrive on whatever queue the test says.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use embassy_net_driver::{Driver, RxToken, TxToken};
use whohas::link::{InPlace, IpLink};
use whohas::resolver::shared::{Reader, SharedResolver};
use whohas::sim::{Host, Lan, LanClock, PortId, SharedLan};
use whohas::wire::{
    ArpPacket, EtherType, EthernetFrame, EthernetHeader, Fragment, HardwareTypes, IpProtocol,
    Ipv4Header, Operation,
};
use whohas::{Instant, MacAddr, Policy, Prefix, UnicastMac};
use whohas_dpdk::{Cable, EalOptions, Port, PortOptions, Queue};

/// Our own number.
pub const US: u8 = 1;

/// No announcements: what a test did not cause is not on the wire.
pub const QUIET: Policy = Policy {
    announcements: 0,
    ..Policy::STRICT
};

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

pub fn options(queues: u16) -> PortOptions {
    PortOptions::new().queues(queues).mac(mac(US))
}

/// Opens a port of rings for each of these, one after the other. When the test is done with it, every
/// frame must be back in its pool.
#[track_caller]
pub fn on_each(all: &[PortOptions], test: impl Fn(&Port, Vec<Queue>, &Cable)) {
    let eal = EalOptions::without_hardware(128)
        .start()
        .expect("DPDK starts");
    for options in all {
        let opened = Cable::open(&eal, options);
        let (port, queues, cable) = opened.expect("a port of rings opens");
        let pools = [port.pools(), &[cable.pool().clone()]].concat();
        let in_use = || pools.iter().map(whohas_dpdk::Pool::in_use);
        let before: Vec<_> = in_use().collect();
        test(&port, queues, &cable);
        // What is in its rings goes with them.
        drop((port, cable));
        assert!(in_use().eq(before), "frames were lost: {pools:?}");
        assert_eq!(Port::names(&eal), [""; 0]);
    }
}

/// As [`on_each`], for one port.
#[track_caller]
pub fn on_rings(options: PortOptions, test: impl Fn(&Port, Vec<Queue>, &Cable)) {
    on_each(&[options], test);
}

pub fn readers(resolver: &SharedResolver, queues: &[Queue]) -> Vec<Reader> {
    let reader = |_| resolver.reader().expect("room for every queue");
    queues.iter().map(reader).collect()
}

pub type QueueLink<'r> = InPlace<Queue, &'r Reader, LanClock>;

/// A link with our address.
pub fn link<'r>(queue: Queue, reader: &'r Reader, lan: &SharedLan) -> QueueLink<'r> {
    let mut link = QueueLink::new(queue, reader, lan.clock());
    link.set_addresses(&[own()]).expect("a host's address");
    link
}

/// Says on which queue a frame arrives.
pub type Spread<'r> = Box<dyn FnMut(&[u8]) -> u16 + 'r>;

pub struct World<'r> {
    pub lan: SharedLan,
    /// Where the cable is plugged in.
    pub socket: PortId,
    pub cable: &'r Cable,
    pub links: BTreeMap<u16, QueueLink<'r>>,
    /// Queues that nobody polls.
    pub stopped: BTreeSet<u16>,
    pub spread: Spread<'r>,
    /// What arrived and found no room in the queue's ring.
    pub missed: u64,
    /// The packets that the stacks got, and on which queue.
    pub got: Vec<(u16, Vec<u8>)>,
    /// The frames that were sent, when, and by which queue.
    pub seen: Vec<(Instant, u16, Vec<u8>)>,
}

impl<'r> World<'r> {
    pub fn new(cable: &'r Cable, queues: Vec<Queue>, readers: &'r [Reader]) -> Self {
        let lan = SharedLan::new(Lan::new(42));
        let socket = lan.lan().add_port(mac(US));
        let links = queues.into_iter().zip(readers).map(|(queue, reader)| {
            let number = queue.number();
            (number, link(queue, reader, &lan))
        });
        let mut world = Self {
            links: links.collect(),
            lan,
            socket,
            cable,
            stopped: BTreeSet::new(),
            spread: Box::new(|_| 0),
            missed: 0,
            got: Vec::new(),
            seen: Vec::new(),
        };
        world.settle();
        world
    }

    pub fn add_host(&self, host: Host) {
        self.lan.lan().add_host(host);
    }

    pub fn now(&self) -> Instant {
        self.lan.now()
    }

    /// The link of a queue.
    pub fn on(&mut self, queue: u16) -> &mut QueueLink<'r> {
        self.links.get_mut(&queue).expect("the queue is there")
    }

    /// The stack of a queue sends to one of 10.0.0.0/24; `n` tells the packet from others.
    #[track_caller]
    pub fn send(&mut self, queue: u16, to: u8, n: u8) {
        let packet = packet(ip(US), ip(to), &[n; 30]);
        assert!(send(self.on(queue), &packet), "the ring has room");
    }

    /// All that can be done now is done.
    pub fn settle(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..10_000 {
            let now = self.now();
            self.lan.advance_to(now);
            let mut busy = self.lan.next_event().is_some_and(|next| next <= now);
            while let Some(frame) = { self.lan.lan().receive(self.socket) } {
                let queue = (self.spread)(&frame);
                self.missed += u64::from(self.cable.deliver(queue, &frame).is_err());
                busy = true;
            }
            for (number, link) in &mut self.links {
                if self.stopped.contains(number) {
                    continue;
                }
                let before = link.counters().received;
                link.poll(now, &mut context);
                while let Some((packet, _room)) = link.receive(&mut context) {
                    let packet = packet.consume(|packet| packet.to_vec());
                    self.got.push((*number, packet));
                }
                // Frames of an answer that was just written leave with it.
                link.driver_mut().flush();
                // A pass is bounded: there may be more.
                busy |= link.counters().received > before;
                busy |= link.poll_timeout().is_some_and(|next| next <= now);
            }
            for number in self.links.keys() {
                while let Some(frame) = self.cable.sent(*number) {
                    self.lan.lan().send(self.socket, &frame);
                    self.seen.push((now, *number, frame));
                    busy = true;
                }
            }
            if !busy {
                return;
            }
        }
        panic!("the queues never rest at {}", self.now());
    }

    /// One queue alone does what is due.
    pub fn poll(&mut self, queue: u16) {
        let now = self.now();
        let link = self.on(queue);
        link.poll(now, &mut Context::from_waker(Waker::noop()));
        link.driver_mut().flush();
    }

    /// Lets time pass up to and including this one.
    pub fn run_until(&mut self, deadline: Instant) {
        loop {
            self.settle();
            let running = self.links.iter();
            let running = running.filter(|(number, _)| !self.stopped.contains(number));
            let due = running.filter_map(|(_, link)| link.poll_timeout());
            match due.chain(self.lan.next_event()).min() {
                Some(next) if next <= deadline => self.lan.advance_to(next),
                Some(_) | None => break,
            }
        }
        self.lan.advance_to(deadline);
        self.settle();
    }

    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now() + time);
    }

    /// When we asked for this address.
    pub fn requests_for(&self, ip: Ipv4Addr) -> Vec<Instant> {
        let requests = self.seen.iter().filter(|(_, _, frame)| {
            arp(frame).is_some_and(|arp| arp.operation == Operation::Request && arp.target_ip == ip)
        });
        requests.map(|(at, _, _)| *at).collect()
    }

    /// The packets that a queue sent: to whom, and the byte that tells them apart.
    pub fn packets_from(&self, queue: u16) -> Vec<(MacAddr, u8)> {
        let frames = self.seen.iter().filter(|(_, from, _)| *from == queue);
        frames.filter_map(|(_, _, frame)| data(frame)).collect()
    }

    /// Every frame and every packet is in one place.
    #[track_caller]
    pub fn check_counts(&self, resolver: &SharedResolver) {
        let mut arp = 0;
        for (number, link) in &self.links {
            let link_counts = link.counters();
            let queue = link.driver().counters();
            assert_eq!(
                queue.received,
                queue.kept + queue.handed_over + queue.lost_over + queue.bad_sum,
                "{queue:?}"
            );
            assert_eq!(queue.kept + queue.taken_over, link_counts.received);
            assert_eq!(
                link_counts.received,
                link_counts.handed_up + link_counts.arp + link_counts.rx_dropped(),
                "{link_counts:?}"
            );
            let got = self.got.iter().filter(|(on, _)| on == number).count();
            assert_eq!(link_counts.handed_up, got as u64);
            assert_eq!(
                link_counts.accepted,
                link_counts.sent + link_counts.tx_dropped() + link.parked() as u64,
                "{link_counts:?}"
            );
            assert_eq!(
                queue.sent,
                link_counts.sent + link_counts.arp_sent,
                "{queue:?}"
            );
            arp += link_counts.arp;
        }
        let cache = resolver.counters().cache;
        assert_eq!(cache.received, arp);
        assert_eq!(cache.received, cache.accepted + cache.dropped.total());
    }
}

/// Sends a packet, or as much of it as waits for its neighbour; false if there is no room.
pub fn send(link: &mut QueueLink<'_>, packet: &[u8]) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    let Some(room) = link.transmit(&mut context) else {
        return false;
    };
    room.consume(packet.len(), |buffer| buffer.copy_from_slice(packet));
    true
}

/// An IPv4 packet of none of the protocols whose ports anybody would look at.
pub fn packet(source: Ipv4Addr, destination: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    packet_of(IpProtocol(253), source, destination, payload)
}

/// An IPv4 packet.
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
    let rest = header.emit(&mut packet, payload.len());
    rest.expect("there is room").copy_from_slice(payload);
    packet
}

/// A frame around a payload.
pub fn frame(to: MacAddr, from: MacAddr, ethertype: EtherType, payload: &[u8]) -> Vec<u8> {
    let header = EthernetHeader {
        destination: to,
        source: from,
        tag: None,
        ethertype,
    };
    let mut frame = vec![0; header.len() + payload.len()];
    let rest = header.emit(&mut frame).expect("there is room");
    rest.copy_from_slice(payload);
    frame
}

/// A packet from one of 10.0.0.0/24 to us, in a frame.
pub fn data_from(n: u8, payload: &[u8]) -> Vec<u8> {
    let packet = packet(ip(n), ip(US), payload);
    frame(mac(US).get(), mac(n).get(), EtherType::IPV4, &packet)
}

pub fn arp_frame(packet: &ArpPacket, to: MacAddr) -> [u8; 60] {
    let mut frame = [0; 60];
    let emitted = packet.emit_frame(to, None, &mut frame);
    emitted.expect("60 bytes are the length of it");
    frame
}

pub fn arp(frame: &[u8]) -> Option<ArpPacket> {
    let frame = EthernetFrame::parse(frame).ok()?;
    let is_arp = frame.header.ethertype == EtherType::ARP;
    let packet = ArpPacket::parse(frame.payload, HardwareTypes::Ethernet);
    packet.ok().filter(|_| is_arp)
}

/// To whom an IPv4 packet is sent, and its first byte of data.
pub fn data(frame: &[u8]) -> Option<(MacAddr, u8)> {
    let frame = EthernetFrame::parse(frame).ok()?;
    let is_ip = frame.header.ethertype == EtherType::IPV4;
    is_ip.then(|| (frame.header.destination, frame.payload[20]))
}

/// Somebody to be woken.
#[derive(Default)]
pub struct Waking {
    woken: Arc<Woken>,
    waker: OnceCell<Waker>,
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Waking {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn context(&self) -> Context<'_> {
        let waker = || Waker::from(self.woken.clone());
        Context::from_waker(self.waker.get_or_init(waker))
    }

    /// Whether it was, since it was last asked.
    pub fn take(&self) -> bool {
        self.woken.0.swap(false, Ordering::Relaxed)
    }
}
