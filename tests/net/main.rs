//! The stack in virtual time: two hosts on a segment that loses, doubles, delays and reorders.
#![cfg(feature = "net")]

mod tcp;
mod wire;
mod world;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU16;
use std::rc::Rc;
use std::time::Duration;

use whohas::net::{Config, Net, Pools};
use whohas::time::Clock;
use whohas::{Instant, UnicastMac};

use wire::{Faults, Neighbours, Segment, Wire};
use world::World;

const US: u8 = 1;
const PEER: u8 = 2;
/// Nobody has this address.
const NOBODY: u8 = 9;

const SOCKETS: usize = 4;
const RX: usize = 4096;
const TX: usize = 2048;

type Host = Net<'static, Wire>;

fn mac(n: u8) -> UnicastMac {
    UnicastMac::new([2, 0, 0, 0, 0, n]).unwrap()
}

fn ip(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 0, 0, n)
}

fn at(n: u8, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(ip(n), port)
}

fn port(port: u16) -> NonZeroU16 {
    NonZeroU16::new(port).unwrap()
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Two hosts on a segment, both running.
struct Pair {
    world: Rc<World>,
    segment: Rc<Segment>,
    us: &'static Host,
    peer: &'static Host,
    /// Our neighbour cache.
    neighbours: &'static Neighbours,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let world = World::new();
        let segment = Segment::new(&world, seed);
        let us = host(&world, &segment, US);
        let peer = host(&world, &segment, PEER);
        let neighbours = us.with_link(|wire| wire.neighbours);
        let pair = Self {
            world,
            segment,
            us,
            peer,
            neighbours,
        };
        pair.world.settle();
        pair
    }

    fn now(&self) -> Instant {
        self.world.now()
    }

    /// How many hold the peer.
    fn holds(&self) -> u32 {
        self.holds_on(PEER)
    }

    fn holds_on(&self, n: u8) -> u32 {
        self.neighbours.entry(ip(n)).map_or(0, |entry| entry.holds)
    }

    fn sleep(&self, period: Duration) {
        use whohas::time::Timer;
        self.world
            .block_on(self.world.wait_until(self.now() + period));
    }
}

/// A running host with this number.
fn host(world: &Rc<World>, segment: &Rc<Segment>, n: u8) -> &'static Host {
    let pools = Pools::<Wire, SOCKETS, RX, TX, 3, 4096>::new();
    let wire = Wire::new(segment, n);
    let config = Config::new(u64::from(n) * 0x9e37_79b9);
    let net: &'static Host =
        Box::leak(Box::new(Net::new(wire, Box::leak(Box::new(pools)), config)));
    let clock = world.clone();
    world.spawn(async move {
        net.run(&*clock).await;
    });
    net
}
