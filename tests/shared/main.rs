//! The shared resolver, as its users and its queues see it: stories on the simulated LAN, and each
//! bound, error and promise of its interface by itself.
#![cfg(all(feature = "sim", feature = "std"))]

mod bounds;
mod busy;
mod card;
mod clocks;
mod display;
mod feed;
mod holds;
mod inspect;
mod panics;
mod prefixes;
mod queues;
mod traits;
mod waiting;

use core::net::Ipv4Addr;
use core::time::Duration;

use whohas::cache::{DropReason, Received, Status};
use whohas::resolver::shared::{
    Brought, Change, OutboxFull, Reader, Shape, SharedHold, SharedResolver,
};
use whohas::wire::{ARP_FRAME_LEN, ArpPacket, EthernetFrame, HardwareTypes, Operation};
use whohas::{Hold, HoldError, Instant, Key, MacAddr, Policy, Prefix, UnicastMac, VlanId};

const US: u16 = 1;
const PEER: u16 = 2;
const OTHER: u16 = 3;
/// Whom a queue asks for that asks for none.
const NOBODY: [Ipv4Addr; 0] = [];

/// When nothing has happened yet.
const START: Instant = Instant::ZERO;

fn mac(n: u16) -> UnicastMac {
    let [high, low] = n.to_be_bytes();
    UnicastMac::new([2, 0, 0, 0, high, low]).expect("the group bit is clear")
}

/// In 10.0.0.0/16.
fn ip(n: u16) -> Ipv4Addr {
    let [high, low] = n.to_be_bytes();
    Ipv4Addr::new(10, 0, high, low)
}

fn prefix(ip: impl Into<Ipv4Addr>, len: u8) -> Prefix {
    Prefix::new(ip.into(), len).expect("at most 32 bits")
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// We are 10.0.0.1/16.
fn resolver(policy: Policy, shape: Shape) -> SharedResolver {
    resolver_in(policy, shape, prefix(ip(US), 16))
}

/// We are in this network, and have said so.
fn resolver_in(policy: Policy, shape: Shape, own: Prefix) -> SharedResolver {
    let quiet = Policy {
        announcements: 0,
        ..policy
    };
    let resolver = SharedResolver::new(quiet, shape);
    resolver.set_mac(START, mac(US));
    resolver
        .set_addresses(START, &[own])
        .expect("a host's address");
    resolver
}

fn strict() -> SharedResolver {
    resolver(Policy::STRICT, Shape::default())
}

/// As many queues of it.
fn readers<const N: usize>(resolver: &SharedResolver) -> [Reader; N] {
    core::array::from_fn(|_| resolver.reader().expect("a place"))
}

/// All that leaves by this queue now.
fn sent(queue: &Reader, now: Instant) -> Vec<ArpPacket> {
    let mut frame = [0; ARP_FRAME_LEN];
    let mut packets = Vec::new();
    while queue.poll_transmit(now, &mut frame) {
        let parsed = EthernetFrame::parse(&frame).expect("ours");
        let packet = ArpPacket::parse(parsed.payload, HardwareTypes::Ethernet);
        packets.push(packet.expect("ours"));
    }
    packets
}

/// Whom this queue asks for now.
fn asked(queue: &Reader, now: Instant) -> Vec<Ipv4Addr> {
    let requests = sent(queue, now).into_iter().inspect(|packet| {
        assert_eq!(packet.operation, Operation::Request);
    });
    requests.map(|packet| packet.target_ip).collect()
}

/// The answer of the `n`th neighbour, from this station.
fn answer_from(n: u16, station: UnicastMac) -> [u8; ARP_FRAME_LEN] {
    let request = ArpPacket::request(mac(US), ip(US), ip(n));
    framed(request.answered_by(station), mac(US).get())
}

/// The answer of the `n`th neighbour.
fn answer(n: u16) -> [u8; ARP_FRAME_LEN] {
    answer_from(n, mac(n))
}

fn framed(packet: ArpPacket, to: MacAddr) -> [u8; ARP_FRAME_LEN] {
    let mut frame = [0; ARP_FRAME_LEN];
    packet
        .emit_frame(to, None, &mut frame)
        .expect("room for an untagged frame");
    frame
}

/// Gives a frame to a queue that finds the token free.
#[track_caller]
fn bring(queue: &Reader, now: Instant, frame: &[u8]) {
    let brought = queue.receive(now, frame);
    assert_eq!(brought, Ok(Brought::Taken(Received::Accepted)));
}

/// Holds the `n`th neighbour, asks for it and lets it answer.
#[track_caller]
fn resolve(queue: &Reader, now: Instant, n: u16) -> SharedHold {
    let hold = queue.hold(ip(n)).expect("room for it");
    assert_eq!(asked(queue, now), [ip(n)]);
    bring(queue, now, &answer(n));
    assert_eq!(hold.status(), Status::Resolved(mac(n)));
    hold
}

/// What a queue is told: the neighbours in 10.0.0.0/16 by number.
#[track_caller]
fn changes(queue: &Reader) -> Vec<(u16, Option<UnicastMac>)> {
    let changes = core::iter::from_fn(|| queue.poll_change());
    let numbered = changes.map(|change| match change {
        Change::Neighbour { key, mac } => (number(key), mac),
        Change::Overrun => panic!("overrun"),
    });
    numbered.collect()
}

/// Which neighbour in 10.0.0.0/16 it is.
fn number(key: Key) -> u16 {
    let [10, 0, high, low] = key.ip.octets() else {
        panic!("{key} is elsewhere");
    };
    u16::from_be_bytes([high, low])
}
