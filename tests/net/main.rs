//! The stack in virtual time: two hosts on a segment that loses, doubles, delays and reorders.
#![cfg(feature = "net")]

mod dhcp;
mod dns;
mod ends;
mod held;
mod hostile;
mod mutations;
mod packets;
mod pools;
mod stalls;
mod tcp;
mod udp;
mod world;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU16;
use std::time::Duration;

use whohas::cache::Fixed;
use whohas::link::Link;
use whohas::net::{Config, Net, Pools};
use whohas::sim::{Host, LanClock, LanDriver, Link as Cable};
use whohas::time::Timer;
use whohas::{Instant, LocalResolver, Policy, Prefix, UnicastMac};

use world::World;

const US: u8 = 1;
const PEER: u8 = 2;
/// Answers ARP and nothing else.
const SILENT: u8 = 3;
/// Nobody has this address.
const NOBODY: u8 = 9;

const SOCKETS: usize = 4;
const RX: usize = 4096;
const TX: usize = 2048;

type Neighbours = LocalResolver<Fixed<8>>;
type Wire = Link<LanDriver, &'static Neighbours, LanClock, 1500, 8, 8192>;
type Stack = Net<'static, Wire>;

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

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Two stacks on a LAN, both running.
struct Pair {
    world: World,
    us: &'static Stack,
    peer: &'static Stack,
    /// Our neighbour cache.
    neighbours: &'static Neighbours,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let world = World::new(seed);
        let us = stack(&world, US);
        let peer = stack(&world, PEER);
        let neighbours = us.with_link(|link| *link.resolver());
        let pair = Self {
            world,
            us,
            peer,
            neighbours,
        };
        pair.each_cable(Cable::delayed(Duration::from_micros(100)));
        pair.world.settle();
        pair
    }

    fn now(&self) -> Instant {
        self.world.now()
    }

    /// What the network does to what either sends.
    fn each_cable(&self, cable: Cable) {
        for stack in [self.us, self.peer] {
            let port = driver(stack).port();
            self.world.lan.lan().set_uplink(port, cable);
        }
    }

    /// A radio: it loses, doubles and reorders this share of the frames.
    fn fade(&self, share: f64) {
        self.each_cable(Cable {
            jitter: millis(1),
            loss: share,
            duplication: share,
            reordering: share,
            holdback: millis(8),
            ..Cable::delayed(millis(1))
        });
    }

    /// The stack hears nothing from now on, or hears again.
    fn deafen(&self, stack: &Stack, deaf: bool) {
        let cable = Cable::lossy(if deaf { 1.0 } else { 0.0 });
        let port = driver(stack).port();
        self.world.lan.lan().set_downlink(port, cable);
    }

    /// How many hold the peer.
    fn holds(&self) -> u32 {
        self.holds_on(PEER)
    }

    fn holds_on(&self, n: u8) -> u32 {
        self.neighbours.entry(ip(n)).map_or(0, |entry| entry.holds)
    }

    async fn pause(&self, period: Duration) {
        let clock = self.world.lan.clock();
        clock.wait_until(self.now() + period).await;
    }

    fn sleep(&self, period: Duration) {
        self.world.block_on(self.pause(period));
        self.world.settle();
    }
}

fn driver(stack: &Stack) -> LanDriver {
    stack.with_link(|link| link.driver().clone())
}

/// The link of the host of this number, with its address.
fn wire(world: &World, n: u8) -> Wire {
    let neighbours: &'static Neighbours =
        Box::leak(Box::new(LocalResolver::new(Policy::STRICT, Fixed::new())));
    let mut link = Wire::new(world.lan.add_driver(mac(n)), neighbours, world.lan.clock());
    link.set_addresses(&[Prefix::new(ip(n), 24).unwrap()])
        .unwrap();
    link
}

/// A running stack on the host of this number.
fn stack(world: &World, n: u8) -> &'static Stack {
    let pools = Box::leak(Box::new(Pools::<Wire, SOCKETS, RX, TX, 3, 4096>::new()));
    let config = Config::new(u64::from(n) * 0x9e37_79b9);
    let net: &'static Stack = Box::leak(Box::new(Net::new(wire(world, n), pools, config)));
    let clock = world.lan.clock();
    world.spawn(async move {
        net.run(&clock).await;
    });
    net
}
