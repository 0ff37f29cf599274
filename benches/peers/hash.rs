//! What one would write without whohas: a `HashMap` of entries and a `BinaryHeap` of deadlines.
//!
//! As fast as we know how to make it. An entry has one node in the heap; moving its deadline back
//! touches only the entry, and the node is moved when it comes to the top. It reads frames with
//! whohas's own codec. It has no VLANs, several own addresses, order of eviction, limits, counters
//! or events, so it does less for its time.

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, HashMap};
use std::hash::BuildHasher;
use std::net::Ipv4Addr;

use whohas::UnicastMac;
use whohas::wire::{
    ARP_FRAME_LEN, ArpPacket, EtherType, EthernetFrame, HardwareTypes, MacAddr, Operation,
};

use super::{Contender, Frame, PREFIX_LEN, Receiver, US, mac_of, neighbour};

/// Microseconds.
type Time = u64;

const RETRANSMIT: Time = 1_000_000;
const REACHABLE: Time = 60_000_000;
const STALE: Time = 600_000_000;
const REQUESTS: u8 = 3;
const MASK: u32 = u32::MAX << (32 - PREFIX_LEN);

#[derive(Clone, Copy)]
enum State {
    Incomplete { asked: u8 },
    Probe { mac: UnicastMac, asked: u8 },
    Reachable { mac: UnicastMac },
    Stale { mac: UnicastMac },
}

struct Entry {
    state: State,
    holds: u32,
    deadline: Time,
    /// The time of the entry's node in the heap; never later than its deadline.
    queued: Time,
}

pub(crate) struct HashCache<H> {
    entries: HashMap<Ipv4Addr, Entry, H>,
    timers: BinaryHeap<Reverse<(Time, Ipv4Addr)>>,
    now: Time,
    sent: [u8; ARP_FRAME_LEN],
}

impl<H: BuildHasher + Default> HashCache<H> {
    /// Knows `n` neighbours, each asked for and answered; all held, or none.
    pub(crate) fn new(n: u32, held: bool) -> Self {
        let mut cache = Self {
            entries: HashMap::default(),
            timers: BinaryHeap::new(),
            now: 1_000_000,
            sent: [0; ARP_FRAME_LEN],
        };
        let mut reply = Frame::reply();
        for ip in (0..n).map(neighbour) {
            cache.hold(ip);
            cache.receive(reply.from(ip));
            assert_eq!(cache.lookup(ip), Some(mac_of(ip)));
            if !held {
                cache.release(ip);
            }
        }
        cache
    }

    fn hold(&mut self, ip: Ipv4Addr) {
        if let Some(entry) = self.entries.get_mut(&ip) {
            entry.holds += 1;
            return;
        }
        let deadline = self.now + RETRANSMIT;
        let entry = Entry {
            state: State::Incomplete { asked: 1 },
            holds: 1,
            deadline,
            queued: deadline,
        };
        self.entries.insert(ip, entry);
        self.timers.push(Reverse((deadline, ip)));
        self.ask(ip, MacAddr::BROADCAST);
    }

    fn release(&mut self, ip: Ipv4Addr) {
        if let Some(entry) = self.entries.get_mut(&ip) {
            entry.holds -= 1;
        }
    }

    fn ask(&mut self, ip: Ipv4Addr, destination: MacAddr) -> usize {
        self.send(ArpPacket::request(mac_of(US), US, ip), destination)
    }

    fn send(&mut self, packet: ArpPacket, destination: MacAddr) -> usize {
        packet
            .emit_frame(destination, None, &mut self.sent)
            .expect("a frame's length")
    }

    /// The first entry in time, with its deadline.
    fn first(&mut self) -> Option<(Time, Ipv4Addr)> {
        loop {
            let mut top = self.timers.peek_mut()?;
            let Reverse((queued, ip)) = *top;
            match self.entries.get_mut(&ip) {
                Some(entry) if entry.queued == queued && entry.deadline > queued => {
                    entry.queued = entry.deadline;
                    *top = Reverse((entry.deadline, ip));
                }
                Some(entry) if entry.queued == queued => return Some((queued, ip)),
                Some(_) | None => {
                    PeekMut::pop(top);
                }
            }
        }
    }

    /// What time does to an entry; whether it makes us ask.
    fn expire(&mut self, ip: Ipv4Addr) -> bool {
        let now = self.now;
        let Some(entry) = self.entries.get_mut(&ip) else {
            return false;
        };
        let (state, deadline, destination) = match entry.state {
            State::Reachable { mac } if entry.holds > 0 => (
                State::Probe { mac, asked: 1 },
                now + RETRANSMIT,
                Some(mac.get()),
            ),
            State::Reachable { mac } => (State::Stale { mac }, now + STALE, None),
            State::Probe { mac, asked } if asked < REQUESTS => (
                State::Probe {
                    mac,
                    asked: asked + 1,
                },
                now + RETRANSMIT,
                Some(mac.get()),
            ),
            State::Incomplete { asked } if asked < REQUESTS => (
                State::Incomplete { asked: asked + 1 },
                now + RETRANSMIT,
                Some(MacAddr::BROADCAST),
            ),
            State::Incomplete { .. } | State::Probe { .. } | State::Stale { .. } => {
                self.entries.remove(&ip);
                return false;
            }
        };
        entry.state = state;
        entry.deadline = deadline;
        destination.is_some_and(|destination| self.ask(ip, destination) > 0)
    }

    /// The ARP packet in a frame that is for us and of the link.
    fn admit(frame: &[u8]) -> Option<ArpPacket> {
        let frame = EthernetFrame::parse(frame).ok()?;
        let header = frame.header;
        if header.ethertype != EtherType::ARP
            || mac_of(US) != header.destination && !header.destination.is_broadcast()
        {
            return None;
        }
        let packet = ArpPacket::parse(frame.payload, HardwareTypes::Ethernet).ok()?;
        let on_link = (packet.sender_ip.to_bits() ^ US.to_bits()) & MASK == 0;
        (on_link && packet.sender_ip != US && packet.sender_mac == header.source).then_some(packet)
    }
}

impl<H: BuildHasher + Default> Receiver for HashCache<H> {
    fn receive(&mut self, frame: &[u8]) -> usize {
        self.now += 1;
        let Some(packet) = Self::admit(frame) else {
            return 0;
        };
        if packet.target_ip != US {
            return 0;
        }
        match packet.operation {
            Operation::Request => {
                let answer = packet.answered_by(mac_of(US));
                self.send(answer, answer.target_mac)
            }
            Operation::Reply => {
                if let Some(entry) = self.entries.get_mut(&packet.sender_ip) {
                    let mac = packet.sender_mac;
                    entry.state = State::Reachable { mac };
                    entry.deadline = self.now + REACHABLE;
                }
                0
            }
        }
    }
}

impl<H: BuildHasher + Default> Contender for HashCache<H> {
    fn lookup(&self, ip: Ipv4Addr) -> Option<UnicastMac> {
        match self.entries.get(&ip)?.state {
            State::Incomplete { .. } => None,
            State::Probe { mac, .. } | State::Reachable { mac } | State::Stale { mac } => Some(mac),
        }
    }

    fn hold_and_release(&mut self, ip: Ipv4Addr) {
        self.hold(ip);
        self.release(ip);
    }

    fn next_deadline(&mut self) -> Option<u64> {
        self.first().map(|(deadline, _)| deadline)
    }

    fn fire(&mut self) -> Ipv4Addr {
        let (deadline, ip) = self.first().expect("entries that will expire");
        self.now = deadline;
        assert!(self.expire(ip), "a request to verify a held entry");
        ip
    }
}
